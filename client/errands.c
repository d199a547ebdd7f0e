#include "client/errands.h"

#include "backend/screenshot.h"
#include "base/error.h"
#include "client/inputs_channel.h"
#include "client/keymap.h"

#include <errno.h>
#include <stdlib.h>

#define QUIET_MS   500
#define LONGEST_MS 5000
#define SETTLE_MS  1000
#define KEY_MS     20

static uint64_t ms_since(uint64_t then_ns)
{
    return (now_ns() - then_ns) / 1000000;
}

/* A copy of the first display's primary surface, whatever its format. */
static int copy_primary(struct screen *screen, struct screenshot *shot)
{
    struct canvas *c = screen_first_picture(screen)->primary;
    pixman_image_t *to;

    if (!c)
        return fail(-ENOENT, "there is no picture yet to take a screenshot of");
    *shot = (struct screenshot){c->width, c->height, calloc((size_t)c->width * c->height, 4)};
    if (!shot->pixels)
        return -ENOMEM;
    to = pixman_image_create_bits_no_clear(PIXMAN_x8r8g8b8, (int)c->width, (int)c->height,
                                           shot->pixels, (int)c->width * 4);
    if (!to)
        return -ENOMEM;
    pixman_image_composite32(PIXMAN_OP_SRC, c->image, NULL, to, 0, 0, 0, 0, 0, 0, (int)c->width,
                             (int)c->height);
    pixman_image_unref(to);
    return 0;
}

static int take_screenshot(struct session *s)
{
    struct screenshot shot = {0};
    int err;

    screen_lock(s->screen);
    err = copy_primary(s->screen, &shot);
    screen_unlock(s->screen);
    if (!err)
        err = screenshot_save(&shot, s->options->screenshot, SCREENSHOT_BY_NAME);
    screenshot_fini(&shot);
    return err;
}

static void enter(struct errands *e, enum errand_stage stage)
{
    e->stage = stage;
    e->stage_ns = now_ns();
}

static int say_what_was_sent(const struct outbox *t)
{
    const struct outbox_progress *p = &t->progress;

    if (!outbox_idle(t))
        return fail(-ETIMEDOUT, "%u of %u files were sent when the time was over", p->done - p->failed, p->files);
    return p->failed ? fail(-EIO, "%s", p->reason) : 0;
}

static void finish(struct errands *e)
{
    const struct client_options *o = e->session->options;
    int err = o->screenshot ? take_screenshot(e->session) : 0;

    if (!err && o->send_count)
        err = say_what_was_sent(e->session->outbox);
    enter(e, ERRAND_DONE);
    /* A window stays open after the typing. */
    if (o->screenshot || o->headless || e->session->options->exit_after > 0)
        viewer_end(e->viewer, err);
}

/* The next byte of the text, with \n, \t, \e and \\ resolved. */
static char next_char(const char **text)
{
    static const char from[] = "nte\\", to[] = "\n\t\033\\";
    char c = *(*text)++;

    for (size_t i = 0; c == '\\' && from[i]; i++)
        if (**text == from[i]) {
            (*text)++;
            return to[i];
        }
    return c;
}

/* One key event: shift down, key down, key up, shift up. */
static void type_step(struct errands *e)
{
    const char *text = e->text;
    bool shift = false;
    uint16_t key = key_of_char(next_char(&text), &shift);
    struct user_event event = {USER_KEY, .key = key, .down = e->key_step < 2};

    if (!e->session->inputs)
        return;
    if (e->key_step == 0 || e->key_step == 3)
        event.key = shift ? KEY_SHIFT_LEFT : KEY_NONE;
    if (event.key)
        inputs_event(e->session->inputs, &event);
    if (++e->key_step == 4) {
        e->key_step = 0;
        e->text = text;
    }
}

static bool picture_is_quiet(const struct session *s, uint64_t since_ns)
{
    if (ms_since(s->last_display_ns) >= QUIET_MS)
        return true;
    return s->options->exit_after <= 0 && ms_since(since_ns) >= LONGEST_MS;
}

static void tick(uv_timer_t *timer)
{
    struct errands *e = timer->data;
    struct session *s = e->session;

    switch (e->stage) {
    case ERRAND_WAIT_PICTURE:
        if (s->marked_ns && picture_is_quiet(s, s->marked_ns))
            enter(e, e->text ? ERRAND_TYPE : ERRAND_WAIT_QUIET);
        break;
    case ERRAND_TYPE:
        if (*e->text)
            type_step(e);
        else
            enter(e, ERRAND_WAIT_QUIET);
        break;
    case ERRAND_WAIT_QUIET:
        if ((!e->text || ms_since(e->stage_ns) >= SETTLE_MS) && picture_is_quiet(s, e->stage_ns))
            enter(e, ERRAND_WAIT_SENT);
        break;
    case ERRAND_WAIT_SENT:
        if (outbox_idle(s->outbox))
            finish(e);
        break;
    case ERRAND_DONE:
        uv_timer_stop(timer);
        break;
    }
}

static void deadline(uv_timer_t *timer)
{
    finish(timer->data);
}

static enum errand_stage first_stage(const struct client_options *o)
{
    if (o->screenshot || o->type)
        return ERRAND_WAIT_PICTURE;
    return o->send_count && o->headless ? ERRAND_WAIT_SENT : ERRAND_DONE;
}

int errands_start(struct errands *e, struct viewer *v)
{
    struct session *s = &v->session;
    const struct client_options *o = s->options;
    enum errand_stage stage = first_stage(o);
    bool asked = stage != ERRAND_DONE;
    int err;

    *e = (struct errands){.viewer = v, .session = s, .text = o->type, .stage = stage};
    for (unsigned i = 0; i < o->send_count; i++)
        outbox_add(s->outbox, o->send[i]); /* what fails is in the progress */
    if (!asked && !(o->exit_after > 0))
        return 0;
    err = uv_timer_init(&s->loop->uv, &e->tick);
    if (!err)
        err = uv_timer_init(&s->loop->uv, &e->deadline);
    if (err)
        return err;
    e->running = true;
    e->tick.data = e->deadline.data = e;
    if (asked && !(o->screenshot && !o->type && o->exit_after > 0))
        uv_timer_start(&e->tick, tick, KEY_MS, KEY_MS);
    if (o->exit_after > 0)
        uv_timer_start(&e->deadline, deadline, (uint64_t)(o->exit_after * 1000), 0);
    return 0;
}

void errands_stop(struct errands *e)
{
    struct session *s = e->session;

    if (e->stage != ERRAND_DONE && s->result == 0) {
        s->result = -ECONNRESET;
        snprintf(s->reason, sizeof(s->reason), "the server closed the connection before %s",
                 s->options->screenshot ? "the screenshot could be taken"
                 : s->options->type     ? "the text was typed"
                                        : "all files were sent");
    }
    if (!e->running)
        return;
    uv_close((uv_handle_t *)&e->tick, NULL);
    uv_close((uv_handle_t *)&e->deadline, NULL);
    e->running = false;
}
