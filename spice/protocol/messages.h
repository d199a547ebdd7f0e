/*
 * messages.h - the SPICE messages as plain C structs, and the lists that name them.
 *
 * Ids, flags and enums are those of <spice/enums.h>; the wire layout is in tables_*.c. Pointers are owned by the arena or
 * the body that a message was decoded from (see msg.h); an encoder only reads them. A message without content has no
 * struct. Sizes and places are pixels, times milliseconds unless said otherwise.
 */
#ifndef SPICE_PROTOCOL_MESSAGES_H
#define SPICE_PROTOCOL_MESSAGES_H

#include "base/rect.h"
#include "spice/protocol/msg.h"

#include <spice/enums.h>
#include <spice/protocol.h>

enum spice_direction { SPICE_TO_CLIENT, SPICE_TO_SERVER };

struct spice_msg_info {
    uint16_t id; /* SPICE_MSG_... or SPICE_MSGC_... */
    const char *name;
    const struct msg_type *type;
};

/* The message `id` of a channel type (SPICE_CHANNEL_*), common ones included; NULL if there is none. */
const struct spice_msg_info *spice_msg_find(unsigned channel, enum spice_direction direction,
                                            unsigned id);
/* All of them, for tests and fuzzing: calls fn for each message of each channel. */
void spice_msg_for_each(void (*fn)(unsigned channel, enum spice_direction direction,
                                   const struct spice_msg_info *info, void *arg),
                        void *arg);
/* "main", "display"...; "unknown" */
const char *spice_channel_name(unsigned channel);
/* SPICE_CHANNEL_*, or 0: there is none of that name. */
unsigned spice_channel_type(const char *name);

/* --- link stage: headers and structs before the first message (spice-protocol's protocol.h) --- */

#define SPICE_LINK_MAX_SIZE 4096 /* body of a link message or reply */
#define SPICE_LINK_MAX_CAPS 64   /* words of capabilities, both kinds together */

struct spice_link_header {
    uint32_t magic, major, minor;
    uint32_t size; /* of what follows */
};

struct spice_link_mess {
    uint32_t connection_id;
    uint8_t channel_type, channel_id;
    uint32_t num_common_caps, num_channel_caps;
    uint32_t *caps; /* words: common, then channel */
};

struct spice_link_reply {
    uint32_t error;                             /* SPICE_LINK_ERR_* */
    uint8_t pub_key[SPICE_TICKET_PUBKEY_BYTES]; /* DER SubjectPublicKeyInfo */
    uint32_t num_common_caps, num_channel_caps;
    uint32_t *caps;
};

struct spice_link_auth {
    uint32_t mechanism; /* SPICE_COMMON_CAP_AUTH_* */
};

struct spice_link_ticket {
    uint8_t encrypted[SPICE_TICKET_KEY_PAIR_LENGTH / 8];
};

/* After the ticket, u32 SPICE_LINK_ERR_*. */
struct spice_link_result {
    uint32_t error;
};

extern const struct msg_type spice_link_header_type, spice_link_mess_type, spice_link_reply_type,
    spice_link_auth_type, spice_link_ticket_type, spice_link_result_type;

static inline bool spice_has_cap(const uint32_t *words, size_t count, unsigned cap)
{
    return cap / 32 < count && (words[cap / 32] >> (cap % 32) & 1);
}

/* --- message headers --- */

#define SPICE_HEADER_SIZE      18
#define SPICE_MINI_HEADER_SIZE 6

struct spice_header {
    uint64_t serial; /* 0 with mini headers */
    uint16_t type;
    uint32_t size;     /* of the body */
    uint32_t sub_list; /* offset of a list of further messages in the body; 0 with mini headers */
};

/* The type is spice_header_type or spice_mini_header_type. */
extern const struct msg_type spice_header_type, spice_mini_header_type;

/* --- pieces --- */

struct spice_point {
    int32_t x, y;
};

struct spice_point16 {
    int16_t x, y;
};

/* Bytes that are the rest of a message, or counted. */
struct spice_data {
    uint32_t size;
    const uint8_t *data;
};

struct spice_palette {
    uint64_t unique;
    uint16_t count;
    uint32_t *entries;
};

struct spice_bitmap {
    uint8_t format, flags;          /* SPICE_BITMAP_FMT_*, SPICE_BITMAP_FLAGS_* */
    uint32_t width, height, stride; /* stride in bytes */
    uint64_t palette_id;            /* with PAL_FROM_CACHE */
    struct spice_palette *palette;  /* without; may be NULL */
    const uint8_t *data;            /* stride * height bytes */
};

struct spice_lz_plt {
    uint8_t flags; /* SPICE_BITMAP_FLAGS_* */
    uint32_t size;
    uint64_t palette_id;           /* with PAL_FROM_CACHE */
    struct spice_palette *palette; /* without; not NULL */
    const uint8_t *data;
};

