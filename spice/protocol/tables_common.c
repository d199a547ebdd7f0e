/* Pieces of several channels, and the messages that every channel has. */
#include "spice/protocol/tables.h"

const struct msg_type spice_empty_type = {.name = "empty"};

#define T struct spice_data
static const struct msg_field spice_data_type_fields[] = {{REST(data, size)}};
TYPE(spice_data_type, "data");
#undef T

#define T struct spice_point
static const struct msg_field spice_point_type_fields[] = {{I32(x)}, {I32(y)}};
TYPE(spice_point_type, "point");
#undef T

#define T struct spice_point16
static const struct msg_field spice_point16_type_fields[] = {{I16(x)}, {I16(y)}};
TYPE(spice_point16_type, "point16");
#undef T

#define T struct rect
static const struct msg_field spice_rect_type_fields[] = {
    {I32(top)}, {I32(left)}, {I32(bottom)}, {I32(right)}};
TYPE(spice_rect_type, "rect");
#undef T

#define T struct spice_msg_migrate
static const struct msg_field migrate_fields[] = {{U32(flags)}};
static TYPE(migrate, "migrate");
#undef T

#define T struct spice_msg_set_ack
static const struct msg_field set_ack_fields[] = {{U32(generation)}, {U32(window)}};
static TYPE(set_ack, "set_ack");
#undef T

#define T struct spice_msg_ping
static const struct msg_field ping_fields[] = {
    {U32(id)}, {U64(timestamp)}, {REST(data, data_size)}};
static TYPE(ping, "ping");
#undef T

#define T struct spice_channel_wait
static const struct msg_field channel_wait_fields[] = {
    {U8(channel_type)}, {U8(channel_id)}, {U64(message_serial)}};
static TYPE(channel_wait, "channel_wait");
#undef T

#define T struct spice_msg_wait_for_channels
static const struct msg_field spice_wait_for_channels_type_fields[] = {
    {U8(count)}, {ARRAY(waits, channel_wait, count, 255)}};
TYPE(spice_wait_for_channels_type, "wait_for_channels");
#undef T

#define T struct spice_msg_disconnecting
static const struct msg_field disconnecting_fields[] = {{U64(time_stamp)}, {U32(reason)}};
static TYPE(disconnecting, "disconnecting");
#undef T

#define T struct spice_msg_notify
static const struct msg_field notify_fields[] = {
    {U64(time_stamp)}, {U32(severity)},     {U32(visibility)},
    {U32(what)},       {U32(message_size)}, {ARRAY_INT(message, message_size, 64 * 1024)},
};
static TYPE(notify, "notify");
#undef T

#define T struct spice_msgc_ack_sync
static const struct msg_field ack_sync_fields[] = {{U32(generation)}};
static TYPE(ack_sync, "ack_sync");
#undef T

#define T struct spice_msgc_pong
static const struct msg_field pong_fields[] = {{U32(id)}, {U64(timestamp)}};
static TYPE(pong, "pong");
#undef T

static const struct spice_msg_info to_client[] = {
    {SPICE_MSG_MIGRATE, "migrate", &migrate},
    {SPICE_MSG_MIGRATE_DATA, "migrate_data", &spice_data_type},
    {SPICE_MSG_SET_ACK, "set_ack", &set_ack},
    {SPICE_MSG_PING, "ping", &ping},
    {SPICE_MSG_WAIT_FOR_CHANNELS, "wait_for_channels", &spice_wait_for_channels_type},
    {SPICE_MSG_DISCONNECTING, "disconnecting", &disconnecting},
    {SPICE_MSG_NOTIFY, "notify", &notify},
    {SPICE_MSG_LIST, "list", &spice_data_type},
};

static const struct spice_msg_info to_server[] = {
    {SPICE_MSGC_ACK_SYNC, "ack_sync", &ack_sync},
    {SPICE_MSGC_ACK, "ack", &spice_empty_type},
    {SPICE_MSGC_PONG, "pong", &pong},
    {SPICE_MSGC_MIGRATE_FLUSH_MARK, "migrate_flush_mark", &spice_empty_type},
    {SPICE_MSGC_MIGRATE_DATA, "migrate_data", &spice_data_type},
    {SPICE_MSGC_DISCONNECTING, "disconnecting", &disconnecting},
};

const struct spice_msg_list spice_common_list[2] = {LIST(to_client), LIST(to_server)};
