/* The server's channels, seen by a client that checks every byte. */
#include "tests/lib/pictures.h"
#include "tests/lib/spice_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct rig rig;

static int start(void **state UNUSED)
{
    rig_start(&rig, NULL);
    return 0;
}

static int stop(void **state UNUSED)
{
    if (rig.server)
        rig_stop(&rig);
    return 0;
}

/* --- main --- */

static void check_main(bool full_header)
{
    struct peer p = {.full_header = full_header, .caps = 1u << SPICE_MAIN_CAP_NAME_AND_UUID};
    const struct spice_msg_main_channels_list *list;
    const struct spice_msg_main_name *name;

    rig_main(&rig, &p);
    name = peer_expect(&p, SPICE_MSG_MAIN_NAME);
    assert_int_equal(name->size, 4);
    assert_string_equal((const char *)name->name, "rig");
    peer_expect(&p, SPICE_MSG_MAIN_UUID);
    peer_expect(&p, SPICE_MSG_PING);
    list = peer_expect(&p, SPICE_MSG_MAIN_CHANNELS_LIST);
    assert_int_equal(list->count, 3);
    assert_int_equal(list->channels[0].type, SPICE_CHANNEL_INPUTS);
    assert_int_equal(list->channels[1].type, SPICE_CHANNEL_DISPLAY);
    assert_int_equal(list->channels[2].type, SPICE_CHANNEL_CURSOR);
    peer_close(&p);
}

static void test_main(void **state UNUSED)
{
    check_main(false);
    check_main(true);
}

static void test_mouse_mode(void **state UNUSED)
{
    const struct spice_msgc_main_mouse_mode_request server_mode = {SPICE_MOUSE_MODE_SERVER};
    const struct spice_msg_main_mouse_mode *mode;
    struct peer p = {0};

    rig_main(&rig, &p);
    rig_set_tablet(&rig, true);
    mode = peer_expect(&p, SPICE_MSG_MAIN_MOUSE_MODE);
    assert_int_equal(mode->supported_modes, SPICE_MOUSE_MODE_SERVER | SPICE_MOUSE_MODE_CLIENT);
    assert_int_equal(mode->current_mode, SPICE_MOUSE_MODE_CLIENT);
    peer_send(&p, SPICE_MSGC_MAIN_MOUSE_MODE_REQUEST, &server_mode);
    mode = peer_expect(&p, SPICE_MSG_MAIN_MOUSE_MODE);
    assert_int_equal(mode->current_mode, SPICE_MOUSE_MODE_SERVER);
    rig_set_tablet(&rig, false);
    mode = peer_expect(&p, SPICE_MSG_MAIN_MOUSE_MODE);
    assert_int_equal(mode->supported_modes, SPICE_MOUSE_MODE_SERVER);
    peer_close(&p);
}

/* --- inputs --- */

static void send_key(struct peer *p, unsigned id, uint32_t code)
{
    peer_send(p, id, &(struct spice_msgc_inputs_key){code});
}

static void test_keys(void **state UNUSED)
{
    static const uint8_t codes[] = {0xe0, 0x48, 0xe0, 0xc8, 0x1e, 0x9e};
    struct peer m = {0}, p = {0};
    const struct spice_msg_inputs_key_modifiers *leds;

    rig_join(&rig, &p, SPICE_CHANNEL_INPUTS, rig_main(&rig, &m));
    leds = peer_expect(&p, SPICE_MSG_INPUTS_INIT);
    assert_int_equal(leds->modifiers, 0);
    send_key(&p, SPICE_MSGC_INPUTS_KEY_DOWN, 0x1e);
    send_key(&p, SPICE_MSGC_INPUTS_KEY_UP, 0x9e);
    send_key(&p, SPICE_MSGC_INPUTS_KEY_DOWN, 0x48e0);
    send_key(&p, SPICE_MSGC_INPUTS_KEY_UP, 0xc8e0);
    assert_true(rig_log_is(&rig, "1e 9e e0 48 e0 c8 "));
    peer_send(&p, SPICE_MSGC_INPUTS_KEY_SCANCODE, &(struct spice_data){sizeof(codes), codes});
    assert_true(rig_log_is(&rig, "e0 48 e0 c8 1e 9e "));
    rig_set_leds(&rig, INPUT_LED_CAPS);
    leds = peer_expect(&p, SPICE_MSG_INPUTS_KEY_MODIFIERS);
    assert_int_equal(leds->modifiers, SPICE_KEYBOARD_MODIFIER_FLAGS_CAPS_LOCK);
    /* The client's own locks are others: num on, caps off. Said twice, done once. */
    for (int i = 0; i < 2; i++)
        peer_send(&p, SPICE_MSGC_INPUTS_KEY_MODIFIERS,
                  &(struct spice_msg_inputs_key_modifiers){SPICE_KEYBOARD_MODIFIER_FLAGS_NUM_LOCK});
    assert_true(rig_log_is(&rig, "45 c5 3a ba "));
    /* Keys held by a client that goes are released. */
    send_key(&p, SPICE_MSGC_INPUTS_KEY_DOWN, 0x2a);
    send_key(&p, SPICE_MSGC_INPUTS_KEY_DOWN, 0x1de0);
    assert_true(rig_log_is(&rig, "2a e0 1d "));
    peer_close(&p);
    assert_true(rig_log_is(&rig, "aa e0 9d "));
    peer_close(&m);
}

