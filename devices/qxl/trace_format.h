/*
 * trace_format.h - the layout of a qxltrace, version 1: what a QXL guest asked of its display, with the pixels.
 *
 * All integers are little-endian, everything is packed. A file is a header and records; records and pictures begin at
 * multiples of 8 bytes. Times are microseconds since the start and never decrease. docs/performance.md has the story.
 */
#ifndef DEVICES_QXL_TRACE_FORMAT_H
#define DEVICES_QXL_TRACE_FORMAT_H

#include "base/base.h"

#define TRACE_MAGIC   "QXLTRACE"
#define TRACE_VERSION 1
#define TRACE_ALIGN   8

enum trace_type {
    TRACE_PRIMARY_CREATE = 1, /* trace_surface, pixels */
    TRACE_PRIMARY_DESTROY,
    TRACE_SURFACE_CREATE,  /* trace_surface, pixels */
    TRACE_SURFACE_DESTROY, /* trace_surface, of which the id counts */
    TRACE_DRAW,            /* trace_draw, clip rectangles, body */
    TRACE_CURSOR_SET,      /* trace_cursor, shape */
    TRACE_CURSOR_MOVE,     /* i32 x, i32 y */
    TRACE_CURSOR_HIDE,
    TRACE_CURSOR_TRAIL, /* u32 length, u32 frequency */
    TRACE_CURSOR_RESET,
    TRACE_MONITORS_CONFIG, /* u32 count, u32 max_allowed, count * trace_head */
    TRACE_UPDATE_AREA,     /* trace_update */
    TRACE_DESTROY_SURFACES,
    TRACE_FLUSH_SURFACES,
    TRACE_RESET_IMAGE_CACHE,
    TRACE_OOM,
    TRACE_MARK, /* text for people, ends with a zero byte */
    TRACE_TYPES
};

enum trace_image_kind { TRACE_IMAGE_NONE, TRACE_IMAGE_BITMAP, TRACE_IMAGE_SURFACE };

enum { TRACE_UPDATE_SYNC, TRACE_UPDATE_ASYNC, TRACE_UPDATE_COMMAND, TRACE_UPDATE_UNKNOWN = 0x100 };

struct __attribute__((packed)) trace_header {
    char magic[8];
    uint32_t version, header_size, flags;
    uint32_t surfaces; /* the highest id used, and one */
    uint64_t records, duration_us;
    uint64_t max_length; /* of a record's payload */
    char driver[16];     /* padded with zeroes */
};

struct __attribute__((packed)) trace_record {
    uint16_t type, flags;
    uint32_t length; /* of the payload, a multiple of 8 */
    uint64_t time_us;
};

struct __attribute__((packed)) trace_rect {
    int32_t left, top, right, bottom;
};

struct __attribute__((packed)) trace_surface {
    uint32_t id, format, width, height; /* format: SPICE_SURFACE_FMT_* */
    int32_t stride;                     /* positive: the first row comes first */
    uint32_t flags;                     /* 1: the pixels are the content */
    uint32_t data_size, reserved;
};

struct __attribute__((packed)) trace_draw {
    uint32_t surface;
    uint8_t op, effect, clip_type, self_bitmap;
    struct trace_rect box;
    uint32_t mm_time, clips;
    int32_t surfaces_dest[3];
    uint32_t reserved;
    struct trace_rect surfaces_rects[3];
    struct trace_rect self_bitmap_area;
};

/* Of one without a picture (TRACE_IMAGE_NONE) only the first 8 bytes are there. */
struct __attribute__((packed)) trace_image {
    uint32_t size; /* with palette and pixels, padded */
    uint8_t kind, flags, format, bitmap_flags;
    uint64_t id;
    uint32_t width, height, stride;
    uint32_t guest_stride; /* in the guest's memory; of a surface: its id */
    uint32_t colors;       /* u32 each, behind this, padded */
    uint32_t data_size;    /* behind the palette, padded */
    uint64_t palette_id;
};

struct __attribute__((packed)) trace_brush {
    uint32_t type, color; /* SPICE_BRUSH_TYPE_*; of a pattern, a trace_image follows */
    int32_t x, y;
};

struct __attribute__((packed)) trace_mask { /* a trace_image follows */
    uint32_t flags;
    int32_t x, y;
    uint32_t reserved;
};

struct __attribute__((packed)) trace_composite {
    uint32_t flags;
    uint32_t parts; /* TRACE_PART_* */
    int16_t src_x, src_y, mask_x, mask_y;
};

enum { TRACE_PART_SRC_TRANSFORM = 1, TRACE_PART_MASK = 2, TRACE_PART_MASK_TRANSFORM = 4 };

struct __attribute__((packed)) trace_cursor {
    int32_t x, y;
    uint32_t visible, type;
    uint64_t unique;
    uint32_t width, height, hot_x, hot_y, data_size, reserved;
};

struct __attribute__((packed)) trace_head {
    uint32_t id, surface, width, height, x, y, flags, reserved;
};

struct __attribute__((packed)) trace_update {
    uint32_t surface, kind; /* TRACE_UPDATE_* */
    struct trace_rect area;
};

static_assert(sizeof(struct trace_header) == 64 && sizeof(struct trace_record) == 16);
static_assert(sizeof(struct trace_surface) == 32 && sizeof(struct trace_draw) == 112);
static_assert(sizeof(struct trace_image) == 48 && sizeof(struct trace_cursor) == 48);

#endif
