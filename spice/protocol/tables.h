/*
 * tables.h - the words that the message tables are written in; only for tables_*.c.
 *
 * A table defines T as its struct, lists the members in wire order, and ends with TYPE(). Each word makes one
 * `struct msg_field`; a leading IF() makes the field conditional.
 */
#ifndef SPICE_PROTOCOL_TABLES_H
#define SPICE_PROTOCOL_TABLES_H

#include "spice/protocol/messages.h"

#define MEMBER_SIZE(m) sizeof(((T *)0)->m)
#define REF(m)                                                                                     \
    {                                                                                              \
        offsetof(T, m), MEMBER_SIZE(m)                                                             \
    }

#define SCALAR(m, bytes, ...)                                                                      \
    .name = #m, .kind = MSG_SCALAR, .offset = offsetof(T, m), .wire = bytes,                       \
    .mem = MEMBER_SIZE(m), ##__VA_ARGS__
#define U8(m)  SCALAR(m, 1)
#define U16(m) SCALAR(m, 2)
#define U32(m) SCALAR(m, 4)
#define U64(m) SCALAR(m, 8)
#define I16(m) SCALAR(m, 2, .is_signed = true)
#define I32(m) SCALAR(m, 4, .is_signed = true)
#define I64(m) SCALAR(m, 8, .is_signed = true)
/* With names for the trace; ONE_OF refuses other values, for what decides how the rest is read. */
#define NAMED(m, bytes, table)  SCALAR(m, bytes, .names = table)
#define ONE_OF(m, bytes, table) SCALAR(m, bytes, .names = table, .known = true)

#define STRUCT(m, t) .name = #m, .kind = MSG_STRUCT, .offset = offsetof(T, m), .type = &t
#define BYTES_FIXED(m)                                                                             \
    .name = #m, .kind = MSG_FIXED, .offset = offsetof(T, m), .wire = 1, .mem = 1,                  \
    .count = {.fixed = MEMBER_SIZE(m)}

#define POINTED(m, how) .name = #m, .kind = how, .offset = offsetof(T, m)
#define INTEGERS(m)     .wire = sizeof(*((T *)0)->m), .mem = sizeof(*((T *)0)->m)
/* n is the member that counts. */
#define ARRAY(m, t, n, limit)                                                                      \
    POINTED(m, MSG_ARRAY), .type = &t, .count = {.a = REF(n), .max = limit}
#define ARRAY_INT(m, n, limit)                                                                     \
    POINTED(m, MSG_ARRAY), INTEGERS(m), .count = {.a = REF(n), .max = limit}
/* Rows of (w * depth + 7) / 8 bytes, h of them. */
#define ARRAY_ROWS(m, depth, w, h)                                                                 \
    POINTED(m, MSG_ARRAY), INTEGERS(m),                                                            \
        .count = {.a = REF(w), .b = REF(h), .bits = depth, .max = MSG_MAX_SIZE}
#define REST(m, n) POINTED(m, MSG_REST), INTEGERS(m), .count = {.a = REF(n)}

#define POINTER(m, t)         POINTED(m, MSG_POINTER), .type = &t
#define POINTER_NONNULL(m, t) POINTER(m, t), .nonnull = true
#define POINTER_INT(m, n, limit)                                                                   \
    POINTED(m, MSG_POINTER_ARRAY), INTEGERS(m), .count = {.a = REF(n), .max = limit}

#define IF(how, m, v) .when = {how, REF(m), v}

#define TYPE(symbol, text)                                                                         \
    const struct msg_type symbol = {text, sizeof(T), symbol##_fields, ARRAY_SIZE(symbol##_fields)}

struct spice_msg_list {
    const struct spice_msg_info *messages;
    size_t count;
};

/* Of each table file. */
extern const struct spice_msg_list spice_common_list[2], spice_main_list[2], spice_display_list[2],
    spice_draw_list[2], spice_inputs_list[2], spice_cursor_list[2], spice_port_list[2],
    spice_playback_list[2], spice_record_list[2];

#define LIST(a)                                                                                    \
    {                                                                                              \
        a, ARRAY_SIZE(a)                                                                           \
    }

/* Pieces that several tables use. */
extern const struct msg_type spice_empty_type, spice_data_type, spice_point_type,
    spice_point16_type, spice_rect_type, spice_clip_type, spice_image_type, spice_brush_type,
    spice_mask_type, spice_display_base_type, spice_wait_for_channels_type, spice_inval_one_type;

#endif
