/* The draw operations of the display channel. */
#include "spice/protocol/tables.h"

#define MAX_SEGMENTS 65536
#define MAX_POINTS   (1 << 20)
#define MAX_GLYPHS   65535

#define BASE     STRUCT(base, spice_display_base_type)
#define SRC      POINTER(src, spice_image_type)
#define SRC_AREA STRUCT(src_area, spice_rect_type)
#define BRUSH    STRUCT(brush, spice_brush_type)
#define MASK     STRUCT(mask, spice_mask_type)

#define T struct spice_msg_display_copy_bits
static const struct msg_field copy_bits_fields[] = {{BASE}, {STRUCT(src_pos, spice_point_type)}};
static TYPE(copy_bits, "copy_bits");
#undef T

#define T struct spice_msg_display_draw_fill
static const struct msg_field fill_fields[] = {{BASE}, {BRUSH}, {U16(rop)}, {MASK}};
static TYPE(fill, "fill");
#undef T

#define T struct spice_msg_display_draw_opaque
static const struct msg_field opaque_fields[] = {
    {BASE}, {SRC}, {SRC_AREA}, {BRUSH}, {U16(rop)}, {U8(scale_mode)}, {MASK}};
static TYPE(opaque, "opaque");
#undef T

#define T struct spice_msg_display_draw_copy
static const struct msg_field copy_fields[] = {{BASE},           {SRC}, {SRC_AREA}, {U16(rop)},
                                               {U8(scale_mode)}, {MASK}};
static TYPE(copy, "copy");
#undef T

#define T struct spice_msg_display_draw_masked
static const struct msg_field masked_fields[] = {{BASE}, {MASK}};
static TYPE(masked, "masked");
#undef T

#define T struct spice_msg_display_draw_rop3
static const struct msg_field rop3_fields[] = {
    {BASE}, {SRC}, {SRC_AREA}, {BRUSH}, {U8(rop3)}, {U8(scale_mode)}, {MASK}};
static TYPE(rop3, "rop3");
#undef T

#define T struct spice_point_fix
static const struct msg_field point_fix_fields[] = {{I32(x)}, {I32(y)}};
static TYPE(point_fix, "point_fix");
#undef T

#define T struct spice_path_segment
static const struct msg_field segment_fields[] = {
    {U8(flags)},
    {U32(count)},
    {ARRAY(points, point_fix, count, MAX_POINTS)},
};
static TYPE(segment, "segment");
#undef T

#define T struct spice_path
static const struct msg_field path_fields[] = {{U32(count)},
                                               {ARRAY(segments, segment, count, MAX_SEGMENTS)}};
static TYPE(path, "path");
#undef T

#define T struct spice_line_attr
static const struct msg_field line_attr_fields[] = {
    {U8(flags)},
    {U8(style_count), IF(MSG_ANY_BIT, flags, SPICE_LINE_FLAGS_STYLED)},
    {POINTER_INT(style, style_count, 255), .is_signed = true,
     IF(MSG_ANY_BIT, flags, SPICE_LINE_FLAGS_STYLED)},
};
static TYPE(line_attr, "line_attr");
#undef T

#define T struct spice_msg_display_draw_stroke
static const struct msg_field stroke_fields[] = {
    {BASE},
    {POINTER_NONNULL(path, path)},
    {STRUCT(attr, line_attr)},
    {BRUSH},
    {U16(fore_mode)},
    {U16(back_mode)},
};
static TYPE(stroke, "stroke");
#undef T

#define T struct spice_glyph
#define GLYPH(depth)                                                                               \
    {                                                                                              \
        {STRUCT(render_pos, spice_point_type)}, {STRUCT(origin, spice_point_type)}, {U16(width)},  \
            {U16(height)}, {ARRAY_ROWS(data, depth, width, height)},                               \
    }
static const struct msg_field glyph_a1_fields[] = GLYPH(1), glyph_a4_fields[] = GLYPH(4),
                              glyph_a8_fields[] = GLYPH(8);
static TYPE(glyph_a1, "glyph_a1");
static TYPE(glyph_a4, "glyph_a4");
static TYPE(glyph_a8, "glyph_a8");
#undef T

static const struct msg_name string_flags[] = {
    {SPICE_STRING_FLAGS_RASTER_A1, "a1"},
    {SPICE_STRING_FLAGS_RASTER_A4, "a4"},
    {SPICE_STRING_FLAGS_RASTER_A8, "a8"},
    {SPICE_STRING_FLAGS_RASTER_A1 | SPICE_STRING_FLAGS_RASTER_TOP_DOWN, "a1_top_down"},
    {SPICE_STRING_FLAGS_RASTER_A4 | SPICE_STRING_FLAGS_RASTER_TOP_DOWN, "a4_top_down"},
    {SPICE_STRING_FLAGS_RASTER_A8 | SPICE_STRING_FLAGS_RASTER_TOP_DOWN, "a8_top_down"},
    {0, NULL},
};

