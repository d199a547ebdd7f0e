/* Pictures, and what draw messages share: clips, brushes, masks. */
#include "spice/protocol/tables.h"

#define MAX_PALETTE 256
#define MAX_RECTS   65536

#define T struct spice_palette
static const struct msg_field palette_fields[] = {
    {U64(unique)},
    {U16(count)},
    {ARRAY_INT(entries, count, MAX_PALETTE)},
};
static TYPE(palette, "palette");
#undef T

static const struct msg_name bitmap_formats[] = {
    {SPICE_BITMAP_FMT_1BIT_LE, "1bit_le"},
    {SPICE_BITMAP_FMT_1BIT_BE, "1bit_be"},
    {SPICE_BITMAP_FMT_4BIT_LE, "4bit_le"},
    {SPICE_BITMAP_FMT_4BIT_BE, "4bit_be"},
    {SPICE_BITMAP_FMT_8BIT, "8bit"},
    {SPICE_BITMAP_FMT_16BIT, "16bit"},
    {SPICE_BITMAP_FMT_24BIT, "24bit"},
    {SPICE_BITMAP_FMT_32BIT, "32bit"},
    {SPICE_BITMAP_FMT_RGBA, "rgba"},
    {SPICE_BITMAP_FMT_8BIT_A, "8bit_a"},
    {0, NULL},
};

/* The palette is named by its id if the client has it, else it follows; both depend on the bitmap's flags. */
#define T struct spice_bitmap
static const struct msg_field bitmap_fields[] = {
    {ONE_OF(format, 1, bitmap_formats)},
    {U8(flags)},
    {U32(width)},
    {U32(height)},
    {U32(stride)},
    {U64(palette_id), IF(MSG_ANY_BIT, flags, SPICE_BITMAP_FLAGS_PAL_FROM_CACHE)},
    {POINTER(palette, palette), IF(MSG_NO_BIT, flags, SPICE_BITMAP_FLAGS_PAL_FROM_CACHE)},
    {ARRAY_ROWS(data, 8, stride, height)},
};
static TYPE(bitmap, "bitmap");
#undef T

#define T struct spice_data
static const struct msg_field counted_data_fields[] = {{U32(size)},
                                                       {ARRAY_INT(data, size, MSG_MAX_SIZE)}};
static TYPE(counted_data, "counted_data");
#undef T

#define T struct spice_lz_plt
static const struct msg_field lz_plt_fields[] = {
    {U8(flags)},
    {U32(size)},
    {U64(palette_id), IF(MSG_ANY_BIT, flags, SPICE_BITMAP_FLAGS_PAL_FROM_CACHE)},
    {POINTER_NONNULL(palette, palette), IF(MSG_NO_BIT, flags, SPICE_BITMAP_FLAGS_PAL_FROM_CACHE)},
    {ARRAY_INT(data, size, MSG_MAX_SIZE)},
};
static TYPE(lz_plt, "lz_plt");
#undef T

#define T struct spice_zlib_glz
static const struct msg_field zlib_glz_fields[] = {
    {U32(glz_size)},
    {U32(size)},
    {ARRAY_INT(data, size, MSG_MAX_SIZE)},
};
static TYPE(zlib_glz, "zlib_glz");
#undef T

#define T struct spice_jpeg_alpha
static const struct msg_field jpeg_alpha_fields[] = {
    {U8(flags)},
    {U32(jpeg_size)},
    {U32(size)},
    {ARRAY_INT(data, size, MSG_MAX_SIZE)},
};
static TYPE(jpeg_alpha, "jpeg_alpha");
#undef T

