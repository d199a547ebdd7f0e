#include "client/window_parts.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>

#define OFF_MS 500 /* without a picture until it is said: a change of mode takes less */

static unsigned frame_time(SDL_Window *window)
{
    SDL_DisplayMode mode;
    int index = SDL_GetWindowDisplayIndex(window);

    if (index < 0 || SDL_GetCurrentDisplayMode(index, &mode) < 0 || mode.refresh_rate <= 0)
        return FRAME_MS;
    return (unsigned)MAX(1, 1000 / mode.refresh_rate);
}

int monitor_open(struct monitor *m)
{
    bool first = m == m->owner->monitors[0] || !m->owner->count;
    /* With several windows all would wait for the display in turn: one does. */
    uint32_t flags = first ? SDL_RENDERER_PRESENTVSYNC : 0;

    m->closed = false;
    m->sdl = SDL_CreateWindow("minivm-client", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, 640, 480,
                              SDL_WINDOW_RESIZABLE | SDL_WINDOW_ALLOW_HIGHDPI);
    if (!m->sdl)
        return fail(-ENODEV, "cannot open a window: %s", SDL_GetError());
    m->renderer = SDL_CreateRenderer(m->sdl, -1, flags);
    if (!m->renderer)
        return fail(-ENODEV, "cannot draw in a window: %s", SDL_GetError());
    m->set = (struct size){640, 480};
    m->frame_ms = frame_time(m->sdl);
    m->placed = m->asked = false;
    m->dirty = true;
    overlay_init(&m->overlay);
    monitor_measure(m);
    return 0;
}

void monitor_close(struct monitor *m)
{
    if (m->owner->pointer.over == m)
        m->owner->pointer.over = NULL;
    if (m->owner->keyboard.focus == m)
        keyboard_focus(m->owner, NULL);
    if (m->cursor)
        SDL_DestroyTexture(m->cursor);
    if (m->texture)
        SDL_DestroyTexture(m->texture);
    if (m->renderer)
        SDL_DestroyRenderer(m->renderer);
    if (m->sdl)
        SDL_DestroyWindow(m->sdl);
    m->cursor = m->texture = NULL;
    m->renderer = NULL;
    m->sdl = NULL;
    m->closed = true;
}

struct monitor *monitor_create(struct window *w, unsigned display, uint32_t head, bool bound)
{
    struct monitor *m = calloc(1, sizeof(*m));

    if (!m)
        return NULL;
    *m = (struct monitor){.owner = w, .display = display, .head = head, .bound = bound, .gone_at = SDL_GetTicks64()};
    if (monitor_open(m) == 0)
        return m;
    monitor_destroy(m);
    return NULL;
}

void monitor_destroy(struct monitor *m)
{
    if (!m)
        return;
    monitor_close(m);
    free(m);
}

void monitor_measure(struct monitor *m)
{
    SDL_GetWindowSize(m->sdl, &m->view.window.width, &m->view.window.height);
    if (SDL_GetRendererOutputSize(m->renderer, &m->view.pixels.width, &m->view.pixels.height) < 0)
        m->view.pixels = m->view.window;
    m->view.percent = m->owner->percent;
    m->dirty = true;
}

double monitor_density(const struct monitor *m)
{
    return m->view.window.width > 0 ? (double)m->view.pixels.width / m->view.window.width : 1;
}

/* --- the picture --- */

static void open_texture(struct monitor *m)
{
    if (m->texture)
        SDL_DestroyTexture(m->texture);
    m->texture = SDL_CreateTexture(m->renderer, SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STATIC, m->view.guest.width,
                                   m->view.guest.height);
    if (!m->texture)
        log_once(LOG_ERROR, "a picture of %dx%d pixels cannot be shown here: %s", m->view.guest.width,
                 m->view.guest.height, SDL_GetError());
}

