/* The message tables: every message there and back, cut short, with hostile counts; and some bytes known by heart. */
#include "spice/protocol/messages.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* --- random content that obeys the table --- */

static uint32_t seed = 12345;

static uint32_t rnd(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 8;
}

static void fill_fields(const struct msg_type *type, void *base, struct msg_arena *arena);

static void fill_bytes(void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)p)[i] = rnd();
}

static void fill_scalar(const struct msg_field *f, void *member)
{
    size_t names = 0;

    fill_bytes(member, f->mem);
    while (f->known && f->names[names].name)
        names++;
    if (names)
        msg_ref_set(member, (struct msg_ref){0, f->mem}, f->names[rnd() % names].value);
}

/* Elements for a pointer member; sets the members that count them. */
static void *fill_elements(const struct msg_field *f, void *base, struct msg_arena *arena)
{
    size_t size = f->type ? f->type->size : f->mem;
    uint64_t n;
    uint8_t *p;

    msg_ref_set(base, f->count.a, rnd() % 6);
    msg_ref_set(base, f->count.b, rnd() % 6);
    msg_ref_set(base, f->count.plus, rnd() % 6);
    n = f->kind == MSG_REST ? msg_ref_get(base, f->count.a) : msg_count_get(&f->count, base);
    p = msg_arena_alloc(arena, n * size);
    assert_non_null(p);
    fill_bytes(p, f->type ? 0 : n * size);
    for (uint64_t i = 0; f->type && i < n; i++)
        fill_fields(f->type, p + i * size, arena);
    return p;
}

static void fill_field(const struct msg_field *f, void *base, struct msg_arena *arena)
{
    uint8_t *member = (uint8_t *)base + f->offset;
    void *p = NULL;

    switch (f->kind) {
    case MSG_SCALAR:
        fill_scalar(f, member);
        return;
    case MSG_FIXED:
        fill_bytes(member, f->count.fixed * f->mem);
        return;
    case MSG_STRUCT:
        fill_fields(f->type, member, arena);
        return;
    case MSG_POINTER:
        if (f->nonnull || rnd() % 4) {
            p = msg_arena_alloc(arena, f->type->size);
            fill_fields(f->type, p, arena);
        }
        break;
    default:
        p = fill_elements(f, base, arena);
    }
    memcpy(member, &p, sizeof(p));
}

static void fill_fields(const struct msg_type *type, void *base, struct msg_arena *arena)
{
    for (size_t i = 0; i < type->field_count; i++)
        if (msg_when_holds(&type->fields[i].when, base))
            fill_field(&type->fields[i], base, arena);
}

/* --- the tests --- */

struct fixture {
    struct msg_arena made, decoded;
    struct writer first, second;
    char text[2][8192];
    unsigned count;
};

static void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    writer_init(&f->first, MIB(1));
    writer_init(&f->second, MIB(1));
}

static void fixture_fini(struct fixture *f)
{
    msg_arena_fini(&f->made);
    msg_arena_fini(&f->decoded);
    writer_fini(&f->first);
    writer_fini(&f->second);
}

static void *make(struct fixture *f, const struct msg_type *type)
{
    void *msg;

    msg_arena_reset(&f->made);
    writer_reset(&f->first);
    msg = msg_arena_alloc(&f->made, type->size);
    fill_fields(type, msg, &f->made);
    assert_int_equal(msg_encode(type, msg, &f->first), 0);
    return msg;
}

static void round_trip(struct fixture *f, const struct msg_type *type)
{
    void *msg = make(f, type), *again;

    msg_arena_reset(&f->decoded);
    writer_reset(&f->second);
    assert_int_equal(msg_decode(type, f->first.data, f->first.size, &f->decoded, &again), 0);
    msg_print(type, msg, f->text[0], sizeof(f->text[0]));
    msg_print(type, again, f->text[1], sizeof(f->text[1]));
    assert_string_equal(f->text[0], f->text[1]);
    assert_int_equal(msg_encode(type, again, &f->second), 0);
    assert_int_equal(f->first.size, f->second.size);
    if (f->first.size)
        assert_memory_equal(f->first.data, f->second.data, f->first.size);
}

static void round_trips(unsigned channel, enum spice_direction direction,
                        const struct spice_msg_info *info, void *arg)
{
    struct fixture *f = arg;

    assert_ptr_equal(spice_msg_find(channel, direction, info->id), info);
    for (int i = 0; i < 60; i++)
        round_trip(f, info->type);
    f->count++;
}

static const struct msg_type *const link_types[] = {
    &spice_link_header_type, &spice_link_mess_type,   &spice_link_reply_type,
    &spice_link_auth_type,   &spice_link_ticket_type, &spice_link_result_type,
    &spice_header_type,      &spice_mini_header_type,
};

