/* The main channel. */
#include "spice/protocol/tables.h"

#include <string.h>

#define MAX_HOST     1024
#define MAX_SUBJECT  4096
#define MAX_CHANNELS 1024
#define MAX_NAME     1024

/* Each offset follows its size. */
#define T struct spice_msg_main_migrate_begin
#define DESTINATION                                                                                \
    {U16(port)}, {U16(secure_port)}, {U32(host_size)}, {POINTER_INT(host, host_size, MAX_HOST)},   \
        {U32(cert_subject_size)},                                                                  \
    {                                                                                              \
        POINTER_INT(cert_subject, cert_subject_size, MAX_SUBJECT)                                  \
    }
static const struct msg_field migrate_begin_fields[] = {DESTINATION};
static TYPE(migrate_begin, "migrate_begin");
static const struct msg_field migrate_begin_seamless_fields[] = {DESTINATION, {U32(src_version)}};
static TYPE(migrate_begin_seamless, "migrate_begin_seamless");
#undef T

#define T struct spice_msg_main_init
static const struct msg_field init_fields[] = {
    {U32(session_id)},
    {U32(display_channels_hint)},
    {U32(supported_mouse_modes)},
    {U32(current_mouse_mode)},
    {U32(agent_connected)},
    {U32(agent_tokens)},
    {U32(multi_media_time)},
    {U32(ram_hint)},
};
static TYPE(init, "init");
#undef T

static const struct msg_name channel_names[] = {
    {SPICE_CHANNEL_MAIN, "main"},         {SPICE_CHANNEL_DISPLAY, "display"},
    {SPICE_CHANNEL_INPUTS, "inputs"},     {SPICE_CHANNEL_CURSOR, "cursor"},
    {SPICE_CHANNEL_PLAYBACK, "playback"}, {SPICE_CHANNEL_RECORD, "record"},
    {SPICE_CHANNEL_TUNNEL, "tunnel"},     {SPICE_CHANNEL_SMARTCARD, "smartcard"},
    {SPICE_CHANNEL_USBREDIR, "usbredir"}, {SPICE_CHANNEL_PORT, "port"},
    {SPICE_CHANNEL_WEBDAV, "webdav"},     {0, NULL},
};

const char *spice_channel_name(unsigned channel)
{
    for (const struct msg_name *n = channel_names; n->name; n++)
        if (n->value == channel)
            return n->name;
    return "unknown";
}

unsigned spice_channel_type(const char *name)
{
    for (const struct msg_name *n = channel_names; n->name; n++)
        if (strcmp(n->name, name) == 0)
            return n->value;
    return 0;
}

#define T struct spice_channel_id
static const struct msg_field channel_id_fields[] = {{NAMED(type, 1, channel_names)}, {U8(id)}};
static TYPE(channel_id, "channel_id");
#undef T

#define T struct spice_msg_main_channels_list
static const struct msg_field channels_list_fields[] = {
    {U32(count)},
    {ARRAY(channels, channel_id, count, MAX_CHANNELS)},
};
static TYPE(channels_list, "channels_list");
#undef T

#define T struct spice_msg_main_mouse_mode
static const struct msg_field mouse_mode_fields[] = {{U16(supported_modes)}, {U16(current_mode)}};
static TYPE(mouse_mode, "mouse_mode");
#undef T

#define T struct spice_msg_main_multi_media_time
static const struct msg_field multi_media_time_fields[] = {{U32(time)}};
static TYPE(multi_media_time, "multi_media_time");
#undef T

#define T struct spice_msg_main_agent_disconnected
static const struct msg_field agent_disconnected_fields[] = {{U32(error_code)}};
static TYPE(agent_disconnected, "agent_disconnected");
#undef T

#define T struct spice_msg_main_agent_tokens
static const struct msg_field agent_tokens_fields[] = {{U32(num_tokens)}};
static TYPE(agent_tokens, "agent_tokens");
#undef T

#define T struct spice_msg_main_name
static const struct msg_field name_fields[] = {{U32(size)}, {ARRAY_INT(name, size, MAX_NAME)}};
static TYPE(name, "name");
#undef T

#define T struct spice_msg_main_uuid
static const struct msg_field uuid_fields[] = {{BYTES_FIXED(uuid)}};
static TYPE(uuid, "uuid");
#undef T

