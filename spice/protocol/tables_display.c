/* The display channel, but for its draw operations: surfaces, caches, streams, monitors; and what the client says. */
#include "spice/protocol/tables.h"

#define T struct spice_msg_display_mode
static const struct msg_field mode_fields[] = {{U32(x_res)}, {U32(y_res)}, {U32(bits)}};
static TYPE(mode, "mode");
#undef T

#define T struct spice_resource_id
static const struct msg_field resource_id_fields[] = {{U8(type)}, {U64(id)}};
static TYPE(resource_id, "resource_id");
#undef T

#define T struct spice_msg_display_inval_list
static const struct msg_field inval_list_fields[] = {{U16(count)},
                                                     {ARRAY(resources, resource_id, count, 65535)}};
static TYPE(inval_list, "inval_list");
#undef T

#define T struct spice_msg_inval_one
static const struct msg_field spice_inval_one_type_fields[] = {{U64(id)}};
TYPE(spice_inval_one_type, "inval_one");
#undef T

#define T struct spice_msg_display_stream_create
static const struct msg_field stream_create_fields[] = {
    {U32(surface_id)},
    {U32(id)},
    {U8(flags)},
    {U8(codec_type)},
    {U64(stamp)},
    {U32(stream_width)},
    {U32(stream_height)},
    {U32(src_width)},
    {U32(src_height)},
    {STRUCT(dest, spice_rect_type)},
    {STRUCT(clip, spice_clip_type)},
};
static TYPE(stream_create, "stream_create");
#undef T

#define T struct spice_msg_display_stream_data
#define STREAM_PAYLOAD                                                                             \
    {U32(data_size)},                                                                              \
    {                                                                                              \
        ARRAY_INT(data, data_size, MSG_MAX_SIZE)                                                   \
    }
static const struct msg_field stream_data_fields[] = {
    {U32(id)}, {U32(multi_media_time)}, STREAM_PAYLOAD};
static TYPE(stream_data, "stream_data");
static const struct msg_field stream_data_sized_fields[] = {
    {U32(id)},     {U32(multi_media_time)},         {U32(width)},
    {U32(height)}, {STRUCT(dest, spice_rect_type)}, STREAM_PAYLOAD,
};
static TYPE(stream_data_sized, "stream_data_sized");
#undef T

#define T struct spice_msg_display_stream_clip
static const struct msg_field stream_clip_fields[] = {{U32(id)}, {STRUCT(clip, spice_clip_type)}};
static TYPE(stream_clip, "stream_clip");
#undef T

#define T struct spice_msg_display_stream_destroy
static const struct msg_field stream_destroy_fields[] = {{U32(id)}};
static TYPE(stream_destroy, "stream_destroy");
#undef T

#define T struct spice_msg_display_stream_activate_report
static const struct msg_field stream_activate_report_fields[] = {
    {U32(stream_id)},
    {U32(unique_id)},
    {U32(max_window_size)},
    {U32(timeout_ms)},
};
static TYPE(stream_activate_report, "stream_activate_report");
#undef T

#define T struct spice_msg_display_surface_create
static const struct msg_field surface_create_fields[] = {
    {U32(surface_id)}, {U32(width)}, {U32(height)}, {U32(format)}, {U32(flags)},
};
static TYPE(surface_create, "surface_create");
#undef T

#define T struct spice_msg_display_surface_destroy
static const struct msg_field surface_destroy_fields[] = {{U32(surface_id)}};
static TYPE(surface_destroy, "surface_destroy");
#undef T

#define T struct spice_head
static const struct msg_field head_fields[] = {
    {U32(monitor_id)}, {U32(surface_id)}, {U32(width)}, {U32(height)},
    {U32(x)},          {U32(y)},          {U32(flags)},
};
static TYPE(head, "head");
#undef T

#define T struct spice_msg_display_monitors_config
static const struct msg_field monitors_config_fields[] = {
    {U16(count)},
    {U16(max_allowed)},
    {ARRAY(heads, head, count, 256)},
};
static TYPE(monitors_config, "monitors_config");
#undef T

#define T struct spice_msg_display_gl_draw
static const struct msg_field gl_draw_fields[] = {{U32(x)}, {U32(y)}, {U32(w)}, {U32(h)}};
static TYPE(gl_draw, "gl_draw");
#undef T