static void upload(struct monitor *m, const struct canvas *c, const pixman_box32_t *b)
{
    SDL_Rect at = {b->x1 - m->area.left, b->y1 - m->area.top, b->x2 - b->x1, b->y2 - b->y1};
    pixman_image_t *to;

    if (c->format == SPICE_SURFACE_FMT_32_xRGB || c->format == SPICE_SURFACE_FMT_32_ARGB) {
        SDL_UpdateTexture(m->texture, &at, c->pixels + (size_t)b->y1 * c->stride + (size_t)b->x1 * 4, (int)c->stride);
        return;
    }
    to = pixman_image_create_bits_no_clear(PIXMAN_x8r8g8b8, at.w, at.h, NULL, 0);
    if (!to)
        return;
    pixman_image_composite32(PIXMAN_OP_SRC, c->image, NULL, to, b->x1, b->y1, 0, 0, 0, 0, at.w, at.h);
    SDL_UpdateTexture(m->texture, &at, pixman_image_get_data(to), pixman_image_get_stride(to));
    pixman_image_unref(to);
}

void monitor_upload(struct monitor *m, const struct canvas *c, const pixman_region32_t *damage)
{
    pixman_region32_t mine;
    const pixman_box32_t *boxes;
    int count;

    if (!m->texture)
        return;
    pixman_region32_init(&mine);
    pixman_region32_intersect_rect(&mine, (pixman_region32_t *)damage, m->area.left, m->area.top,
                                   (unsigned)m->view.guest.width, (unsigned)m->view.guest.height);
    boxes = pixman_region32_rectangles(&mine, &count);
    for (int i = 0; i < count; i++)
        upload(m, c, &boxes[i]);
    m->dirty |= count > 0;
    pixman_region32_fini(&mine);
}

void monitor_set_picture(struct monitor *m, const struct screen_display *d, const struct rect *area)
{
    struct size size = {area->right - area->left, area->bottom - area->top};
    bool same_size = size.width == m->view.guest.width && size.height == m->view.guest.height;
    pixman_region32_t all;

    if (m->texture && m->primary_serial == d->primary_serial && memcmp(area, &m->area, sizeof(*area)) == 0)
        return;
    m->area = *area;
    m->view.guest = size;
    m->primary_serial = d->primary_serial;
    if (!m->texture || !same_size)
        open_texture(m);
    pixman_region32_init_rect(&all, area->left, area->top, (unsigned)size.width, (unsigned)size.height);
    monitor_upload(m, d->primary, &all);
    pixman_region32_fini(&all);
}

bool monitor_is_off(const struct monitor *m)
{
    return !m->present && SDL_GetTicks64() - m->gone_at >= OFF_MS;
}

static bool is_visible(const struct monitor *m)
{
    return m->sdl && !(SDL_GetWindowFlags(m->sdl) & (SDL_WINDOW_HIDDEN | SDL_WINDOW_MINIMIZED));
}

uint64_t monitor_due(const struct monitor *m)
{
    uint64_t due = overlay_due(m);

    if (m->dirty)
        due = MIN(due, m->shown_at + m->frame_ms);
    if (!m->present && !monitor_is_off(m))
        due = MIN(due, m->gone_at + OFF_MS);
    return is_visible(m) ? due : NEVER;
}

void monitor_show(struct monitor *m)
{
    struct rect place = view_place(&m->view);
    SDL_Rect at = {place.left, place.top, place.right - place.left, place.bottom - place.top};

    SDL_SetRenderDrawColor(m->renderer, 0, 0, 0, 255);
    SDL_RenderClear(m->renderer);
    /* What sets a texture's mode takes whichever OpenGL context is current: now it is this window's. */
    SDL_RenderFlush(m->renderer);
    if (m->texture) {
        SDL_SetTextureScaleMode(m->texture, view_is_exact(&m->view) ? SDL_ScaleModeNearest : SDL_ScaleModeLinear);
        SDL_RenderCopy(m->renderer, m->texture, NULL, &at);
        pointer_draw(m, &place);
    }
    notice_draw(m);
    sending_draw(m);
    voice_draw(m);
    overlay_draw(m);
    SDL_RenderPresent(m->renderer);
    m->shown_at = SDL_GetTicks64();
    m->dirty = false;
}
