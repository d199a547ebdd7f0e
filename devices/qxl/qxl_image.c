/*
 * qxl_image.c - the guest's pictures as pixman images.
 *
 * Pixels that pixman can read where they are stay in guest memory for the time of one operation: whatever their values, they
 * cannot hurt. All else - chunks, odd strides, palettes - is unpacked into a buffer.
 */
#include "base/log.h"
#include "canvas/picture.h"
#include "devices/qxl/qxl_device.h"
#include "spice/codec/lz.h"
#include "spice/codec/quic.h"

#include <errno.h>
#include <spice/enums.h>
#include <stdlib.h>

/* A bitmap's rows in memory. */
struct rows {
    const uint8_t *first; /* the topmost */
    int64_t pitch;        /* bytes to the next lower one */
    uint32_t width, height;
    uint8_t *buffer; /* what to free() */
};

static bool is_16bit_565(uint32_t surface_format)
{
    return surface_format == SPICE_SURFACE_FMT_16_565;
}

static uint32_t bitmap_bits(uint8_t format)
{
    static const uint8_t bits[SPICE_BITMAP_FMT_ENUM_END] = {
        [SPICE_BITMAP_FMT_1BIT_LE] = 1, [SPICE_BITMAP_FMT_1BIT_BE] = 1,
        [SPICE_BITMAP_FMT_4BIT_LE] = 4, [SPICE_BITMAP_FMT_4BIT_BE] = 4,
        [SPICE_BITMAP_FMT_8BIT] = 8,    [SPICE_BITMAP_FMT_16BIT] = 16,
        [SPICE_BITMAP_FMT_24BIT] = 24,  [SPICE_BITMAP_FMT_32BIT] = 32,
        [SPICE_BITMAP_FMT_RGBA] = 32,   [SPICE_BITMAP_FMT_8BIT_A] = 8,
    };

    return format < ARRAY_SIZE(bits) ? bits[format] : 0;
}

/* The formats that pixman knows as they are; 0: it does not. */
static pixman_format_code_t direct_format(uint8_t format, uint32_t surface_format)
{
    switch (format) {
    case SPICE_BITMAP_FMT_16BIT:
        return is_16bit_565(surface_format) ? PIXMAN_r5g6b5 : PIXMAN_x1r5g5b5;
    case SPICE_BITMAP_FMT_24BIT:
        return PIXMAN_r8g8b8;
    case SPICE_BITMAP_FMT_32BIT:
        return PIXMAN_x8r8g8b8;
    case SPICE_BITMAP_FMT_RGBA:
        return PIXMAN_a8r8g8b8;
    case SPICE_BITMAP_FMT_8BIT_A:
        return PIXMAN_a8;
    default:
        return 0;
    }
}

/* A list of one chunk is as good as direct data. */
static QXLPHYSICAL single_chunk(struct qxl *q, QXLPHYSICAL addr, uint64_t size)
{
    QXLDataChunk chunk;

    if (qxl_read(q, addr, &chunk, sizeof(chunk)) || chunk.data_size < size)
        return 0;
    return addr + sizeof(chunk);
}

static int find_rows(struct qxl *q, const QXLBitmap *b, struct rows *rows)
{
    uint64_t size = (uint64_t)b->stride * b->y;
    QXLPHYSICAL data = b->flags & QXL_BITMAP_DIRECT ? b->data : single_chunk(q, b->data, size);
    int err;

    *rows = (struct rows){.pitch = b->stride, .width = b->x, .height = b->y};
    if (data) {
        rows->first = qxl_pointer(q, data, size);
        if (!rows->first)
            return -EFAULT;
    } else {
        err = qxl_read_chunks(q, b->data, size, &rows->buffer);
        if (err)
            return err;
        rows->first = rows->buffer;
    }
    if (!(b->flags & QXL_BITMAP_TOP_DOWN)) {
        rows->first += (uint64_t)b->stride * (b->y - 1);
        rows->pitch = -rows->pitch;
    }
    return 0;
}

