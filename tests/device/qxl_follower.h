/* qxl_follower.h - a watcher of the display that trusts what it is told of damage and moves, and can check that. */
#ifndef TESTS_DEVICE_QXL_FOLLOWER_H
#define TESTS_DEVICE_QXL_FOLLOWER_H

#include "spice/server/fingerprint.h"
#include "tests/device/qxl_driver.h"

/* Who is told of damage and of moves, and hashes what was damaged but not what moved. */
struct follower {
    struct display_sink sink;
    struct display *display;
    struct fingerprint print;
    unsigned moves;
};

static inline void follow_surface(struct display_sink *sink, const struct display_surface *s)
{
    struct follower *f = container_of(sink, struct follower, sink);

    assert_int_equal(fingerprint_resize(&f->print, s ? s->width : 0, s ? s->height : 0), 0);
}

static inline void follow_damage(struct display_sink *sink, const struct rect *rects, size_t count)
{
    for (size_t i = 0; i < count; i++)
        damage_add(&container_of(sink, struct follower, sink)->print.stale, &rects[i]);
}

static inline void follow_move(struct display_sink *sink, const struct rect *to, int32_t dx, int32_t dy)
{
    struct follower *f = container_of(sink, struct follower, sink);

    fingerprint_moved(&f->print, to, dx, dy);
    f->moves++;
}

static const struct display_sink_ops follower_ops = {
    .surface = follow_surface, .damage = follow_damage, .moved = follow_move};

static inline void do_join(void *arg)
{
    struct follower *f = arg;

    display_add_sink(f->display, &f->sink);
}

/* What it knows is what is there. */
static inline void do_check_hashes(void *arg)
{
    struct follower *f = arg;
    const struct display_surface *s = &f->display->surface;

    fingerprint_refresh(&f->print, s);
    for (uint32_t y = 0; y < s->height; y++)
        for (uint32_t x = 0; x < s->width / STRIP; x++)
            assert_true(strip_row(&f->print.now, y)[x] ==
                        strip_hash(&f->print.key, surface_row(s, y) + x * STRIP));
}

static inline void do_leave(void *arg)
{
    struct follower *f = arg;

    display_remove_sink(f->display, &f->sink);
    fingerprint_resize(&f->print, 0, 0);
}

static inline void follow(struct follower *f, struct driver *d)
{
    *f = (struct follower){.sink.ops = &follower_ops, .display = d->display};
    strip_key_init(&f->print.key, 12345);
    loop_call_wait(d->display->loop, do_join, f);
}

static inline void check_follower(struct follower *f)
{
    loop_call_wait(f->display->loop, do_check_hashes, f);
}

static inline void unfollow(struct follower *f)
{
    loop_call_wait(f->display->loop, do_leave, f);
}

#endif