static void test_mouse(void **state UNUSED)
{
    const struct spice_msgc_inputs_mouse_motion motion = {3, -2, SPICE_MOUSE_BUTTON_MASK_RIGHT};
    const struct spice_msgc_inputs_mouse_button up = {SPICE_MOUSE_BUTTON_UP,
                                                      SPICE_MOUSE_BUTTON_MASK_UP};
    struct peer m = {0}, p = {0}, d = {0};
    struct peer_screen s = {0};
    uint32_t session = rig_main(&rig, &m);

    rig_join(&rig, &p, SPICE_CHANNEL_INPUTS, session);
    rig_join_display(&rig, &d, session);
    assert_true(rig_catch_up(&rig, &d, &s));
    for (int i = 0; i < SPICE_INPUT_MOTION_ACK_BUNCH; i++)
        peer_send(&p, SPICE_MSGC_INPUTS_MOUSE_MOTION, &motion);
    peer_expect(&p, SPICE_MSG_INPUTS_MOUSE_MOTION_ACK);
    peer_send(&p, SPICE_MSGC_INPUTS_MOUSE_PRESS, &up);
    assert_true(rig_log_is(&rig, "m3,-2,0,4 m3,-2,0,4 m3,-2,0,4 m3,-2,0,4 m0,0,-1,0 "));
    rig_set_tablet(&rig, true);
    peer_send(&p, SPICE_MSGC_INPUTS_MOUSE_POSITION,
              &(struct spice_msgc_inputs_mouse_position){639, 0, 1, 0});
    peer_send(&p, SPICE_MSGC_INPUTS_MOUSE_POSITION,
              &(struct spice_msgc_inputs_mouse_position){0, 9999, 0, 0});
    peer_send(&p, SPICE_MSGC_INPUTS_MOUSE_POSITION,
              &(struct spice_msgc_inputs_mouse_position){0, 0, 0, 200});
    peer_send(&p, SPICE_MSGC_INPUTS_MOUSE_MOTION, &motion); /* of no account now */
    assert_true(rig_log_is(&rig, "p0,32767,0,0,1 p0,0,32767,0,0 "));
    peer_screen_fini(&s);
    peer_close(&d);
    peer_close(&p);
    peer_close(&m);
}

/* --- display --- */

static void check_display(bool full_header, uint32_t caps, uint8_t compression)
{
    static const char *const patterns[] = {"text", "gradient", "noise", "mixed"};
    struct peer m = {.full_header = full_header}, p = {.full_header = full_header, .caps = caps};
    struct peer_screen s = {0};

    fake_display_resize(&rig.display, 640, 480);
    rig_join_display(&rig, &p, rig_main(&rig, &m));
    if (compression)
        peer_send(&p, SPICE_MSGC_DISPLAY_PREFERRED_COMPRESSION,
                  &(struct spice_msgc_display_preferred_compression){compression});
    for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
        fake_display_draw(&rig.display, patterns[i]);
        assert_true(rig_catch_up(&rig, &p, &s));
        assert_true(s.marked);
    }
    fake_display_scroll(&rig.display, 30);
    assert_true(rig_catch_up(&rig, &p, &s));
    fake_display_resize(&rig.display, 333, 77);
    fake_display_draw(&rig.display, "mixed");
    assert_true(rig_catch_up(&rig, &p, &s));
    peer_screen_fini(&s);
    peer_close(&p);
    peer_close(&m);
}

