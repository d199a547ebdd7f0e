#include "spice/codec/glz_window.h"

#include <stdlib.h>

/* A picture counts for some pixels even if it is tiny, so that their number is bounded too. */
#define MIN_COST 64

struct glz_window *glz_window_create(uint32_t pixels)
{
    struct glz_window *window = calloc(1, sizeof(*window));

    if (!window)
        return NULL;
    window->max_pixels = MIN(pixels, GLZ_MAX_WINDOW);
    STAILQ_INIT(&window->ages);
    return window;
}

static uint64_t cost_of(const struct glz_picture *picture)
{
    return MAX(picture->pixels, (uint32_t)MIN_COST);
}

struct glz_picture *glz_window_picture(struct glz_window *window, uint32_t pixels)
{
    struct glz_picture *picture = window->spare;

    /* Not one that is much too large: the window counts pixels, not room. */
    if (picture && pixels <= picture->room && pixels >= picture->room / 2) {
        window->spare = NULL;
    } else {
        picture = malloc(sizeof(*picture) + 4 * ((size_t)pixels + GLZ_SLACK));
        if (!picture)
            return NULL;
        picture->room = pixels;
    }
    picture->pixels = pixels;
    return picture;
}

void glz_window_discard(struct glz_window *window, struct glz_picture *picture)
{
    free(window->spare);
    window->spare = picture;
}

static void drop_first(struct glz_window *window)
{
    struct glz_picture *picture = STAILQ_FIRST(&window->ages);

    STAILQ_REMOVE_HEAD(&window->ages, by_age);
    LIST_REMOVE(picture, by_id);
    window->pixels -= cost_of(picture);
    glz_window_discard(window, picture);
}

void glz_window_clear(struct glz_window *window)
{
    while (!STAILQ_EMPTY(&window->ages))
        drop_first(window);
    window->begun = false;
}

void glz_window_destroy(struct glz_window *window)
{
    if (!window)
        return;
    glz_window_clear(window);
    free(window->spare);
    scratch_fini(&window->inflated);
    if (window->zlib_ready)
        inflateEnd(&window->zlib);
    free(window);
}

struct glz_picture *glz_window_find(const struct glz_window *window, uint64_t id)
{
    struct glz_picture *picture;

    LIST_FOREACH (picture, &window->slots[id % GLZ_SLOTS], by_id)
        if (picture->id == id)
            return picture;
    return NULL;
}

/*
 * A picture's own word on what is old holds once all before it have come: one still under way may use more. Where that
 * never happens (a server that skips ids), the size alone decides.
 */
static uint64_t close_gap(struct glz_window *window)
{
    struct glz_picture *picture;
    uint64_t oldest = 0;

    while ((picture = glz_window_find(window, window->next))) {
        oldest = picture->oldest;
        window->next++;
    }
    return oldest;
}

void glz_window_add(struct glz_window *window, struct glz_picture *picture)
{
    uint64_t oldest;

    if (!window->begun)
        window->next = picture->id;
    window->begun = true;
    STAILQ_INSERT_TAIL(&window->ages, picture, by_age);
    LIST_INSERT_HEAD(&window->slots[picture->id % GLZ_SLOTS], picture, by_id);
    window->pixels += cost_of(picture);
    oldest = close_gap(window);
    while (!STAILQ_EMPTY(&window->ages) &&
           (STAILQ_FIRST(&window->ages)->id < oldest || window->pixels > 2 * window->max_pixels))
        drop_first(window);
}