struct spice_zlib_glz {
    uint32_t glz_size, size; /* inflated, as sent */
    const uint8_t *data;
};

struct spice_jpeg_alpha {
    uint8_t flags;            /* SPICE_JPEG_ALPHA_FLAGS_* */
    uint32_t jpeg_size, size; /* the JPEG comes first, the LZ alpha after it */
    const uint8_t *data;
};

struct spice_image {
    uint64_t id;
    uint8_t type, flags; /* SPICE_IMAGE_TYPE_*, SPICE_IMAGE_FLAGS_* */
    uint32_t width, height;
    union {
        struct spice_bitmap bitmap; /* BITMAP */
        struct spice_data data;     /* QUIC, LZ_RGB, GLZ_RGB, JPEG, LZ4 */
        struct spice_lz_plt lz_plt; /* LZ_PLT */
        struct spice_zlib_glz zlib_glz;
        struct spice_jpeg_alpha jpeg_alpha;
        uint32_t surface_id; /* SURFACE */
    };                       /* FROM_CACHE and FROM_CACHE_LOSSLESS: only the id */
};

struct spice_clip {
    uint8_t type; /* SPICE_CLIP_TYPE_* */
    uint32_t count;
    struct rect *rects;
};

struct spice_brush {
    uint8_t type; /* SPICE_BRUSH_TYPE_* */
    uint32_t color;
    struct spice_image *pattern;
    struct spice_point pattern_pos;
};

struct spice_mask {
    uint8_t flags; /* SPICE_MASK_FLAGS_* */
    struct spice_point pos;
    struct spice_image *bitmap; /* NULL: no mask */
};

/* --- every channel, to the client --- */

struct spice_msg_migrate {
    uint32_t flags; /* SPICE_MIGRATE_* */
};

struct spice_msg_set_ack {
    uint32_t generation, window;
};

struct spice_msg_ping {
    uint32_t id;
    uint64_t timestamp; /* the sender's, in microseconds */
    uint32_t data_size;
    const uint8_t *data;
};

struct spice_channel_wait {
    uint8_t channel_type, channel_id;
    uint64_t message_serial;
};

struct spice_msg_wait_for_channels {
    uint8_t count;
    struct spice_channel_wait *waits;
};

/* Both ways. */
struct spice_msg_disconnecting {
    uint64_t time_stamp;
    uint32_t reason; /* SPICE_LINK_ERR_* */
};

struct spice_msg_notify {
    uint64_t time_stamp;
    uint32_t severity, visibility, what; /* SPICE_NOTIFY_*, SPICE_WARN_* */
    uint32_t message_size;               /* without the NUL that may follow */
    const uint8_t *message;
};

/* --- every channel, to the server --- */

struct spice_msgc_ack_sync {
    uint32_t generation;
};

struct spice_msgc_pong {
    uint32_t id;
    uint64_t timestamp;
};

/* --- main --- */

struct spice_msg_main_migrate_begin {
    uint16_t port, secure_port;
    uint32_t host_size, cert_subject_size; /* NUL included */
    const uint8_t *host, *cert_subject;
    uint32_t src_version; /* MIGRATE_BEGIN_SEAMLESS only */
};

struct spice_msg_main_init {
    uint32_t session_id, display_channels_hint, supported_mouse_modes, current_mouse_mode;
    uint32_t agent_connected, agent_tokens, multi_media_time, ram_hint;
};

struct spice_channel_id {
    uint8_t type, id;
};

struct spice_msg_main_channels_list {
    uint32_t count;
    struct spice_channel_id *channels;
};

struct spice_msg_main_mouse_mode {
    uint16_t supported_modes, current_mode; /* SPICE_MOUSE_MODE_* */
};

struct spice_msg_main_multi_media_time {
    uint32_t time;
};

struct spice_msg_main_agent_disconnected {
    uint32_t error_code;
};

/* AGENT_TOKEN both ways, AGENT_CONNECTED_TOKENS, AGENT_START */
struct spice_msg_main_agent_tokens {
    uint32_t num_tokens;
};

struct spice_msg_main_name {
    uint32_t size; /* NUL included */
    const uint8_t *name;
};

struct spice_msg_main_uuid {
    uint8_t uuid[16];
};

struct spice_msgc_main_client_info {
    uint64_t cache_size;
};

struct spice_msgc_main_mouse_mode_request {
    uint16_t mode;
};

struct spice_msgc_main_migrate_dst_do_seamless {
    uint32_t src_version;
};

/* --- display, to the client --- */

struct spice_msg_display_mode {
    uint32_t x_res, y_res, bits;
};

/* First member of every draw message. */
struct spice_display_base {
    uint32_t surface_id;
    struct rect box;
    struct spice_clip clip;
};