#define T struct spice_string
#define GLYPHS(t, flag)                                                                            \
    {                                                                                              \
        ARRAY(glyphs, t, count, MAX_GLYPHS), IF(MSG_ANY_BIT, flags, SPICE_STRING_FLAGS_##flag)     \
    }
static const struct msg_field string_fields[] = {
    {U16(count)},
    {ONE_OF(flags, 1, string_flags)},
    GLYPHS(glyph_a1, RASTER_A1),
    GLYPHS(glyph_a4, RASTER_A4),
    GLYPHS(glyph_a8, RASTER_A8),
};
static TYPE(string, "string");
#undef T

#define T struct spice_msg_display_draw_text
static const struct msg_field text_fields[] = {
    {BASE},
    {POINTER_NONNULL(str, string)},
    {STRUCT(back_area, spice_rect_type)},
    {STRUCT(fore_brush, spice_brush_type)},
    {STRUCT(back_brush, spice_brush_type)},
    {U16(fore_mode)},
    {U16(back_mode)},
};
static TYPE(text, "text");
#undef T

#define T struct spice_msg_display_draw_transparent
static const struct msg_field transparent_fields[] = {
    {BASE}, {SRC}, {SRC_AREA}, {U32(src_color)}, {U32(true_color)}};
static TYPE(transparent, "transparent");
#undef T

#define T struct spice_msg_display_draw_alpha_blend
static const struct msg_field alpha_blend_fields[] = {
    {BASE}, {U8(alpha_flags)}, {U8(alpha)}, {SRC}, {SRC_AREA}};
static TYPE(alpha_blend, "alpha_blend");
#undef T

#define T struct spice_transform
static const struct msg_field transform_fields[] = {{I32(t00)}, {I32(t01)}, {I32(t02)},
                                                    {I32(t10)}, {I32(t11)}, {I32(t12)}};
static TYPE(transform, "transform");
#undef T

#define T        struct spice_msg_display_draw_composite
#define HAS(bit) IF(MSG_ANY_BIT, flags, SPICE_COMPOSITE_HAS_##bit)
static const struct msg_field composite_fields[] = {
    {BASE},
    {U32(flags)},
    {POINTER(src, spice_image_type)},
    {POINTER(mask, spice_image_type), HAS(MASK)},
    {STRUCT(src_transform, transform), HAS(SRC_TRANSFORM)},
    {STRUCT(mask_transform, transform), HAS(MASK_TRANSFORM)},
    {STRUCT(src_origin, spice_point16_type)},
    {STRUCT(mask_origin, spice_point16_type)},
};
static TYPE(composite, "composite");
#undef T

static const struct spice_msg_info draw_infos[] = {
    {SPICE_MSG_DISPLAY_COPY_BITS, "copy_bits", &copy_bits},
    {SPICE_MSG_DISPLAY_DRAW_FILL, "draw_fill", &fill},
    {SPICE_MSG_DISPLAY_DRAW_OPAQUE, "draw_opaque", &opaque},
    {SPICE_MSG_DISPLAY_DRAW_COPY, "draw_copy", &copy},
    {SPICE_MSG_DISPLAY_DRAW_BLEND, "draw_blend", &copy},
    {SPICE_MSG_DISPLAY_DRAW_BLACKNESS, "draw_blackness", &masked},
    {SPICE_MSG_DISPLAY_DRAW_WHITENESS, "draw_whiteness", &masked},
    {SPICE_MSG_DISPLAY_DRAW_INVERS, "draw_invers", &masked},
    {SPICE_MSG_DISPLAY_DRAW_ROP3, "draw_rop3", &rop3},
    {SPICE_MSG_DISPLAY_DRAW_STROKE, "draw_stroke", &stroke},
    {SPICE_MSG_DISPLAY_DRAW_TEXT, "draw_text", &text},
    {SPICE_MSG_DISPLAY_DRAW_TRANSPARENT, "draw_transparent", &transparent},
    {SPICE_MSG_DISPLAY_DRAW_ALPHA_BLEND, "draw_alpha_blend", &alpha_blend},
    {SPICE_MSG_DISPLAY_DRAW_COMPOSITE, "draw_composite", &composite},
};

const struct spice_msg_list spice_draw_list[2] = {LIST(draw_infos), {NULL, 0}};
