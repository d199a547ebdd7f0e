#include "tests/lib/spice_rig.h"

#include "base/error.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void PRINTF_LIKE(2, 3) note(struct rig *rig, const char *fmt, ...)
{
    size_t used = strlen(rig->log);
    va_list args;

    va_start(args, fmt);
    vsnprintf(rig->log + used, sizeof(rig->log) - used, fmt, args);
    va_end(args);
}

static void scancode(struct input_sink *sink, uint8_t code)
{
    note(container_of(sink, struct rig, sink), "%02x ", code);
}

static void motion(struct input_sink *sink, int dx, int dy, int wheel, unsigned buttons)
{
    note(container_of(sink, struct rig, sink), "m%d,%d,%d,%u ", dx, dy, wheel, buttons);
}

static void position(struct input_sink *sink, unsigned display, unsigned x, unsigned y, int wheel,
                     unsigned buttons)
{
    note(container_of(sink, struct rig, tablet), "p%u,%u,%u,%d,%u ", display, x, y, wheel, buttons);
}

struct start {
    struct rig *rig;
    const struct spice_config *config;
};

static void do_start(void *arg)
{
    struct start *s = arg;
    struct rig *rig = s->rig;

    if (spice_server_create(&rig->server, &rig->loop, s->config, &rig->input))
        fail_msg("%s", fail_text());
    assert_int_equal(spice_server_add_display(rig->server, &rig->display.display), 0);
    rig->port = spice_server_port(rig->server);
}

void rig_start(struct rig *rig, const struct spice_config *config)
{
    struct spice_config own = config ? *config : (struct spice_config){.name = "rig"};

    memset(rig, 0, sizeof(*rig));
    if (!own.patience)
        own.patience = -1; /* peers by hand leave channels unread for as long as a test takes */
    input_init(&rig->input);
    rig->sink = (struct input_sink){.scancode = scancode, .motion = motion};
    rig->tablet = (struct input_sink){.position = position};
    input_add_sink(&rig->input, &rig->sink);
    fake_display_init(&rig->display, 640, 480);
    assert_int_equal(loop_init(&rig->loop), 0);
    assert_int_equal(loop_start(&rig->loop, "rig"), 0);
    rig_call(rig, do_start, &(struct start){rig, &own});
}

static void do_stop(void *arg)
{
    struct rig *rig = arg;

    spice_server_destroy(rig->server);
    rig->server = NULL;
}

void rig_stop(struct rig *rig)
{
    rig_call(rig, do_stop, rig);
    loop_stop(&rig->loop);
    loop_join(&rig->loop);
    loop_fini(&rig->loop);
    fake_display_fini(&rig->display);
}

void rig_call(struct rig *rig, void (*fn)(void *arg), void *arg)
{
    loop_call_wait(&rig->loop, fn, arg);
}

struct set {
    struct rig *rig;
    unsigned value;
};

static void do_tablet(void *arg)
{
    struct set *s = arg;

    if (s->value)
        input_add_sink(&s->rig->input, &s->rig->tablet);
    else
        input_remove_sink(&s->rig->input, &s->rig->tablet);
}

void rig_set_tablet(struct rig *rig, bool on)
{
    rig_call(rig, do_tablet, &(struct set){rig, on});
}

static void do_leds(void *arg)
{
    struct set *s = arg;

    input_set_leds(&s->rig->input, s->value);
}

void rig_set_leds(struct rig *rig, unsigned leds)
{
    rig_call(rig, do_leds, &(struct set){rig, leds});
}

struct copy {
    struct rig *rig;
    char text[4096];
    bool clear;
};

static void do_copy(void *arg)
{
    struct copy *c = arg;

    memcpy(c->text, c->rig->log, sizeof(c->text));
    if (c->clear)
        c->rig->log[0] = '\0';
}

bool rig_log_is(struct rig *rig, const char *text)
{
    struct copy c = {.rig = rig};

    for (int i = 0; i < 200 && strcmp(c.text, text); i++) {
        rig_call(rig, do_copy, &c);
        if (strcmp(c.text, text))
            usleep(10000);
    }
    if (strcmp(c.text, text))
        print_error("log is '%s', not '%s'\n", c.text, text);
    c.clear = true;
    rig_call(rig, do_copy, &c);
    return strcmp(c.text, text) == 0;
}

uint32_t rig_main(struct rig *rig, struct peer *p)
{
    const struct spice_msg_main_init *init;

    assert_int_equal(peer_link(p, rig->port, SPICE_CHANNEL_MAIN, 0, 0, ""), SPICE_LINK_ERR_OK);
    init = peer_expect(p, SPICE_MSG_MAIN_INIT);
    assert_int_not_equal(init->session_id, 0);
    return init->session_id;
}

void rig_join(struct rig *rig, struct peer *p, unsigned channel, uint32_t session)
{
    assert_int_equal(peer_link(p, rig->port, channel, 0, session, ""), SPICE_LINK_ERR_OK);
}

void rig_send_init(struct peer *p)
{
    const struct spice_msgc_display_init init = {.pixmap_cache_id = 1,
                                                 .pixmap_cache_size = PEER_CACHE_PIXELS,
                                                 .glz_dictionary_id = 1,
                                                 .glz_dictionary_window_size = PEER_GLZ_PIXELS};

    peer_send(p, SPICE_MSGC_DISPLAY_INIT, &init);
}

void rig_join_display(struct rig *rig, struct peer *p, uint32_t session)
{
    rig_join(rig, p, SPICE_CHANNEL_DISPLAY, session);
    rig_send_init(p);
}

static bool equal(struct rig *rig, const struct peer_screen *s)
{
    uint32_t width, height;
    uint8_t *rgb = fake_display_rgb(&rig->display, &width, &height);
    bool same = s->pixels && width == s->width && height == s->height;

    for (size_t i = 0; same && i < (size_t)width * height; i++)
        for (int k = 0; k < 3; k++)
            same &= rgb[i * 3 + k] == s->pixels[i * 4 + 2 - k];
    free(rgb);
    return same;
}

bool rig_catch_up(struct rig *rig, struct peer *p, struct peer_screen *s)
{
    const struct spice_msg_info *info;
    void *msg;

    /* Compared whenever nothing more comes for a while. */
    for (int quiet = 0; quiet < 60;) {
        info = peer_receive(p, &msg, 50);
        if (info)
            peer_screen_apply(s, info, msg);
        else if (equal(rig, s))
            return true;
        else
            quiet++;
    }
    return false;
}

int open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

void rig_check_session(struct rig *rig, int (*connect)(int port))
{
    struct peer p = {.connect = connect}, display = {.connect = connect}, inputs = {.connect = connect};
    struct peer_screen s = {0};
    uint32_t session = rig_main(rig, &p);

    rig_join(rig, &inputs, SPICE_CHANNEL_INPUTS, session);
    rig_join_display(rig, &display, session);
    for (int i = 0; i < 3; i++) {
        fake_display_draw(&rig->display, i % 2 ? "text" : "mixed");
        assert_true(rig_catch_up(rig, &display, &s));
    }
    peer_screen_fini(&s);
    peer_close(&display);
    peer_close(&inputs);
    peer_close(&p);
}

void expect_descriptors(int count)
{
    for (int i = 0; i < 100 && open_descriptors() > count; i++)
        usleep(20000);
    assert_int_equal(open_descriptors(), count);
}