struct spice_msg_display_copy_bits {
    struct spice_display_base base;
    struct spice_point src_pos;
};

struct spice_resource_id {
    uint8_t type; /* SPICE_RES_TYPE_* */
    uint64_t id;
};

struct spice_msg_display_inval_list {
    uint16_t count;
    struct spice_resource_id *resources;
};

/* INVAL_PALETTE; cursor INVAL_ONE */
struct spice_msg_inval_one {
    uint64_t id;
};

struct spice_msg_display_stream_create {
    uint32_t surface_id, id;
    uint8_t flags, codec_type; /* SPICE_STREAM_FLAGS_*, SPICE_VIDEO_CODEC_TYPE_* */
    uint64_t stamp;
    uint32_t stream_width, stream_height, src_width, src_height;
    struct rect dest;
    struct spice_clip clip;
};

struct spice_msg_display_stream_data {
    uint32_t id, multi_media_time;
    uint32_t data_size;
    const uint8_t *data;
    /* STREAM_DATA_SIZED only: */
    uint32_t width, height;
    struct rect dest;
};

struct spice_msg_display_stream_clip {
    uint32_t id;
    struct spice_clip clip;
};

struct spice_msg_display_stream_destroy {
    uint32_t id;
};

struct spice_msg_display_stream_activate_report {
    uint32_t stream_id, unique_id, max_window_size, timeout_ms;
};

struct spice_msg_display_draw_fill {
    struct spice_display_base base;
    struct spice_brush brush;
    uint16_t rop; /* SPICE_ROPD_* */
    struct spice_mask mask;
};

struct spice_msg_display_draw_opaque {
    struct spice_display_base base;
    struct spice_image *src;
    struct rect src_area;
    struct spice_brush brush;
    uint16_t rop;
    uint8_t scale_mode; /* SPICE_IMAGE_SCALE_MODE_* */
    struct spice_mask mask;
};

/* DRAW_COPY and DRAW_BLEND */
struct spice_msg_display_draw_copy {
    struct spice_display_base base;
    struct spice_image *src;
    struct rect src_area;
    uint16_t rop;
    uint8_t scale_mode;
    struct spice_mask mask;
};

/* DRAW_BLACKNESS, DRAW_WHITENESS and DRAW_INVERS */
struct spice_msg_display_draw_masked {
    struct spice_display_base base;
    struct spice_mask mask;
};

struct spice_msg_display_draw_rop3 {
    struct spice_display_base base;
    struct spice_image *src;
    struct rect src_area;
    struct spice_brush brush;
    uint8_t rop3;
    uint8_t scale_mode;
    struct spice_mask mask;
};

/* 28.4 fixed point */
struct spice_point_fix {
    int32_t x, y;
};

struct spice_path_segment {
    uint8_t flags; /* SPICE_PATH_* */
    uint32_t count;
    struct spice_point_fix *points;
};

struct spice_path {
    uint32_t count;
    struct spice_path_segment *segments;
};

struct spice_line_attr {
    uint8_t flags; /* SPICE_LINE_FLAGS_* */
    uint8_t style_count;
    int32_t *style; /* 28.4 fixed point; with STYLED, may be NULL */
};

struct spice_msg_display_draw_stroke {
    struct spice_display_base base;
    struct spice_path *path;
    struct spice_line_attr attr;
    struct spice_brush brush;
    uint16_t fore_mode, back_mode; /* SPICE_ROPD_* */
};

struct spice_glyph {
    struct spice_point render_pos, origin;
    uint16_t width, height;
    const uint8_t *data; /* rows of (width * bits + 7) / 8 bytes */
};

struct spice_string {
    uint16_t count;
    uint8_t flags; /* SPICE_STRING_FLAGS_*: RASTER_A1, A4 or A8 says the bits of a glyph's pixel */
    struct spice_glyph *glyphs;
};

struct spice_msg_display_draw_text {
    struct spice_display_base base;
    struct spice_string *str;
    struct rect back_area;
    struct spice_brush fore_brush, back_brush;
    uint16_t fore_mode, back_mode;
};

struct spice_msg_display_draw_transparent {
    struct spice_display_base base;
    struct spice_image *src;
    struct rect src_area;
    uint32_t src_color, true_color;
};

struct spice_msg_display_draw_alpha_blend {
    struct spice_display_base base;
    uint8_t alpha_flags, alpha; /* SPICE_ALPHA_FLAGS_* */
    struct spice_image *src;
    struct rect src_area;
};

/* Rows of a 2x3 matrix, 16.16 fixed point. */
struct spice_transform {
    int32_t t00, t01, t02, t10, t11, t12;
};

struct spice_msg_display_draw_composite {
    struct spice_display_base base;
    uint32_t flags; /* SPICE_COMPOSITE_* */
    struct spice_image *src, *mask;
    struct spice_transform src_transform, mask_transform;
    struct spice_point16 src_origin, mask_origin;
};