static void test_display_codecs(void **state UNUSED)
{
    const uint32_t lz4 = 1u << SPICE_DISPLAY_CAP_LZ4_COMPRESSION;

    check_display(false, 0, 0);
    check_display(true, lz4, 0);
    for (uint8_t c = SPICE_IMAGE_COMPRESSION_OFF; c < SPICE_IMAGE_COMPRESSION_ENUM_END; c++)
        check_display(false, c % 2 ? lz4 : 0, c);
}

/* The first picture is there before the client has said what it keeps, and refers to nothing; later ones do. */
static void test_display_unasked(void **state UNUSED)
{
    const uint64_t glz = 1ull << SPICE_IMAGE_TYPE_GLZ_RGB % 64 | 1ull << SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB % 64;
    struct peer m = {0}, p = {0};
    struct peer_screen s = {0};

    fake_display_draw(&rig.display, "text");
    rig_join(&rig, &p, SPICE_CHANNEL_DISPLAY, rig_main(&rig, &m));
    assert_true(rig_catch_up(&rig, &p, &s));
    assert_true(s.marked);
    assert_false(s.types & glz);
    assert_int_equal(fake_display_client(&rig.display), -1);
    rig_send_init(&p);
    for (int i = 0; i < 100 && fake_display_client(&rig.display) < 0; i++)
        usleep(10000);
    fake_display_scroll(&rig.display, 30);
    fake_display_draw(&rig.display, "mixed");
    assert_true(rig_catch_up(&rig, &p, &s));
    assert_true(s.types & glz);
    peer_screen_fini(&s);
    peer_close(&p);
    peer_close(&m);
}

/* What did not change is not sent, though it is called damaged. */
static void test_display_economy(void **state UNUSED)
{
    struct peer m = {0}, p = {0};
    struct peer_screen s = {0};

    fake_display_draw(&rig.display, "text");
    rig_join_display(&rig, &p, rig_main(&rig, &m));
    assert_true(rig_catch_up(&rig, &p, &s));
    s.draws = 0;
    s.drawn = 0;
    fake_display_fill(&rig.display, (struct rect){100, 100, 110, 105}, 0xff0000);
    assert_true(rig_catch_up(&rig, &p, &s));
    assert_int_equal(s.draws, 1);
    assert_true(s.drawn <= 4 * 256);
    fake_display_fill(&rig.display, (struct rect){100, 100, 110, 105}, 0xff0000);
    fake_display_fill(&rig.display, (struct rect){100, 100, 110, 105},
                      0xaaff0000); /* the fourth byte shows nowhere */
    assert_true(rig_catch_up(&rig, &p, &s));
    assert_int_equal(s.draws, 1);
    peer_screen_fini(&s);
    peer_close(&p);
    peer_close(&m);
}

/* A window that the guest scrolls moves to the pixel, though its edges are not those of strips: only the new rows are drawn. */
static void test_display_scroll(void **state UNUSED)
{
    const struct rect window = {37, 20, 611, 460}, rest = {37, 40, 611, 460}, news = {37, 440, 611, 460};
    struct peer m = {0}, p = {0};
    struct peer_screen s = {0};

    fake_display_draw(&rig.display, "noise");
    rig_join_display(&rig, &p, rig_main(&rig, &m));
    assert_true(rig_catch_up(&rig, &p, &s));
    rig.display.tells = true;
    for (uint32_t i = 0; i < 4; i++) {
        s.copies = 0;
        s.drawn = 0;
        fake_display_drag(&rig.display, rest, 0, window.top - rest.top);
        fake_display_noise(&rig.display, news, i + 1);
        assert_true(rig_catch_up(&rig, &p, &s));
        assert_int_equal(s.copies, i ? 1 : 2);
        assert_true(s.drawn <= (624 - 32) * 20 + (i ? 0 : 2 * 16 * 20)); /* in whole strips */
    }
    peer_screen_fini(&s);
    peer_close(&p);
    peer_close(&m);
}

