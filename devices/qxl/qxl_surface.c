/* qxl_surface.c - surfaces: drawn on in host memory, copied from and to the guest's memory of them. */
#include "base/bytes.h"
#include "base/log.h"
#include "devices/qxl/qxl_record.h"

#include <errno.h>
#include <spice/enums.h>

#define MAX_DIRTY_RECTS 64

struct qxl_surface *qxl_surface(struct qxl *q, uint32_t id)
{
    return id < QXL_SURFACES && q->surfaces[id].canvas ? &q->surfaces[id] : NULL;
}

static uint32_t bits_per_pixel(uint32_t format)
{
    switch (format) {
    case SPICE_SURFACE_FMT_1_A:
        return 1;
    case SPICE_SURFACE_FMT_8_A:
        return 8;
    case SPICE_SURFACE_FMT_16_555:
    case SPICE_SURFACE_FMT_16_565:
        return 16;
    default:
        return 32;
    }
}

/* The guest's memory of row y, or NULL. */
static uint8_t *guest_row(struct qxl *q, const struct qxl_surface *s, uint32_t y)
{
    uint64_t pitch = s->stride < 0 ? -(int64_t)s->stride : s->stride;
    uint32_t row = s->stride < 0 ? s->canvas->height - 1 - y : y;

    return qxl_pointer(q, s->data + row * pitch, s->row_bytes);
}

/* The canvas is black, and takes no memory where nothing is drawn: what is black there stays so. */
static void fetch(struct qxl *q, struct qxl_surface *s)
{
    for (uint32_t y = 0; y < s->canvas->height; y++) {
        const uint8_t *row = guest_row(q, s, y);

        if (row && !is_zero(row, s->row_bytes))
            guest_copy(s->canvas->pixels + (size_t)y * s->canvas->stride, row, s->row_bytes);
    }
}

static int check_args(struct qxl *q, const struct qxl_surface_args *a)
{
    uint64_t pitch = a->stride < 0 ? -(int64_t)a->stride : a->stride;
    uint64_t row = DIV_ROUND_UP((uint64_t)a->width * bits_per_pixel(a->format), 8);

    if (a->stride % 4 || a->height == 0 || pitch < row)
        return -EINVAL;
    return qxl_pointer(q, a->data, pitch * a->height) ? 0 : -EFAULT;
}

int qxl_surface_create(struct qxl *q, uint32_t id, const struct qxl_surface_args *a,
                       QXLPHYSICAL command)
{
    struct qxl_surface *s = &q->surfaces[id];
    int err = check_args(q, a);

    if (err)
        return err;
    err = canvas_create(&s->canvas, a->format, a->width, a->height);
    if (err)
        return err;
    s->data = a->data;
    s->stride = a->stride;
    s->row_bytes = DIV_ROUND_UP(a->width * bits_per_pixel(a->format), 8);
    s->create_command = command;
    if (a->keep) {
        pixman_region32_init(&s->dirty);
        fetch(q, s);
    } else {
        pixman_region32_init_rect(&s->dirty, 0, 0, a->width, a->height);
    }
    qxl_record_surface(q, id);
    return 0;
}

static void write_back_rect(struct qxl *q, struct qxl_surface *s, const pixman_box32_t *box)
{
    uint32_t bpp = bits_per_pixel(s->canvas->format);
    uint32_t first = box->x1 * bpp / 8, end = DIV_ROUND_UP((uint32_t)box->x2 * bpp, 8);

    for (int32_t y = box->y1; y < box->y2; y++) {
        uint8_t *row = guest_row(q, s, y);

        if (row)
            guest_copy(row + first, s->canvas->pixels + (size_t)y * s->canvas->stride + first,
                       end - first);
    }
}

void qxl_surface_write_back(struct qxl *q, uint32_t id, const struct rect *area)
{
    struct qxl_surface *s = qxl_surface(q, id);
    pixman_region32_t wanted;
    pixman_box32_t *boxes;
    int count;

    qxl_pending_draw(q);
    if (!s || (area && rect_empty(area)))
        return;
    pixman_region32_init(&wanted);
    if (area)
        pixman_region32_intersect_rect(&wanted, &s->dirty, area->left, area->top,
                                       area->right - area->left, area->bottom - area->top);
    else
        pixman_region32_copy(&wanted, &s->dirty);
    boxes = pixman_region32_rectangles(&wanted, &count);
    for (int i = 0; i < count; i++)
        write_back_rect(q, s, &boxes[i]);
    pixman_region32_subtract(&s->dirty, &s->dirty, &wanted);
    pixman_region32_fini(&wanted);
}