uint32_t qxl_bitmap_row(const QXLBitmap *b)
{
    uint32_t bits = bitmap_bits(b->format), row;

    if (!bits || !b->x || !b->y || b->x > CANVAS_MAX_SIZE || b->y > CANVAS_MAX_SIZE ||
        b->stride > 64 * CANVAS_MAX_SIZE)
        return 0;
    row = DIV_ROUND_UP(b->x * bits, 8);
    return b->stride < row ? 0 : row;
}

static int check_bitmap(const QXLBitmap *b)
{
    return qxl_bitmap_row(b) ? 0 : -EINVAL;
}

/* Rows packed tightly into a buffer of our own, in pixman's alignment. */
static int repack(struct rows *rows, uint32_t row_bytes)
{
    size_t pitch = ALIGN_UP((size_t)row_bytes, 4);
    uint8_t *buffer = malloc(pitch * rows->height);

    if (!buffer)
        return -ENOMEM;
    for (uint32_t y = 0; y < rows->height; y++)
        guest_copy(buffer + y * pitch, rows->first + y * rows->pitch, row_bytes);
    free(rows->buffer);
    rows->buffer = buffer;
    rows->first = buffer;
    rows->pitch = (int64_t)pitch;
    return 0;
}

static int make_image(struct qxl_picture *p, struct rows *rows, pixman_format_code_t format)
{
    p->image = pixman_image_create_bits_no_clear(format, (int)rows->width, (int)rows->height,
                                                 (uint32_t *)rows->first, (int)rows->pitch);
    if (!p->image) {
        free(rows->buffer);
        return -ENOMEM;
    }
    p->buffer = rows->buffer;
    return 0;
}

static int open_direct(struct qxl_picture *p, struct rows *rows, const QXLBitmap *b,
                       pixman_format_code_t format)
{
    bool aligned = (uintptr_t)rows->first % 4 == 0 && rows->pitch % 4 == 0;
    int err = aligned ? 0 : repack(rows, DIV_ROUND_UP(b->x * bitmap_bits(b->format), 8));

    if (err) {
        free(rows->buffer);
        return err;
    }
    return make_image(p, rows, format);
}

/* --- palettes --- */

/* What the guest leaves out is black, but for one-bit pictures without any palette: those are black and white. */
static int read_palette(struct qxl *q, QXLPHYSICAL addr, uint32_t surface_format,
                        uint32_t colors[256])
{
    QXLPalette head;
    int err;

    memset(colors, 0, 256 * sizeof(*colors));
    if (!addr) {
        colors[1] = 0xffffff;
        return 0;
    }
    err = qxl_read(q, addr, &head, sizeof(head));
    if (!err)
        err = qxl_read(q, addr + sizeof(head), colors, MIN(head.num_ents, 256) * sizeof(*colors));
    picture_palette_colors(colors, 256, surface_format);
    return err;
}

/* Whatever pixman does not know as it is. */
static int open_indexed(struct qxl *q, struct qxl_picture *p, struct rows *rows, const QXLBitmap *b,
                        uint32_t surface_format)
{
    uint32_t colors[256];
    struct palette palette = {colors, ARRAY_SIZE(colors)};
    struct image image;
    int err = read_palette(q, b->palette, surface_format, colors);

    if (!err)
        err = repack(rows, DIV_ROUND_UP(b->x * bitmap_bits(b->format), 8));
    if (!err) {
        image = (struct image){rows->buffer, b->x, b->y, (uint32_t)rows->pitch, b->format};
        err = picture_from_bitmap(&image, true, &palette, &p->image);
    }
    free(rows->buffer);
    return err;
}

/* --- the kinds of pictures --- */

static int open_bitmap(struct qxl *q, struct qxl_picture *p, QXLPHYSICAL addr,
                       uint32_t surface_format)
{
    pixman_format_code_t format;
    struct rows rows;
    QXLBitmap b;
    int err;

    if (qxl_read(q, addr, &b, sizeof(b)))
        return -EFAULT;
    err = check_bitmap(&b);
    if (!err)
        err = find_rows(q, &b, &rows);
    if (err)
        return err;
    format = direct_format(b.format, surface_format);
    return format ? open_direct(p, &rows, &b, format)
                  : open_indexed(q, p, &rows, &b, surface_format);
}