static void test_display_heads(void **state UNUSED)
{
    struct peer m = {0}, p = {.caps = 1u << SPICE_DISPLAY_CAP_MONITORS_CONFIG};
    const struct spice_msg_display_monitors_config *config;

    rig_join_display(&rig, &p, rig_main(&rig, &m));
    config = peer_expect(&p, SPICE_MSG_DISPLAY_MONITORS_CONFIG);
    assert_int_equal(config->count, 1);
    assert_int_equal(config->max_allowed, 1);
    assert_int_equal(config->heads[0].width, 640);
    fake_display_resize(&rig.display, 800, 600);
    do
        config = peer_expect(&p, SPICE_MSG_DISPLAY_MONITORS_CONFIG);
    while (config->heads[0].width != 800);
    peer_close(&p);
    peer_close(&m);
}

/* A moment's drawing: windows dragged and scrolled, parts filled, the whole drawn anew. */
static void draw_something(uint32_t *seed)
{
    static const char *const patterns[] = {"text", "gradient", "noise", "mixed"};
    uint32_t width = rig.display.width, height = rig.display.height;
    struct rect r = {picture_random(seed) % width, picture_random(seed) % height};
    uint32_t what = picture_random(seed) % 16;

    r.right = r.left + 1 + picture_random(seed) % (width - r.left);
    r.bottom = r.top + 1 + picture_random(seed) % (height - r.top);
    if (what == 0)
        fake_display_draw(&rig.display, patterns[picture_random(seed) % 4]);
    else if (what < 4)
        fake_display_scroll(&rig.display, 1 + picture_random(seed) % 3);
    else if (what < 8)
        fake_display_fill(&rig.display, r, picture_random(seed));
    else
        fake_display_drag(&rig.display, r, (int32_t)(picture_random(seed) % 201) - 100,
                          (int32_t)(picture_random(seed) % 201) - 100);
}

/* Whatever is drawn, and whenever it is looked at, clients of any codec come to show just that. */
static void test_display_random(void **state UNUSED)
{
    struct peer m[2] = {0}, p[2] = {0};
    struct peer_screen s[2] = {0};
    uint32_t seed = 4711;

    fake_display_resize(&rig.display, 503, 403);
    fake_display_draw(&rig.display, "mixed");
    for (int i = 0; i < 2; i++) {
        rig_join_display(&rig, &p[i], rig_main(&rig, &m[i]));
        assert_true(rig_catch_up(&rig, &p[i], &s[i]));
    }
    peer_send(&p[1], SPICE_MSGC_DISPLAY_PREFERRED_COMPRESSION,
              &(struct spice_msgc_display_preferred_compression){SPICE_IMAGE_COMPRESSION_LZ});
    for (int i = 0; i < 40; i++) {
        for (uint32_t n = 1 + picture_random(&seed) % 8; n; n--) {
            rig.display.tells = n % 2;
            draw_something(&seed);
            usleep(picture_random(&seed) % 8000);
        }
        assert_true(rig_catch_up(&rig, &p[0], &s[0]));
        if (i % 5 == 4)
            assert_true(rig_catch_up(&rig, &p[1], &s[1]));
    }
    assert_true(s[0].copies > 10 && s[0].fills > 5);
    assert_true(s[0].types & 1ull << SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB % 64);
    for (int i = 0; i < 2; i++) {
        peer_screen_fini(&s[i]);
        peer_close(&p[i]);
        peer_close(&m[i]);
    }
}

/* The mean of the squared differences from what is drawn. */
static double squared_error(const struct peer_screen *s)
{
    uint32_t width, height;
    uint8_t *rgb = fake_display_rgb(&rig.display, &width, &height);
    double sum = 0;

    assert_int_equal(s->width, width);
    assert_int_equal(s->height, height);
    for (size_t i = 0; i < (size_t)width * height * 3; i++) {
        int difference = rgb[i] - s->pixels[i / 3 * 4 + 2 - i % 3];

        sum += difference * difference;
    }
    free(rgb);
    return sum / (width * height * 3.0);
}

