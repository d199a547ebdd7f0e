/* qxl_cursor.c - the cursor ring: shapes of any depth to what backend/display.h knows, and moves. */
#include "devices/qxl/qxl_record.h"

#include <errno.h>
#include <spice/enums.h>
#include <stdlib.h>

#define OPAQUE   0xff000000u
#define INVERTED 0x80000000u /* what would invert the screen darkens it instead */

/* Bytes of a shape's pixels, palette and mask. */
struct layout {
    uint32_t pixels, palette, mask;
};

static bool shape_layout(const QXLCursorHeader *h, struct layout *l)
{
    uint32_t area = h->width * h->height, mask = DIV_ROUND_UP(h->width, 8) * h->height;

    switch (h->type) {
    case SPICE_CURSOR_TYPE_ALPHA:
        *l = (struct layout){area * 4, 0, 0};
        return true;
    case SPICE_CURSOR_TYPE_MONO:
        *l = (struct layout){mask, 0, mask};
        return true;
    case SPICE_CURSOR_TYPE_COLOR4:
        *l = (struct layout){DIV_ROUND_UP(h->width, 2) * h->height, 16 * 4, mask};
        return true;
    case SPICE_CURSOR_TYPE_COLOR8:
        *l = (struct layout){area, 256 * 4, mask};
        return true;
    case SPICE_CURSOR_TYPE_COLOR16:
        *l = (struct layout){area * 2, 0, mask};
        return true;
    case SPICE_CURSOR_TYPE_COLOR24:
        *l = (struct layout){area * 3, 0, mask};
        return true;
    case SPICE_CURSOR_TYPE_COLOR32:
        *l = (struct layout){area * 4, 0, mask};
        return true;
    default:
        return false;
    }
}

static uint32_t shape_color(const QXLCursorHeader *h, const struct layout *l, const uint8_t *data,
                            uint32_t x, uint32_t y)
{
    const uint8_t *palette = data + l->pixels;
    uint32_t i = y * h->width + x, c;

    switch (h->type) {
    case SPICE_CURSOR_TYPE_COLOR4:
        i = data[y * DIV_ROUND_UP(h->width, 2) + x / 2] >> (x & 1 ? 0 : 4) & 15;
        return load_le32(palette + 4 * i);
    case SPICE_CURSOR_TYPE_COLOR8:
        return load_le32(palette + 4 * data[i]);
    case SPICE_CURSOR_TYPE_COLOR16:
        c = load_le16(data + 2 * i);
        return (c >> 10 & 31) << 19 | (c >> 5 & 31) << 11 | (c & 31) << 3;
    case SPICE_CURSOR_TYPE_COLOR24:
        return data[3 * i] | data[3 * i + 1] << 8 | data[3 * i + 2] << 16;
    default:
        return load_le32(data + 4 * i);
    }
}

static uint32_t *convert_to_alpha(const QXLCursorHeader *h, const struct layout *l,
                                  const uint8_t *data)
{
    const uint8_t *mask = data + l->pixels + l->palette;
    uint32_t *out = malloc((size_t)h->width * h->height * 4);

    if (!out)
        return NULL;
    for (uint32_t y = 0; y < h->height; y++)
        for (uint32_t x = 0; x < h->width; x++) {
            uint32_t color = shape_color(h, l, data, x, y) & 0xffffff;
            bool masked = mask[y * DIV_ROUND_UP(h->width, 8) + x / 8] >> (7 - (x & 7)) & 1;

            out[y * h->width + x] = !masked ? color | OPAQUE : color ? INVERTED : 0;
        }
    return out;
}

static void show_shape(struct qxl *q, const QXLCursorHeader *h, const struct layout *l,
                       const uint8_t *data)
{
    struct display_cursor cursor = {.width = h->width,
                                    .height = h->height,
                                    .hot_x = MIN(h->hot_spot_x, h->width - 1),
                                    .hot_y = MIN(h->hot_spot_y, h->height - 1),
                                    .data = data,
                                    .size = l->pixels + l->mask};
    uint32_t *alpha = NULL;

    if (h->type == SPICE_CURSOR_TYPE_MONO) {
        cursor.type = DISPLAY_CURSOR_MONO;
    } else if (h->type == SPICE_CURSOR_TYPE_ALPHA) {
        cursor.type = DISPLAY_CURSOR_ALPHA;
    } else {
        alpha = convert_to_alpha(h, l, data);
        cursor.type = DISPLAY_CURSOR_ALPHA;
        cursor.data = (const uint8_t *)alpha;
        cursor.size = (size_t)h->width * h->height * 4;
    }
    if (cursor.data)
        display_set_cursor(&q->head.display, &cursor);
    free(alpha);
}

static int set_shape(struct qxl *q, const QXLCursorCmd *c)
{
    QXLPHYSICAL addr = c->u.set.shape;
    QXLCursor shape;
    struct layout l;
    uint8_t *data;
    int err = qxl_read(q, addr, &shape, sizeof(shape));

    if (err)
        return err;
    if (!shape.header.width || !shape.header.height || shape.header.width > DISPLAY_MAX_CURSOR ||
        shape.header.height > DISPLAY_MAX_CURSOR || !shape_layout(&shape.header, &l))
        return -EINVAL;
    err =
        qxl_read_chunks(q, addr + offsetof(QXLCursor, chunk), l.pixels + l.palette + l.mask, &data);
    if (err)
        return err;
    show_shape(q, &shape.header, &l, data);
    qxl_record_shape(q, c, &shape.header, data, l.pixels + l.palette + l.mask);
    free(data);
    return 0;
}

static int run(struct qxl *q, const QXLCursorCmd *c)
{
    struct display *d = &q->head.display;
    int err = 0;

    switch (c->type) {
    case QXL_CURSOR_SET:
        err = set_shape(q, c);
        display_move_cursor(d, c->u.set.position.x, c->u.set.position.y, c->u.set.visible);
        break;
    case QXL_CURSOR_MOVE:
        display_move_cursor(d, c->u.position.x, c->u.position.y, true);
        break;
    case QXL_CURSOR_HIDE:
        display_move_cursor(d, d->cursor_x, d->cursor_y, false);
        break;
    default: /* trails are not shown */
        break;
    }
    qxl_record_cursor(q, c);
    return err;
}

void qxl_command_cursor(struct qxl *q, QXLPHYSICAL addr)
{
    QXLCursorCmd c;

    if (qxl_read(q, addr, &c, sizeof(c)) || run(q, &c) == -EFAULT) {
        qxl_bug(q, "a cursor command lies outside of its memory slot");
        return;
    }
    qxl_release(q, addr);
}

void qxl_cursor_reset(struct qxl *q)
{
    qxl_record_event(q, TRACE_CURSOR_RESET);
    display_set_cursor(&q->head.display, NULL);
    display_move_cursor(&q->head.display, 0, 0, false);
}
