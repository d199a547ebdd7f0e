/* Sound from the guest (playback) and to it (record). */
#include "spice/protocol/tables.h"

static const struct msg_name mode_names[] = {
    {SPICE_AUDIO_DATA_MODE_RAW, "raw"},
    {SPICE_AUDIO_DATA_MODE_OPUS, "opus"},
    {0, NULL},
};
static const struct msg_name format_names[] = {{SPICE_AUDIO_FMT_S16, "s16"}, {0, NULL}};

#define T struct spice_msg_sound_packet
static const struct msg_field packet_fields[] = {{U32(time)}, {REST(data, size)}};
static TYPE(packet, "packet");
#undef T

#define T struct spice_msg_sound_mode
static const struct msg_field mode_fields[] = {{U32(time)}, {NAMED(mode, 2, mode_names)}, {REST(data, size)}};
static TYPE(mode, "mode");
#undef T

#define T struct spice_msg_playback_start
static const struct msg_field playback_start_fields[] = {
    {U32(channels)}, {NAMED(format, 2, format_names)}, {U32(frequency)}, {U32(time)}};
static TYPE(playback_start, "playback_start");
#undef T

#define T struct spice_msg_record_start
static const struct msg_field record_start_fields[] = {
    {U32(channels)}, {NAMED(format, 2, format_names)}, {U32(frequency)}};
static TYPE(record_start, "record_start");
#undef T

#define T struct spice_msg_sound_volume
static const struct msg_field volume_fields[] = {{U8(count)}, {ARRAY_INT(volume, count, 255)}};
static TYPE(volume, "volume");
#undef T

#define T struct spice_msg_sound_mute
static const struct msg_field mute_fields[] = {{U8(mute)}};
static TYPE(mute, "mute");
#undef T

#define T struct spice_msg_playback_latency
static const struct msg_field latency_fields[] = {{U32(latency_ms)}};
static TYPE(latency, "latency");
#undef T

#define T struct spice_msgc_record_start_mark
static const struct msg_field start_mark_fields[] = {{U32(time)}};
static TYPE(start_mark, "start_mark");
#undef T

static const struct spice_msg_info playback_to_client[] = {
    {SPICE_MSG_PLAYBACK_DATA, "data", &packet},
    {SPICE_MSG_PLAYBACK_MODE, "mode", &mode},
    {SPICE_MSG_PLAYBACK_START, "start", &playback_start},
    {SPICE_MSG_PLAYBACK_STOP, "stop", &spice_empty_type},
    {SPICE_MSG_PLAYBACK_VOLUME, "volume", &volume},
    {SPICE_MSG_PLAYBACK_MUTE, "mute", &mute},
    {SPICE_MSG_PLAYBACK_LATENCY, "latency", &latency},
};

static const struct spice_msg_info record_to_client[] = {
    {SPICE_MSG_RECORD_START, "start", &record_start},
    {SPICE_MSG_RECORD_STOP, "stop", &spice_empty_type},
    {SPICE_MSG_RECORD_VOLUME, "volume", &volume},
    {SPICE_MSG_RECORD_MUTE, "mute", &mute},
};

static const struct spice_msg_info record_to_server[] = {
    {SPICE_MSGC_RECORD_DATA, "data", &packet},
    {SPICE_MSGC_RECORD_MODE, "mode", &mode},
    {SPICE_MSGC_RECORD_START_MARK, "start_mark", &start_mark},
};

const struct spice_msg_list spice_playback_list[2] = {LIST(playback_to_client)};
const struct spice_msg_list spice_record_list[2] = {LIST(record_to_client), LIST(record_to_server)};