static int open_surface(struct qxl *q, struct qxl_picture *p, QXLPHYSICAL addr)
{
    struct qxl_surface *s;
    QXLSurfaceId id;

    if (qxl_read(q, addr, &id, sizeof(id)))
        return -EFAULT;
    s = qxl_surface(q, id.surface_id);
    if (!s)
        return -EINVAL;
    p->image = pixman_image_ref(s->canvas->image);
    p->is_surface = true;
    return 0;
}

static int decode_lz(const uint8_t *data, size_t size, const struct image *view)
{
    struct lz *lz = lz_create();
    int err = lz ? lz_decode(lz, data, size, view, NULL) : -ENOMEM;

    lz_destroy(lz);
    return err;
}

static int decode_quic(const uint8_t *data, size_t size, const struct image *view)
{
    struct quic *quic = quic_create();
    int err = quic ? quic_decode(quic, data, size, view) : -ENOMEM;

    quic_destroy(quic);
    return err;
}

/* Pictures that the driver has compressed: only Windows' XP driver does. */
static int open_compressed(struct qxl *q, struct qxl_picture *p, QXLPHYSICAL addr, bool is_quic)
{
    struct image shape, view;
    uint32_t size;
    uint8_t *data;
    int err;

    if (qxl_read(q, addr, &size, sizeof(size)))
        return -EFAULT;
    err = qxl_read_chunks(q, addr + sizeof(size), size, &data);
    if (err)
        return err;
    err = is_quic ? quic_peek(data, size, &shape) : lz_peek(data, size, &shape);
    if (!err)
        err = picture_create(shape.format, shape.width, shape.height, &p->image, &view);
    if (!err)
        err = is_quic ? decode_quic(data, size, &view) : decode_lz(data, size, &view);
    free(data);
    return err;
}

int qxl_picture_open(struct qxl *q, struct qxl_picture *p, QXLPHYSICAL addr,
                     uint32_t surface_format)
{
    QXLImageDescriptor d;

    *p = (struct qxl_picture){0};
    if (qxl_read(q, addr, &d, sizeof(d)))
        return -EFAULT;
    switch (d.type) {
    case SPICE_IMAGE_TYPE_BITMAP:
        return open_bitmap(q, p, addr + sizeof(d), surface_format);
    case SPICE_IMAGE_TYPE_SURFACE:
        return open_surface(q, p, addr + sizeof(d));
    case SPICE_IMAGE_TYPE_QUIC:
    case SPICE_IMAGE_TYPE_LZ_RGB:
        return open_compressed(q, p, addr + sizeof(d), d.type == SPICE_IMAGE_TYPE_QUIC);
    default:
        log_once(LOG_WARN, "qxl: the guest draws a picture of type %u, which is not supported",
                 d.type);
        return -ENOTSUP;
    }
}

int qxl_mask_open(struct qxl *q, struct qxl_picture *p, QXLPHYSICAL addr, bool inverted)
{
    QXLImageDescriptor d;
    struct image image;
    struct rows rows;
    QXLBitmap b;
    int err;

    *p = (struct qxl_picture){0};
    if (qxl_read(q, addr, &d, sizeof(d)) || qxl_read(q, addr + sizeof(d), &b, sizeof(b)))
        return -EFAULT;
    if (d.type != SPICE_IMAGE_TYPE_BITMAP || bitmap_bits(b.format) != 1 || check_bitmap(&b))
        return -EINVAL;
    err = find_rows(q, &b, &rows);
    if (err)
        return err;
    err = repack(&rows, DIV_ROUND_UP(b.x, 8));
    if (!err) {
        image = (struct image){rows.buffer, b.x, b.y, (uint32_t)rows.pitch, b.format};
        err = picture_mask(&image, true, inverted, &p->image);
    }
    free(rows.buffer);
    return err;
}

void qxl_picture_close(struct qxl_picture *p)
{
    if (p->image)
        pixman_image_unref(p->image);
    free(p->buffer);
    *p = (struct qxl_picture){0};
}