void qxl_surfaces_write_back(struct qxl *q)
{
    for (uint32_t id = 0; id < QXL_SURFACES; id++)
        qxl_surface_write_back(q, id, NULL);
}

void qxl_surface_drawn(struct qxl *q, uint32_t id, pixman_region32_t *region)
{
    struct qxl_surface *s = &q->surfaces[id];

    pixman_region32_union(&s->dirty, &s->dirty, region);
    /* What the canvas shows is right everywhere: writing back more than was drawn does no harm. */
    if (pixman_region32_n_rects(&s->dirty) > MAX_DIRTY_RECTS) {
        pixman_box32_t all = *pixman_region32_extents(&s->dirty);

        pixman_region32_fini(&s->dirty);
        pixman_region32_init_with_extents(&s->dirty, &all);
    }
    if (id == 0)
        pixman_region32_union(&q->damage, &q->damage, region);
}

static void drop(struct qxl_surface *s)
{
    canvas_destroy(s->canvas);
    pixman_region32_fini(&s->dirty);
    s->canvas = NULL;
}

void qxl_surface_destroy(struct qxl *q, uint32_t id)
{
    struct qxl_surface *s = qxl_surface(q, id);

    if (!s)
        return;
    qxl_surface_write_back(q, id, NULL);
    qxl_record_surface_end(q, id);
    drop(s);
    if (s->create_command)
        qxl_release(q, s->create_command);
}

void qxl_surfaces_destroy(struct qxl *q)
{
    for (uint32_t id = 1; id < QXL_SURFACES; id++)
        qxl_surface_destroy(q, id);
}

void qxl_surfaces_reset(struct qxl *q)
{
    for (uint32_t id = 0; id < QXL_SURFACES; id++)
        if (qxl_surface(q, id)) {
            qxl_record_surface_end(q, id);
            drop(&q->surfaces[id]);
        }
}

static void create_command(struct qxl *q, const QXLSurfaceCmd *c, QXLPHYSICAL addr)
{
    const QXLSurface *surface = &c->u.surface_create;
    struct qxl_surface_args args = {.format = surface->format,
                                    .width = surface->width,
                                    .height = surface->height,
                                    .stride = surface->stride,
                                    .data = surface->data,
                                    .keep = c->flags & QXL_SURF_FLAG_KEEP_DATA};

    if (c->surface_id == 0 || c->surface_id >= QXL_SURFACES || qxl_surface(q, c->surface_id))
        qxl_bug(q, "surface %u cannot be created", c->surface_id);
    else if (qxl_surface_create(q, c->surface_id, &args, addr) != 0)
        qxl_bug(q, "surface %u of %ux%u, format %u, stride %d is not possible", c->surface_id,
                surface->width, surface->height, surface->format, surface->stride);
}

void qxl_command_surface(struct qxl *q, QXLPHYSICAL addr)
{
    QXLSurfaceCmd c;

    if (qxl_read(q, addr, &c, sizeof(c))) {
        qxl_bug(q, "a surface command lies outside of its memory slot");
        return;
    }
    switch (c.type) {
    case QXL_SURFACE_CMD_CREATE: /* released when the surface is destroyed */
        create_command(q, &c, addr);
        break;
    case QXL_SURFACE_CMD_DESTROY:
        if (c.surface_id == 0 || !qxl_surface(q, c.surface_id)) {
            qxl_bug(q, "there is no surface %u to destroy", c.surface_id);
            break;
        }
        qxl_surface_destroy(q, c.surface_id);
        qxl_release(q, addr);
        break;
    default:
        log_once(LOG_DEBUG, "qxl: the guest sends a surface command of the unknown type %u",
                 c.type);
        qxl_release(q, addr);
        break;
    }
}