/* Photographs come nearly right at once, whatever becomes of them, and exactly when they rest; then there is silence. */
static void test_display_lossy(void **state UNUSED)
{
    const struct spice_config config = {.name = "rig", .jpeg = WAN_ALWAYS};
    const uint64_t jpeg = 1ull << SPICE_IMAGE_TYPE_JPEG % 64;
    struct peer m = {0}, p = {0};
    struct peer_screen s = {0};
    const struct spice_msg_info *info;
    uint32_t seed = 12;
    void *msg;

    rig_stop(&rig);
    rig_start(&rig, &config);
    fake_display_draw(&rig.display, "gradient");
    rig_join_display(&rig, &p, rig_main(&rig, &m));
    while (!s.marked && (info = peer_receive(&p, &msg, PEER_TIMEOUT_MS)))
        peer_screen_apply(&s, info, msg);
    assert_int_equal(s.types, jpeg);
    assert_true(squared_error(&s) > 0 && squared_error(&s) < 100);
    assert_true(rig_catch_up(&rig, &p, &s));
    for (int i = 0; i < 6; i++) {
        s.types = 0;
        fake_display_draw(&rig.display, i % 2 ? "mixed" : "gradient");
        for (uint32_t n = picture_random(&seed) % 12; n; n--) {
            rig.display.tells = n % 2;
            draw_something(&seed);
            usleep(picture_random(&seed) % 40000);
        }
        assert_true(rig_catch_up(&rig, &p, &s));
        assert_true(s.types & ~jpeg);
    }
    assert_true(s.copies);
    /* The same twice, and too much for one update: neither half is made exact by the other, which is not. */
    fake_display_resize(&rig.display, 1600, 1400);
    fake_display_draw(&rig.display, "gradient");
    fake_display_drag(&rig.display, (struct rect){0, 700, 1600, 1400}, 0, -700);
    assert_true(rig_catch_up(&rig, &p, &s));
    assert_null(peer_receive(&p, &msg, 1500));
    peer_screen_fini(&s);
    peer_close(&p);
    peer_close(&m);
}

/* Content that comes again is not sent again; what does not fit any more is forgotten, the oldest first. */
static void test_display_cache(void **state UNUSED)
{
    struct peer m = {0}, p = {0};
    struct peer_screen s = {0};
    struct rect r = {64, 64, 364, 264};

    rig_join_display(&rig, &p, rig_main(&rig, &m));
    assert_true(rig_catch_up(&rig, &p, &s));
    for (int i = 0; i < 6; i++) {
        uint64_t before = p.bytes;

        fake_display_noise(&rig.display, r, i % 2);
        assert_true(rig_catch_up(&rig, &p, &s));
        assert_true(i < 2 ? p.bytes - before > 300 * 200 * 3 : p.bytes - before < 1000);
    }
    assert_true(s.reused >= 4);
    for (int i = 2; i < 30; i++) {
        fake_display_noise(&rig.display, r, i);
        assert_true(rig_catch_up(&rig, &p, &s));
    }
    assert_true(s.forgotten > 10);
    peer_screen_fini(&s);
    peer_close(&p);
    peer_close(&m);
}

/* A client that does not read costs nothing but its one queue, and later sees the latest state, not the history. */
static void test_display_stalled(void **state UNUSED)
{
    struct peer m = {0}, p = {0};
    struct peer_screen s = {0};

    fake_display_resize(&rig.display, 1600, 1200);
    fake_display_draw(&rig.display, "noise");
    rig_join_display(&rig, &p, rig_main(&rig, &m));
    for (int i = 0; i < 15; i++) {
        fake_display_draw(&rig.display, "noise");
        usleep(20000);
    }
    fake_display_draw(&rig.display, "text");
    assert_true(rig_catch_up(&rig, &p, &s));
    assert_true(p.bytes < 6 * 1600 * 1200 * 4);
    peer_screen_fini(&s);
    peer_close(&p);
    peer_close(&m);
}

/* The surface comes and goes while nobody reads. */
static void test_display_modes(void **state UNUSED)
{
    struct peer m = {0}, p = {0};
    struct peer_screen s = {0};

    rig_join_display(&rig, &p, rig_main(&rig, &m));
    for (unsigned i = 0; i < 100; i++) {
        fake_display_resize(&rig.display, i % 3 ? 300 + i * 7 : 0, i % 3 ? 200 + i * 3 : 0);
        if (i % 3)
            fake_display_draw(&rig.display, "mixed");
        usleep(2000);
    }
    fake_display_resize(&rig.display, 64, 64);
    fake_display_draw(&rig.display, "mixed");
    assert_true(rig_catch_up(&rig, &p, &s));
    peer_screen_fini(&s);
    peer_close(&p);
    peer_close(&m);
}