#define T struct spice_msgc_main_client_info
static const struct msg_field client_info_fields[] = {{U64(cache_size)}};
static TYPE(client_info, "client_info");
#undef T

#define T struct spice_msgc_main_mouse_mode_request
static const struct msg_field mouse_mode_request_fields[] = {{U16(mode)}};
static TYPE(mouse_mode_request, "mouse_mode_request");
#undef T

#define T struct spice_msgc_main_migrate_dst_do_seamless
static const struct msg_field migrate_dst_do_seamless_fields[] = {{U32(src_version)}};
static TYPE(migrate_dst_do_seamless, "migrate_dst_do_seamless");
#undef T

static const struct spice_msg_info to_client[] = {
    {SPICE_MSG_MAIN_MIGRATE_BEGIN, "migrate_begin", &migrate_begin},
    {SPICE_MSG_MAIN_MIGRATE_CANCEL, "migrate_cancel", &spice_empty_type},
    {SPICE_MSG_MAIN_INIT, "init", &init},
    {SPICE_MSG_MAIN_CHANNELS_LIST, "channels_list", &channels_list},
    {SPICE_MSG_MAIN_MOUSE_MODE, "mouse_mode", &mouse_mode},
    {SPICE_MSG_MAIN_MULTI_MEDIA_TIME, "multi_media_time", &multi_media_time},
    {SPICE_MSG_MAIN_AGENT_CONNECTED, "agent_connected", &spice_empty_type},
    {SPICE_MSG_MAIN_AGENT_DISCONNECTED, "agent_disconnected", &agent_disconnected},
    {SPICE_MSG_MAIN_AGENT_DATA, "agent_data", &spice_data_type},
    {SPICE_MSG_MAIN_AGENT_TOKEN, "agent_token", &agent_tokens},
    {SPICE_MSG_MAIN_MIGRATE_SWITCH_HOST, "migrate_switch_host", &migrate_begin},
    {SPICE_MSG_MAIN_MIGRATE_END, "migrate_end", &spice_empty_type},
    {SPICE_MSG_MAIN_NAME, "name", &name},
    {SPICE_MSG_MAIN_UUID, "uuid", &uuid},
    {SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS, "agent_connected_tokens", &agent_tokens},
    {SPICE_MSG_MAIN_MIGRATE_BEGIN_SEAMLESS, "migrate_begin_seamless", &migrate_begin_seamless},
    {SPICE_MSG_MAIN_MIGRATE_DST_SEAMLESS_ACK, "migrate_dst_seamless_ack", &spice_empty_type},
    {SPICE_MSG_MAIN_MIGRATE_DST_SEAMLESS_NACK, "migrate_dst_seamless_nack", &spice_empty_type},
};

static const struct spice_msg_info to_server[] = {
    {SPICE_MSGC_MAIN_CLIENT_INFO, "client_info", &client_info},
    {SPICE_MSGC_MAIN_MIGRATE_CONNECTED, "migrate_connected", &spice_empty_type},
    {SPICE_MSGC_MAIN_MIGRATE_CONNECT_ERROR, "migrate_connect_error", &spice_empty_type},
    {SPICE_MSGC_MAIN_ATTACH_CHANNELS, "attach_channels", &spice_empty_type},
    {SPICE_MSGC_MAIN_MOUSE_MODE_REQUEST, "mouse_mode_request", &mouse_mode_request},
    {SPICE_MSGC_MAIN_AGENT_START, "agent_start", &agent_tokens},
    {SPICE_MSGC_MAIN_AGENT_DATA, "agent_data", &spice_data_type},
    {SPICE_MSGC_MAIN_AGENT_TOKEN, "agent_token", &agent_tokens},
    {SPICE_MSGC_MAIN_MIGRATE_END, "migrate_end", &spice_empty_type},
    {SPICE_MSGC_MAIN_MIGRATE_DST_DO_SEAMLESS, "migrate_dst_do_seamless", &migrate_dst_do_seamless},
    {SPICE_MSGC_MAIN_MIGRATE_CONNECTED_SEAMLESS, "migrate_connected_seamless", &spice_empty_type},
    {SPICE_MSGC_MAIN_QUALITY_INDICATOR, "quality_indicator", &spice_data_type},
};

const struct spice_msg_list spice_main_list[2] = {LIST(to_client), LIST(to_server)};