static const struct msg_name image_types[] = {
    {SPICE_IMAGE_TYPE_BITMAP, "bitmap"},
    {SPICE_IMAGE_TYPE_QUIC, "quic"},
    {SPICE_IMAGE_TYPE_LZ_PLT, "lz_plt"},
    {SPICE_IMAGE_TYPE_LZ_RGB, "lz_rgb"},
    {SPICE_IMAGE_TYPE_GLZ_RGB, "glz_rgb"},
    {SPICE_IMAGE_TYPE_FROM_CACHE, "from_cache"},
    {SPICE_IMAGE_TYPE_SURFACE, "surface"},
    {SPICE_IMAGE_TYPE_JPEG, "jpeg"},
    {SPICE_IMAGE_TYPE_FROM_CACHE_LOSSLESS, "from_cache_lossless"},
    {SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB, "zlib_glz_rgb"},
    {SPICE_IMAGE_TYPE_JPEG_ALPHA, "jpeg_alpha"},
    {SPICE_IMAGE_TYPE_LZ4, "lz4"},
    {0, NULL},
};

#define T        struct spice_image
#define OF(kind) IF(MSG_EQUAL, type, SPICE_IMAGE_TYPE_##kind)
static const struct msg_field spice_image_type_fields[] = {
    {U64(id)},
    {ONE_OF(type, 1, image_types)},
    {U8(flags)},
    {U32(width)},
    {U32(height)},
    {STRUCT(bitmap, bitmap), OF(BITMAP)},
    {STRUCT(data, counted_data), OF(QUIC)},
    {STRUCT(data, counted_data), OF(LZ_RGB)},
    {STRUCT(data, counted_data), OF(GLZ_RGB)},
    {STRUCT(data, counted_data), OF(JPEG)},
    {STRUCT(data, counted_data), OF(LZ4)},
    {STRUCT(lz_plt, lz_plt), OF(LZ_PLT)},
    {STRUCT(zlib_glz, zlib_glz), OF(ZLIB_GLZ_RGB)},
    {STRUCT(jpeg_alpha, jpeg_alpha), OF(JPEG_ALPHA)},
    {U32(surface_id), OF(SURFACE)},
};
TYPE(spice_image_type, "image");
#undef OF
#undef T

static const struct msg_name clip_types[] = {
    {SPICE_CLIP_TYPE_NONE, "none"},
    {SPICE_CLIP_TYPE_RECTS, "rects"},
    {0, NULL},
};

#define T struct spice_clip
static const struct msg_field spice_clip_type_fields[] = {
    {ONE_OF(type, 1, clip_types)},
    {U32(count), IF(MSG_EQUAL, type, SPICE_CLIP_TYPE_RECTS)},
    {ARRAY(rects, spice_rect_type, count, MAX_RECTS), IF(MSG_EQUAL, type, SPICE_CLIP_TYPE_RECTS)},
};
TYPE(spice_clip_type, "clip");
#undef T

static const struct msg_name brush_types[] = {
    {SPICE_BRUSH_TYPE_NONE, "none"},
    {SPICE_BRUSH_TYPE_SOLID, "solid"},
    {SPICE_BRUSH_TYPE_PATTERN, "pattern"},
    {0, NULL},
};

#define T struct spice_brush
static const struct msg_field spice_brush_type_fields[] = {
    {ONE_OF(type, 1, brush_types)},
    {U32(color), IF(MSG_EQUAL, type, SPICE_BRUSH_TYPE_SOLID)},
    {POINTER_NONNULL(pattern, spice_image_type), IF(MSG_EQUAL, type, SPICE_BRUSH_TYPE_PATTERN)},
    {STRUCT(pattern_pos, spice_point_type), IF(MSG_EQUAL, type, SPICE_BRUSH_TYPE_PATTERN)},
};
TYPE(spice_brush_type, "brush");
#undef T

#define T struct spice_mask
static const struct msg_field spice_mask_type_fields[] = {
    {U8(flags)},
    {STRUCT(pos, spice_point_type)},
    {POINTER(bitmap, spice_image_type)},
};
TYPE(spice_mask_type, "mask");
#undef T

#define T struct spice_display_base
static const struct msg_field spice_display_base_type_fields[] = {
    {U32(surface_id)},
    {STRUCT(box, spice_rect_type)},
    {STRUCT(clip, spice_clip_type)},
};
TYPE(spice_display_base_type, "base");
#undef T