static void test_several_clients(void **state UNUSED)
{
    struct peer m[4] = {0}, p[4] = {0};
    struct peer_screen s[4] = {0};

    assert_int_equal(fake_display_client(&rig.display), -1);
    for (int i = 0; i < 4; i++)
        rig_join_display(&rig, &p[i], rig_main(&rig, &m[i]));
    fake_display_draw(&rig.display, "mixed");
    for (int i = 0; i < 4; i++)
        assert_true(rig_catch_up(&rig, &p[i], &s[i]));
    assert_true(fake_display_client(&rig.display) & 1u << SPICE_DISPLAY_CAP_COMPOSITE);
    /* A session ends with its main channel, and only that session. */
    peer_close(&m[1]);
    assert_true(peer_closed(p[1].fd, 2000));
    fake_display_scroll(&rig.display, 3);
    assert_true(rig_catch_up(&rig, &p[2], &s[2]));
    for (int i = 0; i < 4; i++) {
        peer_close(&p[i]);
        peer_close(&m[i]);
        peer_screen_fini(&s[i]);
    }
    for (int i = 0; i < 100 && fake_display_is_watched(&rig.display); i++)
        usleep(10000);
    assert_false(fake_display_is_watched(&rig.display));
    assert_int_equal(fake_display_client(&rig.display), -1);
}

/* --- cursor --- */

static void test_cursor(void **state UNUSED)
{
    struct peer m = {0}, p = {0};
    const struct spice_msg_cursor_init *init;
    const struct spice_msg_cursor_set *set;
    const struct spice_msg_cursor_move *move;

    rig_join(&rig, &p, SPICE_CHANNEL_CURSOR, rig_main(&rig, &m));
    init = peer_expect(&p, SPICE_MSG_CURSOR_INIT);
    assert_int_equal(init->cursor.flags, SPICE_CURSOR_FLAGS_NONE);
    fake_display_cursor(&rig.display, 24);
    set = peer_expect(&p, SPICE_MSG_CURSOR_SET);
    assert_int_equal(set->cursor.type, SPICE_CURSOR_TYPE_ALPHA);
    assert_int_equal(set->cursor.width, 24);
    assert_int_equal(set->cursor.data_size, 24 * 24 * 4);
    fake_display_move_cursor(&rig.display, 12, -3);
    move = peer_expect(&p, SPICE_MSG_CURSOR_MOVE);
    assert_int_equal(move->position.x, 12);
    assert_int_equal(move->position.y, -3);
    peer_close(&p);
    rig_join(&rig, &p, SPICE_CHANNEL_CURSOR, rig_main(&rig, &m));
    init = peer_expect(&p, SPICE_MSG_CURSOR_INIT);
    assert_int_equal(init->cursor.height, 24);
    assert_int_equal(init->position.x, 12);
    peer_expect(&p, SPICE_MSG_CURSOR_MOVE);
    peer_close(&p);
    peer_close(&m);
}

/* --- bad manners --- */

static void expect_end(const void *bytes, size_t size, bool full_header)
{
    struct peer m = {0}, p = {.full_header = full_header};

    rig_join(&rig, &p, SPICE_CHANNEL_INPUTS, rig_main(&rig, &m));
    peer_write(p.fd, bytes, size);
    assert_true(peer_closed(p.fd, 2000));
    peer_close(&p);
    peer_close(&m);
}

static void test_bad_messages(void **state UNUSED)
{
    static const uint8_t huge[6] = {101, 0, 0xff, 0xff, 0xff, 0xff},
                         large[6] = {101, 0, 1, 0, 1, 0};
    static const uint8_t truncated[8] = {101, 0, 2, 0, 0, 0, 1, 2};
    static const uint8_t sub_list[18 + 4] = {1, 0, 0, 0, 0, 0, 0, 0, 101,
                                             0, 4, 0, 0, 0, 1, 0, 0, 0};
    static const uint8_t unknown[6 + 6] = {0xff, 0xee, 0, 0, 0, 0, 0xff, 0xef, 0, 0, 0, 0};
    struct peer m = {0}, p = {0};

    expect_end(huge, sizeof(huge), false);
    expect_end(large, sizeof(large), false);
    expect_end(truncated, sizeof(truncated), false);
    expect_end(sub_list, sizeof(sub_list), true);
    rig_join(&rig, &p, SPICE_CHANNEL_INPUTS, rig_main(&rig, &m));
    peer_write(p.fd, unknown, sizeof(unknown));
    send_key(&p, SPICE_MSGC_INPUTS_KEY_DOWN, 0x10);
    send_key(&p, SPICE_MSGC_INPUTS_KEY_UP, 0x90);
    assert_true(rig_log_is(&rig, "10 90 "));
    peer_send(&p, SPICE_MSGC_DISCONNECTING, &(struct spice_msg_disconnecting){0});
    assert_true(peer_closed(p.fd, 2000));
    peer_close(&p);
    peer_close(&m);
}