#define T struct spice_msgc_display_init
static const struct msg_field init_fields[] = {
    {U8(pixmap_cache_id)},
    {I64(pixmap_cache_size)},
    {U8(glz_dictionary_id)},
    {I32(glz_dictionary_window_size)},
};
static TYPE(init, "init");
#undef T

#define T struct spice_msgc_display_stream_report
static const struct msg_field stream_report_fields[] = {
    {U32(stream_id)},  {U32(unique_id)}, {U32(start_frame_mm_time)}, {U32(end_frame_mm_time)},
    {U32(num_frames)}, {U32(num_drops)}, {I32(last_frame_delay)},    {U32(audio_delay)},
};
static TYPE(stream_report, "stream_report");
#undef T

#define T struct spice_msgc_display_preferred_compression
static const struct msg_field preferred_compression_fields[] = {{U8(image_compression)}};
static TYPE(preferred_compression, "preferred_compression");
#undef T

#define T struct spice_msgc_display_preferred_video_codec_type
static const struct msg_field preferred_video_codec_type_fields[] = {
    {U8(count)}, {ARRAY_INT(codecs, count, 255)}};
static TYPE(preferred_video_codec_type, "preferred_video_codec_type");
#undef T

/* GL_SCANOUT_UNIX is not here: it carries a file descriptor and cannot travel by TCP. */
static const struct spice_msg_info to_client[] = {
    {SPICE_MSG_DISPLAY_MODE, "mode", &mode},
    {SPICE_MSG_DISPLAY_MARK, "mark", &spice_empty_type},
    {SPICE_MSG_DISPLAY_RESET, "reset", &spice_empty_type},
    {SPICE_MSG_DISPLAY_INVAL_LIST, "inval_list", &inval_list},
    {SPICE_MSG_DISPLAY_INVAL_ALL_PIXMAPS, "inval_all_pixmaps", &spice_wait_for_channels_type},
    {SPICE_MSG_DISPLAY_INVAL_PALETTE, "inval_palette", &spice_inval_one_type},
    {SPICE_MSG_DISPLAY_INVAL_ALL_PALETTES, "inval_all_palettes", &spice_empty_type},
    {SPICE_MSG_DISPLAY_STREAM_CREATE, "stream_create", &stream_create},
    {SPICE_MSG_DISPLAY_STREAM_DATA, "stream_data", &stream_data},
    {SPICE_MSG_DISPLAY_STREAM_CLIP, "stream_clip", &stream_clip},
    {SPICE_MSG_DISPLAY_STREAM_DESTROY, "stream_destroy", &stream_destroy},
    {SPICE_MSG_DISPLAY_STREAM_DESTROY_ALL, "stream_destroy_all", &spice_empty_type},
    {SPICE_MSG_DISPLAY_SURFACE_CREATE, "surface_create", &surface_create},
    {SPICE_MSG_DISPLAY_SURFACE_DESTROY, "surface_destroy", &surface_destroy},
    {SPICE_MSG_DISPLAY_STREAM_DATA_SIZED, "stream_data_sized", &stream_data_sized},
    {SPICE_MSG_DISPLAY_MONITORS_CONFIG, "monitors_config", &monitors_config},
    {SPICE_MSG_DISPLAY_STREAM_ACTIVATE_REPORT, "stream_activate_report", &stream_activate_report},
    {SPICE_MSG_DISPLAY_GL_DRAW, "gl_draw", &gl_draw},
    {SPICE_MSG_DISPLAY_QUALITY_INDICATOR, "quality_indicator", &spice_data_type},
};

static const struct spice_msg_info to_server[] = {
    {SPICE_MSGC_DISPLAY_INIT, "init", &init},
    {SPICE_MSGC_DISPLAY_STREAM_REPORT, "stream_report", &stream_report},
    {SPICE_MSGC_DISPLAY_PREFERRED_COMPRESSION, "preferred_compression", &preferred_compression},
    {SPICE_MSGC_DISPLAY_GL_DRAW_DONE, "gl_draw_done", &spice_empty_type},
    {SPICE_MSGC_DISPLAY_PREFERRED_VIDEO_CODEC_TYPE, "preferred_video_codec_type",
     &preferred_video_codec_type},
};

const struct spice_msg_list spice_display_list[2] = {LIST(to_client), LIST(to_server)};
