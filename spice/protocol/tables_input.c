/* The inputs and cursor channels. */
#include "spice/protocol/tables.h"

#define T struct spice_msg_inputs_key_modifiers
static const struct msg_field key_modifiers_fields[] = {{U16(modifiers)}};
static TYPE(key_modifiers, "key_modifiers");
#undef T

#define T struct spice_msgc_inputs_key
static const struct msg_field key_fields[] = {{U32(code)}};
static TYPE(key, "key");
#undef T

#define T struct spice_msgc_inputs_mouse_motion
static const struct msg_field mouse_motion_fields[] = {{I32(dx)}, {I32(dy)}, {U16(buttons_state)}};
static TYPE(mouse_motion, "mouse_motion");
#undef T

#define T struct spice_msgc_inputs_mouse_position
static const struct msg_field mouse_position_fields[] = {
    {U32(x)},
    {U32(y)},
    {U16(buttons_state)},
    {U8(display_id)},
};
static TYPE(mouse_position, "mouse_position");
#undef T

#define T struct spice_msgc_inputs_mouse_button
static const struct msg_field mouse_button_fields[] = {{U8(button)}, {U16(buttons_state)}};
static TYPE(mouse_button, "mouse_button");
#undef T

static const struct spice_msg_info inputs_to_client[] = {
    {SPICE_MSG_INPUTS_INIT, "init", &key_modifiers},
    {SPICE_MSG_INPUTS_KEY_MODIFIERS, "key_modifiers", &key_modifiers},
    {SPICE_MSG_INPUTS_MOUSE_MOTION_ACK, "mouse_motion_ack", &spice_empty_type},
};

static const struct spice_msg_info inputs_to_server[] = {
    {SPICE_MSGC_INPUTS_KEY_DOWN, "key_down", &key},
    {SPICE_MSGC_INPUTS_KEY_UP, "key_up", &key},
    {SPICE_MSGC_INPUTS_KEY_MODIFIERS, "key_modifiers", &key_modifiers},
    {SPICE_MSGC_INPUTS_KEY_SCANCODE, "key_scancode", &spice_data_type},
    {SPICE_MSGC_INPUTS_MOUSE_MOTION, "mouse_motion", &mouse_motion},
    {SPICE_MSGC_INPUTS_MOUSE_POSITION, "mouse_position", &mouse_position},
    {SPICE_MSGC_INPUTS_MOUSE_PRESS, "mouse_press", &mouse_button},
    {SPICE_MSGC_INPUTS_MOUSE_RELEASE, "mouse_release", &mouse_button},
};

const struct spice_msg_list spice_inputs_list[2] = {LIST(inputs_to_client), LIST(inputs_to_server)};

static const struct msg_name cursor_types[] = {
    {SPICE_CURSOR_TYPE_ALPHA, "alpha"},     {SPICE_CURSOR_TYPE_MONO, "mono"},
    {SPICE_CURSOR_TYPE_COLOR4, "color4"},   {SPICE_CURSOR_TYPE_COLOR8, "color8"},
    {SPICE_CURSOR_TYPE_COLOR16, "color16"}, {SPICE_CURSOR_TYPE_COLOR24, "color24"},
    {SPICE_CURSOR_TYPE_COLOR32, "color32"}, {0, NULL},
};

#define T     struct spice_cursor
#define SHAPE IF(MSG_NO_BIT, flags, SPICE_CURSOR_FLAGS_NONE)
static const struct msg_field cursor_fields[] = {
    {U16(flags)},        {U64(unique), SHAPE},    {ONE_OF(type, 1, cursor_types), SHAPE},
    {U16(width), SHAPE}, {U16(height), SHAPE},    {U16(hot_x), SHAPE},
    {U16(hot_y), SHAPE}, {REST(data, data_size)},
};
static TYPE(cursor, "cursor");
#undef T

#define T struct spice_msg_cursor_init
static const struct msg_field cursor_init_fields[] = {
    {STRUCT(position, spice_point16_type)},
    {U16(trail_length)},
    {U16(trail_frequency)},
    {U8(visible)},
    {STRUCT(cursor, cursor)},
};
static TYPE(cursor_init, "cursor_init");
#undef T

#define T struct spice_msg_cursor_set
static const struct msg_field cursor_set_fields[] = {
    {STRUCT(position, spice_point16_type)},
    {U8(visible)},
    {STRUCT(cursor, cursor)},
};
static TYPE(cursor_set, "cursor_set");
#undef T

#define T struct spice_msg_cursor_move
static const struct msg_field cursor_move_fields[] = {{STRUCT(position, spice_point16_type)}};
static TYPE(cursor_move, "cursor_move");
#undef T

#define T struct spice_msg_cursor_trail
static const struct msg_field cursor_trail_fields[] = {{U16(length)}, {U16(frequency)}};
static TYPE(cursor_trail, "cursor_trail");
#undef T

static const struct spice_msg_info cursor_to_client[] = {
    {SPICE_MSG_CURSOR_INIT, "init", &cursor_init},
    {SPICE_MSG_CURSOR_RESET, "reset", &spice_empty_type},
    {SPICE_MSG_CURSOR_SET, "set", &cursor_set},
    {SPICE_MSG_CURSOR_MOVE, "move", &cursor_move},
    {SPICE_MSG_CURSOR_HIDE, "hide", &spice_empty_type},
    {SPICE_MSG_CURSOR_TRAIL, "trail", &cursor_trail},
    {SPICE_MSG_CURSOR_INVAL_ONE, "inval_one", &spice_inval_one_type},
    {SPICE_MSG_CURSOR_INVAL_ALL, "inval_all", &spice_empty_type},
};

const struct spice_msg_list spice_cursor_list[2] = {LIST(cursor_to_client), {NULL, 0}};