static void test_round_trip(void **state UNUSED)
{
    struct fixture f;

    fixture_init(&f);
    spice_msg_for_each(round_trips, &f);
    assert_true(f.count > 100);
    for (size_t i = 0; i < ARRAY_SIZE(link_types); i++)
        for (int k = 0; k < 60; k++)
            round_trip(&f, link_types[i]);
    fixture_fini(&f);
}

/* A prefix decodes only if what is missing was a "rest of the message"; it never reads past its end. */
static void cut(struct fixture *f, const struct msg_type *type)
{
    make(f, type);
    for (size_t size = 0; size < f->first.size; size++) {
        uint8_t *copy = malloc(size ? size : 1);
        void *out;
        int err;

        memcpy(copy, f->first.data, size);
        msg_arena_reset(&f->decoded);
        err = msg_decode(type, copy, size, &f->decoded, &out);
        assert_true(err == 0 || err == -EBADMSG);
        if (err == 0)
            msg_print(type, out, f->text[0], sizeof(f->text[0]));
        free(copy);
    }
}

static void cuts(unsigned channel UNUSED, enum spice_direction direction UNUSED,
                 const struct spice_msg_info *info, void *arg)
{
    for (int i = 0; i < 10; i++)
        cut(arg, info->type);
}

static void test_truncated(void **state UNUSED)
{
    struct fixture f;

    fixture_init(&f);
    spice_msg_for_each(cuts, &f);
    for (size_t i = 0; i < ARRAY_SIZE(link_types); i++)
        cut(&f, link_types[i]);
    fixture_fini(&f);
}

/* Every u32 of every message set to the values that hurt. */
static void hurt(struct fixture *f, const struct msg_type *type)
{
    static const uint32_t values[] = {0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};

    make(f, type);
    for (size_t at = 0; at + 4 <= f->first.size; at++) {
        for (size_t v = 0; v < ARRAY_SIZE(values); v++) {
            uint8_t *copy = malloc(f->first.size);
            void *out;

            memcpy(copy, f->first.data, f->first.size);
            store_le32(copy + at, values[v]);
            msg_arena_reset(&f->decoded);
            if (msg_decode(type, copy, f->first.size, &f->decoded, &out) == 0)
                msg_print(type, out, f->text[0], sizeof(f->text[0]));
            assert_true(f->decoded.used <= MSG_ARENA_MAX);
            free(copy);
        }
    }
}

static void hurts(unsigned channel UNUSED, enum spice_direction direction UNUSED,
                  const struct spice_msg_info *info, void *arg)
{
    for (int i = 0; i < 4; i++)
        hurt(arg, info->type);
}

static void test_hostile_values(void **state UNUSED)
{
    struct fixture f;

    fixture_init(&f);
    spice_msg_for_each(hurts, &f);
    fixture_fini(&f);
}

/* A DRAW_COPY of a 2x1 raw bitmap, byte by byte as the protocol says. */
static const uint8_t draw_copy_bytes[] = {
    7,  0,   0,   0,                                            /* surface */
    2,  0,   0,   0,   1,   0, 0, 0,    3, 0, 0, 0, 3, 0, 0, 0, /* top left bottom right */
    1,  1,   0,   0,   0,                                       /* clip: one rectangle */
    5,  0,   0,   0,   6,   0, 0, 0,    7, 0, 0, 0, 8, 0, 0, 0, /* top left bottom right */
    77, 0,   0,   0,                                            /* the image is at 77 */
    0,  0,   0,   0,   0,   0, 0, 0,    1, 0, 0, 0, 2, 0, 0, 0, /* source area */
    8,  0,   1,                                                 /* OP_PUT, nearest */
    0,  255, 255, 255, 255, 2, 0, 0,    0, 0, 0, 0, 0,          /* mask: at (-1, 2), none */
    9,  0,   0,   0,   0,   0, 0, 0x80, 0, 1, 2, 0, 0, 0, 1, 0,
    0,  0, /* id, bitmap, CACHE_ME, 2x1 */
    8,  4,   2,   0,   0,   0, 1, 0,    0, 0, 8, 0, 0, 0, 0, 0,
    0,  0, /* 32 bit, top down, 2x1, stride, no palette */
    1,  2,   3,   0,   4,   5, 6, 0,
};