/* Asks for ever and never reads: the answers have an end. */
static void test_flood(void **state UNUSED)
{
    const struct spice_msgc_main_mouse_mode_request request = {SPICE_MOUSE_MODE_CLIENT};
    struct peer m = {0};
    bool ended = false;

    rig_main(&rig, &m);
    for (int i = 0; i < 2000000 && !ended; i++) {
        uint8_t message[8] = {SPICE_MSGC_MAIN_MOUSE_MODE_REQUEST, 0, 2};

        store_le16(message + 6, request.mode);
        ended = !peer_write(m.fd, message, sizeof(message));
    }
    assert_true(ended);
    peer_close(&m);
}

static void test_goodbye(void **state UNUSED)
{
    struct peer m = {0}, p = {0}, c = {0};
    uint32_t session = rig_main(&rig, &m);

    rig_join_display(&rig, &p, session);
    rig_join(&rig, &c, SPICE_CHANNEL_CURSOR, session);
    peer_expect(&p, SPICE_MSG_DISPLAY_MARK);
    rig_stop(&rig);
    peer_expect(&m, SPICE_MSG_DISCONNECTING);
    assert_true(peer_closed(m.fd, 2000));
    assert_true(peer_closed(p.fd, 2000));
    assert_true(peer_closed(c.fd, 2000));
    peer_close(&c);
    peer_close(&p);
    peer_close(&m);
}

static void test_reconnects(void **state UNUSED)
{
    int before = 0;

    for (int i = 0; i < 100; i++) {
        struct peer m = {0}, p = {0}, c = {0}, in = {0};
        uint32_t session = rig_main(&rig, &m);

        rig_join_display(&rig, &p, session);
        rig_join(&rig, &c, SPICE_CHANNEL_CURSOR, session);
        rig_join(&rig, &in, SPICE_CHANNEL_INPUTS, session);
        peer_expect(&p, SPICE_MSG_DISPLAY_MARK);
        peer_close(i % 2 ? &m : &p);
        peer_close(&c);
        peer_close(&in);
        peer_close(i % 2 ? &p : &m);
        for (int k = 0; k < 200 && (i == 0 ? k < 20 : open_descriptors() > before); k++)
            usleep(10000);
        if (i == 0)
            before = open_descriptors();
        assert_int_equal(open_descriptors(), before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_main, start, stop),
        cmocka_unit_test_setup_teardown(test_mouse_mode, start, stop),
        cmocka_unit_test_setup_teardown(test_keys, start, stop),
        cmocka_unit_test_setup_teardown(test_mouse, start, stop),
        cmocka_unit_test_setup_teardown(test_display_codecs, start, stop),
        cmocka_unit_test_setup_teardown(test_display_unasked, start, stop),
        cmocka_unit_test_setup_teardown(test_display_economy, start, stop),
        cmocka_unit_test_setup_teardown(test_display_scroll, start, stop),
        cmocka_unit_test_setup_teardown(test_display_heads, start, stop),
        cmocka_unit_test_setup_teardown(test_display_random, start, stop),
        cmocka_unit_test_setup_teardown(test_display_lossy, start, stop),
        cmocka_unit_test_setup_teardown(test_display_cache, start, stop),
        cmocka_unit_test_setup_teardown(test_display_stalled, start, stop),
        cmocka_unit_test_setup_teardown(test_display_modes, start, stop),
        cmocka_unit_test_setup_teardown(test_several_clients, start, stop),
        cmocka_unit_test_setup_teardown(test_cursor, start, stop),
        cmocka_unit_test_setup_teardown(test_bad_messages, start, stop),
        cmocka_unit_test_setup_teardown(test_flood, start, stop),
        cmocka_unit_test_setup_teardown(test_goodbye, start, stop),
        cmocka_unit_test_setup_teardown(test_reconnects, start, stop),
    };

    return cmocka_run_group_tests_name("server", tests, NULL, NULL);
}