struct spice_msg_display_surface_create {
    uint32_t surface_id, width, height, format,
        flags; /* SPICE_SURFACE_FMT_*, SPICE_SURFACE_FLAGS_* */
};

struct spice_msg_display_surface_destroy {
    uint32_t surface_id;
};

struct spice_head {
    uint32_t monitor_id, surface_id, width, height, x, y, flags;
};

struct spice_msg_display_monitors_config {
    uint16_t count, max_allowed;
    struct spice_head *heads;
};

struct spice_msg_display_gl_draw {
    uint32_t x, y, w, h;
};

/* --- display, to the server --- */

struct spice_msgc_display_init {
    uint8_t pixmap_cache_id;
    int64_t pixmap_cache_size; /* pixels */
    uint8_t glz_dictionary_id;
    int32_t glz_dictionary_window_size; /* pixels */
};

struct spice_msgc_display_stream_report {
    uint32_t stream_id, unique_id, start_frame_mm_time, end_frame_mm_time, num_frames, num_drops;
    int32_t last_frame_delay;
    uint32_t audio_delay;
};

struct spice_msgc_display_preferred_compression {
    uint8_t image_compression; /* SPICE_IMAGE_COMPRESSION_* */
};

struct spice_msgc_display_preferred_video_codec_type {
    uint8_t count;
    const uint8_t *codecs; /* SPICE_VIDEO_CODEC_TYPE_* */
};

/* --- inputs --- */

/* INPUTS_INIT and KEY_MODIFIERS, both ways */
struct spice_msg_inputs_key_modifiers {
    uint16_t modifiers; /* SPICE_KEYBOARD_MODIFIER_FLAGS_* */
};

/* KEY_DOWN and KEY_UP: scan codes set 1, first byte lowest: e0 prefixes, bit 7 for release */
struct spice_msgc_inputs_key {
    uint32_t code;
};

struct spice_msgc_inputs_mouse_motion {
    int32_t dx, dy;
    uint16_t buttons_state; /* SPICE_MOUSE_BUTTON_MASK_* */
};

struct spice_msgc_inputs_mouse_position {
    uint32_t x, y;
    uint16_t buttons_state;
    uint8_t display_id;
};

/* MOUSE_PRESS and MOUSE_RELEASE */
struct spice_msgc_inputs_mouse_button {
    uint8_t button; /* SPICE_MOUSE_BUTTON_* */
    uint16_t buttons_state;
};

/* --- cursor --- */

struct spice_cursor {
    uint16_t flags; /* SPICE_CURSOR_FLAGS_*; with NONE all else is absent */
    uint64_t unique;
    uint8_t type; /* SPICE_CURSOR_TYPE_* */
    uint16_t width, height, hot_x, hot_y;
    uint32_t data_size;
    const uint8_t *data;
};

struct spice_msg_cursor_init {
    struct spice_point16 position;
    uint16_t trail_length, trail_frequency;
    uint8_t visible;
    struct spice_cursor cursor;
};

struct spice_msg_cursor_set {
    struct spice_point16 position;
    uint8_t visible;
    struct spice_cursor cursor;
};

struct spice_msg_cursor_move {
    struct spice_point16 position;
};

struct spice_msg_cursor_trail {
    uint16_t length, frequency;
};

/* --- sound: playback to the client; record from it, where times are the sender's mm-time --- */

/* DATA of both channels: samples, or one packet of the mode's codec */
struct spice_msg_sound_packet {
    uint32_t time; /* when to play it, or when it was recorded; mm-time */
    uint32_t size;
    const uint8_t *data;
};

struct spice_msg_sound_mode {
    uint32_t time;
    uint16_t mode; /* SPICE_AUDIO_DATA_MODE_* of the DATA that follow */
    uint32_t size;
    const uint8_t *data; /* of the codec; none of today's has any */
};

struct spice_msg_playback_start {
    uint32_t channels;
    uint16_t format;    /* SPICE_AUDIO_FMT_* */
    uint32_t frequency; /* frames a second */
    uint32_t time;
};

struct spice_msg_record_start {
    uint32_t channels;
    uint16_t format;
    uint32_t frequency;
};

/* 0..65535, one of each channel */
struct spice_msg_sound_volume {
    uint8_t count;
    const uint16_t *volume;
};

struct spice_msg_sound_mute {
    uint8_t mute;
};

struct spice_msg_playback_latency {
    uint32_t latency_ms;
};

struct spice_msgc_record_start_mark {
    uint32_t time;
};

/* --- channels of bytes --- */

struct spice_msg_port_init {
    uint32_t size; /* NUL included */
    const uint8_t *name;
    uint8_t opened; /* somebody in the guest has it */
};

struct spice_msg_port_event {
    uint8_t event; /* SPICE_PORT_EVENT_* */
};

#endif