static void test_known_draw_copy(void **state UNUSED)
{
    const struct msg_type *type = spice_msg_find(SPICE_CHANNEL_DISPLAY, SPICE_TO_CLIENT, 304)->type;
    struct spice_msg_display_draw_copy *m;
    struct msg_arena arena = {0};
    struct writer w;
    void *out;

    assert_int_equal(msg_decode(type, draw_copy_bytes, sizeof(draw_copy_bytes), &arena, &out), 0);
    m = out;
    assert_int_equal(m->base.surface_id, 7);
    assert_int_equal(m->base.box.left, 1);
    assert_int_equal(m->base.box.top, 2);
    assert_int_equal(m->base.clip.count, 1);
    assert_int_equal(m->base.clip.rects[0].left, 6);
    assert_int_equal(m->rop, SPICE_ROPD_OP_PUT);
    assert_int_equal(m->mask.pos.x, -1);
    assert_null(m->mask.bitmap);
    assert_int_equal(m->src->id, 0x8000000000000009);
    assert_int_equal(m->src->bitmap.stride, 8);
    assert_ptr_equal(m->src->bitmap.data, draw_copy_bytes + sizeof(draw_copy_bytes) - 8);
    writer_init(&w, 1000);
    writer_u8(&w, 0xaa); /* what is there before does not count for the offsets */
    assert_int_equal(msg_encode(type, m, &w), 0);
    assert_int_equal(w.size, 1 + sizeof(draw_copy_bytes));
    assert_memory_equal(w.data + 1, draw_copy_bytes, sizeof(draw_copy_bytes));
    writer_fini(&w);
    msg_arena_fini(&arena);
}

static void test_known_cursor(void **state UNUSED)
{
    static const uint8_t bytes[] = {254, 255, 3, 0, 1, 4, 0, 1, 0, 0, 0, 0,    0,
                                    0,   0,   1, 8, 0, 1, 0, 2, 0, 3, 0, 0xf0, 0x0f};
    const struct msg_type *type =
        spice_msg_find(SPICE_CHANNEL_CURSOR, SPICE_TO_CLIENT, SPICE_MSG_CURSOR_SET)->type;
    struct spice_msg_cursor_set *m;
    struct msg_arena arena = {0};
    char text[300];
    void *out;

    assert_int_equal(msg_decode(type, bytes, sizeof(bytes), &arena, &out), 0);
    m = out;
    assert_int_equal(m->position.x, -2);
    assert_int_equal(m->cursor.type, SPICE_CURSOR_TYPE_MONO);
    assert_int_equal(m->cursor.hot_y, 3);
    assert_int_equal(m->cursor.data_size, 2);
    assert_string_equal(
        msg_print(type, m, text, sizeof(text)),
        "position={x=-2 y=3} visible=1 cursor={flags=4 unique=1 type=mono width=8 height=1 hot_x=2 "
        "hot_y=3 data=f00f<2 bytes>}");
    msg_arena_fini(&arena);
}

static int decode(unsigned channel, enum spice_direction direction, unsigned id, const void *bytes,
                  size_t size)
{
    struct msg_arena arena = {0};
    void *out;
    int err = msg_decode(spice_msg_find(channel, direction, id)->type, bytes, size, &arena, &out);

    msg_arena_fini(&arena);
    return err;
}

static void test_refusals(void **state UNUSED)
{
    static const uint8_t name[5] = {0xff, 0xff, 0xff, 0xff, 'x'};
    static const uint8_t nowhere[20] = {[4] = 3}; /* a host of three bytes, at no offset */
    uint8_t bytes[sizeof(draw_copy_bytes)];

    assert_int_equal(decode(SPICE_CHANNEL_MAIN, SPICE_TO_CLIENT, SPICE_MSG_MAIN_NAME, name, 5),
                     -E2BIG);
    assert_int_equal(decode(SPICE_CHANNEL_MAIN, SPICE_TO_CLIENT, SPICE_MSG_MAIN_MIGRATE_SWITCH_HOST, nowhere,
                            sizeof(nowhere)), -EBADMSG);
    memcpy(bytes, draw_copy_bytes, sizeof(bytes));
    bytes[85] = 99; /* no such image type */
    assert_int_equal(decode(SPICE_CHANNEL_DISPLAY, SPICE_TO_CLIENT, 304, bytes, sizeof(bytes)),
                     -EBADMSG);
    assert_null(spice_msg_find(SPICE_CHANNEL_MAIN, SPICE_TO_SERVER, 999));
    assert_null(spice_msg_find(77, SPICE_TO_SERVER, SPICE_MSGC_ACK));
}

static void test_arena_bound(void **state UNUSED)
{
    struct msg_arena arena = {.max = 1000};

    assert_non_null(msg_arena_alloc(&arena, 600));
    assert_null(msg_arena_alloc(&arena, 600));
    assert_null(msg_arena_alloc(&arena, SIZE_MAX));
    assert_non_null(msg_arena_alloc(&arena, 400));
    assert_null(msg_arena_alloc(&arena, 1));
    msg_arena_reset(&arena);
    assert_non_null(msg_arena_alloc(&arena, 600));
    msg_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_hostile_values), cmocka_unit_test(test_known_draw_copy),
        cmocka_unit_test(test_known_cursor),   cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_arena_bound),
    };

    return cmocka_run_group_tests_name("protocol", tests, NULL, NULL);
}
