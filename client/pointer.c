#include "client/window_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CURSOR 256 /* points: of the system's pointer */

/* --- cursors --- */

static SDL_Surface *copy_shape(const struct cursor_shape *shape)
{
    SDL_Surface *s;

    if (!shape->pixels)
        return NULL;
    s = SDL_CreateRGBSurfaceWithFormat(0, (int)shape->width, (int)shape->height, 32, SDL_PIXELFORMAT_ARGB8888);
    for (uint32_t y = 0; s && y < shape->height; y++)
        memcpy((uint8_t *)s->pixels + (size_t)y * (size_t)s->pitch, shape->pixels + (size_t)y * shape->width,
               (size_t)shape->width * 4);
    return s;
}

static void look_at_cursor(struct window *w, unsigned id)
{
    const struct screen_display *d = &w->screen->displays[id];
    struct cursor *c = &w->cursors[id];
    bool changed = c->x != d->cursor_x || c->y != d->cursor_y || c->visible != d->cursor_visible ||
                   c->serial != d->cursor_serial;

    if (!changed)
        return;
    if (c->serial != d->cursor_serial) {
        SDL_FreeSurface(c->shape);
        c->shape = copy_shape(&d->cursor);
        c->hot_x = (int)d->cursor.hot_x;
        c->hot_y = (int)d->cursor.hot_y;
    }
    c->serial = d->cursor_serial;
    c->x = d->cursor_x;
    c->y = d->cursor_y;
    c->visible = d->cursor_visible;
    for (unsigned i = 0; i < w->count && !w->client_mouse; i++)
        w->monitors[i]->dirty |= w->monitors[i]->display == id;
}

void pointer_look(struct window *w)
{
    for (unsigned id = 0; id < SCREEN_MAX_DISPLAYS; id++)
        look_at_cursor(w, id);
    pointer_apply(w);
}

/* As large as the picture around it, in points. */
static double cursor_scale(const struct monitor *m)
{
    struct rect r = view_place(&m->view);

    return rect_empty(&r) ? 1 : (double)(r.right - r.left) / m->view.guest.width / monitor_density(m);
}

static SDL_Cursor *make_cursor(const struct cursor *c, double scale)
{
    int width = CLAMP((int)lround(c->shape->w * scale), 1, MAX_CURSOR);
    int height = CLAMP((int)lround(c->shape->h * scale), 1, MAX_CURSOR);
    SDL_Surface *s = c->shape;
    SDL_Cursor *cursor;

    if (width != s->w || height != s->h) {
        s = SDL_CreateRGBSurfaceWithFormat(0, width, height, 32, SDL_PIXELFORMAT_ARGB8888);
        if (!s)
            return NULL;
        SDL_SoftStretchLinear(c->shape, NULL, s, NULL);
    }
    cursor = SDL_CreateColorCursor(s, CLAMP(c->hot_x * width / c->shape->w, 0, width - 1),
                                   CLAMP(c->hot_y * height / c->shape->h, 0, height - 1));
    if (s != c->shape)
        SDL_FreeSurface(s);
    return cursor;
}

static void set_system_cursor(struct window *w, const struct monitor *m)
{
    struct pointer *p = &w->pointer;
    const struct cursor *c = &w->cursors[m->display];
    double scale = cursor_scale(m);
    SDL_Cursor *old = p->system;

    if (!old || p->display != m->display || p->serial != c->serial || fabs(p->scale - scale) > 1e-6) {
        p->system = make_cursor(c, scale);
        p->display = m->display;
        p->serial = c->serial;
        p->scale = scale;
        SDL_SetCursor(p->system ? p->system : SDL_GetDefaultCursor());
        if (old)
            SDL_FreeCursor(old);
    }
    if (p->system && SDL_GetCursor() != p->system)
        SDL_SetCursor(p->system);
}

static bool is_on_bar(const struct monitor *m)
{
    return m->overlay.open && m->overlay.hot >= 0;
}

/* The system's pointer: the guest's cursor in client mode, hidden where the guest draws its own. */
void pointer_apply(struct window *w)
{
    const struct monitor *m = w->pointer.over;
    bool guests = m && w->client_mouse && m->present && !is_on_bar(m) && w->cursors[m->display].shape;

    if (guests)
        set_system_cursor(w, m);
    else if (SDL_GetCursor() != SDL_GetDefaultCursor())
        SDL_SetCursor(SDL_GetDefaultCursor());
    SDL_ShowCursor(!guests || w->cursors[m->display].visible ? SDL_ENABLE : SDL_DISABLE);
}

