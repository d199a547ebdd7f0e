#include "spice/server/batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Memory of so many pixels and bytes is kept between updates. */
#define KEEP_PIXELS (256 * 1024)
#define KEEP_BYTES  (512 * 1024)
/* An update of more than that, and at most of so many pixels, is likely followed by its like: nothing is given back ... */
#define BUSY_PIXELS (1536 * 1024)
/* ... before so many have followed that were smaller. */
#define LULL 8

struct batch *batch_create(void)
{
    struct batch *b = calloc(1, sizeof(*b));

    if (b)
        writer_init(&b->out, SIZE_MAX / 2);
    return b;
}

void batch_destroy(struct batch *b)
{
    if (!b)
        return;
    free(b->pixels);
    free(b->hashes);
    writer_fini(&b->out);
    free(b);
}

/* What was kept may have grown by doubling, and must not be given back each time for that. */
static void trim(void **data, size_t *room, size_t keep)
{
    if (*room <= 2 * keep)
        return;
    free(*data);
    *data = NULL;
    *room = 0;
}

static bool is_busy(const struct batch *b)
{
    return b->pixel_count <= BUSY_PIXELS && (b->pixel_count > KEEP_PIXELS || b->small < LULL);
}

void batch_clear(struct batch *b)
{
    b->small = b->pixel_count > KEEP_PIXELS ? 0 : MIN(b->small + 1, LULL);
    if (is_busy(b)) {
        writer_reset(&b->out);
    } else {
        trim((void **)&b->hashes, &b->hash_room, KEEP_PIXELS / STRIP);
        writer_trim(&b->out, KEEP_BYTES);
    }
    b->in_place = NULL;
    b->count = b->pixel_count = b->hash_count = 0;
}

/* Room for `more` elements after the first `used`. */
static bool reserve(void **data, size_t *room, size_t used, size_t more, size_t element)
{
    size_t wanted = MAX(used + more, *room);
    void *p = *data;

    if (used + more > *room) {
        wanted = MAX(used + more, 2 * *room);
        p = realloc(*data, wanted * element);
    }
    if (!p)
        return false;
    *data = p;
    *room = wanted;
    return true;
}

/* The pixels of `rect`, and the hashes of `strips`. -ENOSPC, -ENOMEM */
static int add(struct batch *b, const struct display_surface *surface, const struct strip_map *now,
               const struct rect *strips, const struct rect *rect)
{
    size_t width = rect->right - rect->left, columns = strips->right - strips->left;
    size_t rows = rect->bottom - rect->top;

    if (b->count == BATCH_MAX_PIECES)
        return -ENOSPC;
    if ((!b->in_place && !reserve((void **)&b->pixels, &b->pixel_room, b->pixel_count, width * rows, 4)) ||
        !reserve((void **)&b->hashes, &b->hash_room, b->hash_count, columns * rows, 8))
        return -ENOMEM;
    b->pieces[b->count++] = (struct batch_piece){
        .strips = *strips, .rect = *rect, .pixels = b->pixel_count, .hashes = b->hash_count};
    for (int32_t y = rect->top; y < rect->bottom; y++) {
        if (!b->in_place)
            memcpy(b->pixels + b->pixel_count, surface_row(surface, y) + rect->left, width * 4);
        memcpy(b->hashes + b->hash_count, strip_row(now, y) + strips->left, columns * 8);
        b->pixel_count += width;
        b->hash_count += columns;
    }
    return 0;
}

int batch_add(struct batch *b, const struct display_surface *surface, const struct strip_map *now,
              const struct rect *strips, const struct rect *pixels, uint64_t id)
{
    int err = add(b, surface, now, strips, pixels);

    if (!err)
        b->pieces[b->count - 1].id = id;
    return err;
}

struct batch_piece *batch_add_frame(struct batch *b, const struct display_surface *surface,
                                    const struct strip_map *now, const struct rect *pixels)
{
    const struct rect strips = strips_of_pixels(pixels);

    return add(b, surface, now, &strips, pixels) ? NULL : &b->pieces[b->count - 1];
}

static int encode_frame(struct batch *b, struct batch_piece *p, const struct image *image)
{
    p->picture.at = b->out.size;
    p->err = video_encode(p->video, &b->out, image, &p->video_wish);
    if (p->err)
        b->out.size = p->picture.at;
    p->picture.size = b->out.size - p->picture.at;
    return p->err;
}

static struct image image_of(const struct batch *b, const struct batch_piece *p)
{
    uint32_t width = rect_width(&p->rect);
    const uint32_t *pixels =
        b->in_place ? surface_row(b->in_place, p->rect.top) + p->rect.left : b->pixels + p->pixels;

    return (struct image){
        .data = (uint8_t *)pixels,
        .width = width,
        .height = p->rect.bottom - p->rect.top,
        .stride = b->in_place ? b->in_place->stride : width * 4,
        .format = SPICE_BITMAP_FMT_32BIT,
    };
}

void batch_run(struct batch *b, struct picture_encoder *e)
{
    for (size_t i = 0; i < b->count; i++) {
        struct batch_piece *p = &b->pieces[i];
        struct image image = image_of(b, p);

        p->err = p->video ? encode_frame(b, p, &image)
                          : picture_encode(e, &image, &b->wish, &b->out, &p->picture);
    }
    /* The messages are made next, as large again: not before much has been given back. */
    if (!is_busy(b))
        trim((void **)&b->pixels, &b->pixel_room, KEEP_PIXELS);
}

void batch_withdraw(struct batch *b, struct picture_encoder *e, size_t first)
{
    for (size_t i = b->count; i-- > first;)
        if (!b->pieces[i].err && !b->pieces[i].video)
            picture_withdraw(e, &b->pieces[i].picture);
}

void batch_shown(const struct batch *b, const struct batch_piece *piece, struct strip_map *shown)
{
    size_t columns = piece->strips.right - piece->strips.left, at = piece->hashes;

    for (int32_t y = piece->strips.top; y < piece->strips.bottom; y++, at += columns)
        memcpy(strip_row(shown, y) + piece->strips.left, b->hashes + at, columns * 8);
}
