/* display_frame.c - frames of video: decoded straight into the surface where that is possible, else drawn there. */
#include "client/display_stream.h"

#include "base/log.h"
#include "canvas/picture.h"

static void flip(pixman_image_t *picture)
{
    size_t stride = (size_t)pixman_image_get_stride(picture);
    uint8_t *a = (uint8_t *)pixman_image_get_data(picture);
    uint8_t *b = a + stride * ((size_t)pixman_image_get_height(picture) - 1);

    for (; a < b; a += stride, b -= stride)
        for (size_t i = 0; i < stride; i++) {
            uint8_t t = a[i];

            a[i] = b[i];
            b[i] = t;
        }
}

/* Whether a frame can be decoded to where it is shown: nothing but its pixels is to change there. */
static bool fits_surface(const struct video_stream *s, const struct held *h)
{
    const struct rect *r = &h->dest;
    const struct rect bounds = canvas_bounds(s->surface);
    pixman_box32_t box = {r->left, r->top, r->right, r->bottom};

    return s->surface->format == SPICE_SURFACE_FMT_32_xRGB && s->top_down && rect_contains(&bounds, r) &&
           (int64_t)r->right - r->left == h->width && (int64_t)r->bottom - r->top == h->height &&
           (!s->clipped || pixman_region32_contains_rectangle(&s->clip, &box) == PIXMAN_REGION_IN);
}

static int decode_to_surface(struct display_channel *d, struct video_stream *s, const struct held *h)
{
    struct canvas *c = s->surface;
    struct image part = {c->pixels + (size_t)h->dest.top * c->stride + (size_t)h->dest.left * 4, h->width, h->height,
                         c->stride, SPICE_BITMAP_FMT_32BIT};
    struct canvas_target t = {.box = h->dest};
    int err;

    display_begin(d, c);
    err = video_decode(s->decoder, h->data, h->size, &part);
    display_end(d, c, &t);
    return err;
}

/* Into the stream's own picture, which is kept: fresh memory for each would cost more than decoding. */
static int decode_to_picture(struct video_stream *s, const struct held *h)
{
    struct image view = {NULL, h->width, h->height, 0, SPICE_BITMAP_FMT_32BIT};
    int err;

    if (s->picture && (pixman_image_get_width(s->picture) != (int)h->width ||
                       pixman_image_get_height(s->picture) != (int)h->height)) {
        pixman_image_unref(s->picture);
        s->picture = NULL;
    }
    if (!s->picture && (err = picture_create(SPICE_BITMAP_FMT_32BIT, h->width, h->height, &s->picture, &view)))
        return err;
    view.data = (uint8_t *)pixman_image_get_data(s->picture);
    view.stride = (uint32_t)pixman_image_get_stride(s->picture);
    err = video_decode(s->decoder, h->data, h->size, &view);
    if (!err && !s->top_down)
        flip(s->picture);
    return err;
}

static int copy_picture(struct display_channel *d, const struct video_stream *s, const struct held *h)
{
    struct canvas_target t = {.box = h->dest, .clip = s->clipped ? &s->clip : NULL};
    struct canvas_source src = {
        s->picture, {0, 0, (int32_t)h->width, (int32_t)h->height}, SPICE_IMAGE_SCALE_MODE_INTERPOLATE};
    int err;

    display_begin(d, s->surface);
    err = canvas_copy(s->surface, &t, &src, SPICE_ROPD_OP_PUT);
    display_end(d, s->surface, &t);
    return err;
}

static void cannot_show(int err)
{
    if (err)
        log_once(LOG_WARN, "a frame of a video stream cannot be shown");
}

void frame_show(struct display_channel *d, struct video_stream *s, const struct held *h)
{
    int err;

    if (fits_surface(s, h)) {
        err = decode_to_surface(d, s, h);
    } else {
        err = decode_to_picture(s, h);
        if (!err)
            err = copy_picture(d, s, h);
    }
    cannot_show(err);
    d->video.shown += !err;
}

void frame_skip(struct video_stream *s, const struct held *h)
{
    cannot_show(decode_to_picture(s, h));
}