static void open_cursor_texture(struct monitor *m, const struct cursor *c)
{
    SDL_BlendMode premultiplied =
        SDL_ComposeCustomBlendMode(SDL_BLENDFACTOR_ONE, SDL_BLENDFACTOR_ONE_MINUS_SRC_ALPHA, SDL_BLENDOPERATION_ADD,
                                   SDL_BLENDFACTOR_ONE, SDL_BLENDFACTOR_ONE_MINUS_SRC_ALPHA, SDL_BLENDOPERATION_ADD);

    if (m->cursor)
        SDL_DestroyTexture(m->cursor);
    m->cursor = SDL_CreateTextureFromSurface(m->renderer, c->shape);
    if (m->cursor && SDL_SetTextureBlendMode(m->cursor, premultiplied) < 0)
        SDL_SetTextureBlendMode(m->cursor, SDL_BLENDMODE_BLEND);
    m->cursor_serial = c->serial;
}

void pointer_draw(struct monitor *m, const struct rect *place)
{
    const struct window *w = m->owner;
    const struct cursor *c = &w->cursors[m->display];
    double scale = (double)(place->right - place->left) / MAX(1, m->view.guest.width);
    SDL_Rect at;

    if (w->client_mouse || !c->shape || !c->visible || !m->present)
        return;
    if (!m->cursor || m->cursor_serial != c->serial)
        open_cursor_texture(m, c);
    at = (SDL_Rect){place->left + (int)lround((c->x - c->hot_x - m->area.left) * scale),
                    place->top + (int)lround((c->y - c->hot_y - m->area.top) * scale),
                    (int)lround(c->shape->w * scale), (int)lround(c->shape->h * scale)};
    if (m->cursor)
        SDL_RenderCopy(m->renderer, m->cursor, NULL, &at);
}

/* --- mouse and touch --- */

void pointer_grab(struct window *w, bool on)
{
    w->pointer.grabbed = on && !w->client_mouse && !w->options->view_only;
    SDL_SetRelativeMouseMode(w->pointer.grabbed ? SDL_TRUE : SDL_FALSE);
    pointer_apply(w);
    window_set_titles(w);
}

/*
 * An agent, and a server that does its work, counts from the monitor's corner if that belongs to the only display; what
 * else takes positions (a tablet) knows the display only.
 */
static void post_position(struct monitor *m, int x, int y)
{
    struct window *w = m->owner;
    struct user_event event = {USER_POSITION, .display = (uint8_t)m->display};

    if (!m->present || !m->view.guest.width)
        return;
    view_to_guest(&m->view, x, y, &event.x, &event.y);
    if (w->agent && w->display_count == 1) {
        event.display = (uint8_t)m->head;
    } else {
        event.x += m->area.left;
        event.y += m->area.top;
    }
    window_post(w, &event);
}

/* What the bar offers in turn. */
static unsigned next_scale(unsigned percent)
{
    return percent == VIEW_FIT ? 100 : percent < 200 ? percent + 50 : VIEW_FIT;
}

/* True: the bar or a notice has it. */
static bool is_ours(struct monitor *m, int x, int y, bool down)
{
    struct window *w = m->owner;
    int pixel_x = (int)((x + 0.5) * monitor_density(m)), pixel_y = (int)((y + 0.5) * monitor_density(m));
    int action = OVERLAY_NONE;

    if (w->pointer.grabbed)
        return false;
    if (overlay_pointer(m, pixel_x, pixel_y, down, &action)) {
        if (action == OVERLAY_FULL_SCREEN)
            monitors_toggle_full_screen(w);
        else if (action == OVERLAY_SCALE)
            monitors_set_scale(w, next_scale(w->percent));
        else if (action == OVERLAY_CLOSE)
            w->ended = true;
        else if (action >= OVERLAY_SEND)
            keyboard_send(w, (unsigned)(action - OVERLAY_SEND));
        return true;
    }
    return down && (sending_click(m, pixel_x, pixel_y) || voice_click(m, pixel_x, pixel_y) ||
                    notice_click(m, pixel_x, pixel_y));
}

void pointer_motion(struct monitor *m, const SDL_MouseMotionEvent *e)
{
    struct window *w = m->owner;
    struct user_event event = {USER_MOTION, .x = e->xrel, .y = e->yrel};
    bool ours = is_ours(m, e->x, e->y, false);

    if (w->pointer.over != m || m->overlay.open) {
        w->pointer.over = m;
        pointer_apply(w);
    }
    if (w->pointer.grabbed)
        window_post(w, &event);
    else if (w->client_mouse && !ours)
        post_position(m, e->x, e->y);
}

static void post_button(struct window *w, uint8_t button, bool down)
{
    struct user_event event = {USER_BUTTON, .button = button, .down = down};

    window_post(w, &event);
}

void pointer_button(struct monitor *m, const SDL_MouseButtonEvent *b)
{
    static const uint8_t buttons[] = {
        [SDL_BUTTON_LEFT] = SPICE_MOUSE_BUTTON_LEFT,   [SDL_BUTTON_MIDDLE] = SPICE_MOUSE_BUTTON_MIDDLE,
        [SDL_BUTTON_RIGHT] = SPICE_MOUSE_BUTTON_RIGHT, [SDL_BUTTON_X1] = SPICE_MOUSE_BUTTON_SIDE,
        [SDL_BUTTON_X2] = SPICE_MOUSE_BUTTON_EXTRA,
    };
    struct window *w = m->owner;
    bool down = b->type == SDL_MOUSEBUTTONDOWN;
    uint8_t button = b->button < ARRAY_SIZE(buttons) ? buttons[b->button] : 0;
    uint32_t bit = SDL_BUTTON(b->button % 32);

    if (down ? is_ours(m, b->x, b->y, true) : !(w->pointer.held & bit))
        return;
    if (down && m->present)
        keyboard_grab(w, true);
    if (!w->client_mouse && !w->pointer.grabbed) {
        /* The click that only takes the pointer is not the guest's. */
        if (down && m->present)
            pointer_grab(w, true);
        return;
    }
    w->pointer.held = down ? w->pointer.held | bit : w->pointer.held & ~bit;
    if (w->client_mouse)
        post_position(m, b->x, b->y);
    if (button)
        post_button(w, button, down);
}

/* Wheels that know parts of a notch: they are added up, and forgotten when it turns round. */
void pointer_wheel(struct monitor *m, const SDL_MouseWheelEvent *e)
{
    struct window *w = m->owner;
    float turn = e->preciseY;

    if (!w->client_mouse && !w->pointer.grabbed)
        return;
    if (turn * w->pointer.wheel < 0)
        w->pointer.wheel = 0;
    w->pointer.wheel += turn;
    for (; fabsf(w->pointer.wheel) >= 1; w->pointer.wheel -= copysignf(1, w->pointer.wheel)) {
        uint8_t button = w->pointer.wheel > 0 ? SPICE_MOUSE_BUTTON_UP : SPICE_MOUSE_BUTTON_DOWN;

        post_button(w, button, true);
        post_button(w, button, false);
    }
}

/* One finger is the pointer with the left button; others are not looked at while it is down. */
void pointer_finger(struct monitor *m, const SDL_TouchFingerEvent *e)
{
    struct window *w = m->owner;
    int x, y;

    view_of_touch(&m->view, e->x, e->y, &x, &y);
    if (e->type == SDL_FINGERDOWN && !w->pointer.touching) {
        if (is_ours(m, x, y, true))
            return;
        w->pointer.touching = true;
        w->pointer.finger = e->fingerId;
    } else if (!w->pointer.touching || w->pointer.finger != e->fingerId) {
        return;
    }
    if (w->client_mouse)
        post_position(m, x, y);
    else
        window_post(w, &(struct user_event){USER_MOTION, .x = (int)lroundf(e->dx * (float)m->view.window.width),
                                            .y = (int)lroundf(e->dy * (float)m->view.window.height)});
    if (e->type != SDL_FINGERMOTION)
        post_button(w, SPICE_MOUSE_BUTTON_LEFT, e->type == SDL_FINGERDOWN);
    w->pointer.touching = e->type != SDL_FINGERUP;
}

void pointer_fini(struct window *w)
{
    for (unsigned i = 0; i < SCREEN_MAX_DISPLAYS; i++)
        SDL_FreeSurface(w->cursors[i].shape);
    if (w->pointer.system)
        SDL_FreeCursor(w->pointer.system);
}
