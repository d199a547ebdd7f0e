#include "client/window.h"

#include "base/error.h"
#include "client/inputs_channel.h"
#include "client/keymap.h"

#include <SDL.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_MS 16 /* pictures come no faster */

struct window {
    struct screen *screen;
    struct viewer *viewer;
    SDL_Window *sdl;
    SDL_Renderer *renderer;
    SDL_Texture *texture, *cursor_texture;
    SDL_Cursor *cursor;
    uint32_t wake_event;
    atomic_bool wake_pending;
    bool dirty; /* what is shown is not what the screen has */
    uint32_t shown_ms;
    bool placed; /* in the middle, once; after that it is the user's */
    bool grabbed, ended;
    bool chord; /* Ctrl and Alt are down, and no key else was */
    /* Copies of the screen's, as of the last look: */
    int width, height; /* of the guest; 0: none */
    unsigned primary_serial, cursor_serial;
    uint32_t cursor_width, cursor_height, hot_x, hot_y;
    int cursor_x, cursor_y;
    bool cursor_visible, client_mouse;
    char name[128];
};

static void wake(void *opaque)
{
    struct window *w = opaque;
    SDL_Event event = {.type = w->wake_event};

    if (!atomic_exchange(&w->wake_pending, true))
        SDL_PushEvent(&event);
}

static void set_title(struct window *w)
{
    char title[256];
    const char *hint = w->grabbed        ? " (Ctrl+Alt gives mouse and keyboard back)"
                       : w->client_mouse ? ""
                                         : " (click to use the mouse)";

    snprintf(title, sizeof(title), "%s%sminivm-client%s", w->name, w->name[0] ? " - " : "", hint);
    SDL_SetWindowTitle(w->sdl, title);
}

static void post(struct window *w, const struct user_event *event)
{
    viewer_post(w->viewer, event);
}

/* The system's pointer: the guest's cursor in client mode, hidden where the guest draws its own. */
static void apply_pointer(struct window *w)
{
    bool guests = w->client_mouse && w->cursor;

    SDL_SetCursor(guests ? w->cursor : SDL_GetDefaultCursor());
    SDL_ShowCursor(!guests || w->cursor_visible ? SDL_ENABLE : SDL_DISABLE);
}

static void set_grab(struct window *w, bool on)
{
    w->grabbed = on;
    SDL_SetWindowKeyboardGrab(w->sdl, on ? SDL_TRUE : SDL_FALSE);
    SDL_SetRelativeMouseMode(on && !w->client_mouse ? SDL_TRUE : SDL_FALSE);
    apply_pointer(w);
    set_title(w);
}

/* ---- the picture ---- */

static void open_texture(struct window *w, const struct canvas *c)
{
    if (w->texture)
        SDL_DestroyTexture(w->texture);
    w->texture = NULL;
    w->width = c ? (int)c->width : 0;
    w->height = c ? (int)c->height : 0;
    if (!c)
        return;
    w->texture = SDL_CreateTexture(w->renderer, SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STREAMING,
                                   w->width, w->height);
    SDL_SetWindowSize(w->sdl, w->width, w->height);
    if (!w->placed)
        SDL_SetWindowPosition(w->sdl, SDL_WINDOWPOS_CENTERED, SDL_WINDOWPOS_CENTERED);
    w->placed = true;
    SDL_RenderSetLogicalSize(w->renderer, w->width, w->height);
}

static void upload(struct window *w, const struct canvas *c, const pixman_box32_t *b)
{
    SDL_Rect rect = {b->x1, b->y1, b->x2 - b->x1, b->y2 - b->y1};
    pixman_image_t *to;
    void *pixels;
    int pitch;

    if (!w->texture || SDL_LockTexture(w->texture, &rect, &pixels, &pitch) < 0)
        return;
    to = pixman_image_create_bits_no_clear(PIXMAN_x8r8g8b8, rect.w, rect.h, pixels, pitch);
    if (to) {
        pixman_image_composite32(PIXMAN_OP_SRC, c->image, NULL, to, rect.x, rect.y, 0, 0, 0, 0,
                                 rect.w, rect.h);
        pixman_image_unref(to);
    }
    SDL_UnlockTexture(w->texture);
}

static void upload_damage(struct window *w)
{
    pixman_region32_t damage;
    const pixman_box32_t *boxes;
    int count;

    pixman_region32_init(&damage);
    screen_take_damage(w->screen, &damage);
    boxes = pixman_region32_rectangles(&damage, &count);
    for (int i = 0; i < count && w->screen->primary; i++)
        upload(w, w->screen->primary, &boxes[i]);
    w->dirty |= count > 0;
    pixman_region32_fini(&damage);
}

static void close_cursor(struct window *w)
{
    if (w->cursor)
        SDL_FreeCursor(w->cursor);
    if (w->cursor_texture)
        SDL_DestroyTexture(w->cursor_texture);
    w->cursor = NULL;
    w->cursor_texture = NULL;
}

static void open_cursor(struct window *w, const struct cursor_shape *shape)
{
    SDL_Surface *surface;

    close_cursor(w);
    if (!shape->pixels)
        return;
    surface =
        SDL_CreateRGBSurfaceWithFormatFrom(shape->pixels, (int)shape->width, (int)shape->height, 32,
                                           (int)shape->width * 4, SDL_PIXELFORMAT_ARGB8888);
    if (!surface)
        return;
    w->cursor = SDL_CreateColorCursor(surface, (int)shape->hot_x, (int)shape->hot_y);
    w->cursor_texture = SDL_CreateTextureFromSurface(w->renderer, surface);
    if (w->cursor_texture)
        /* The pixels are premultiplied. */
        SDL_SetTextureBlendMode(w->cursor_texture,
                                SDL_ComposeCustomBlendMode(
                                    SDL_BLENDFACTOR_ONE, SDL_BLENDFACTOR_ONE_MINUS_SRC_ALPHA,
                                    SDL_BLENDOPERATION_ADD, SDL_BLENDFACTOR_ONE,
                                    SDL_BLENDFACTOR_ONE_MINUS_SRC_ALPHA, SDL_BLENDOPERATION_ADD));
    SDL_FreeSurface(surface);
    w->cursor_width = shape->width;
    w->cursor_height = shape->height;
    w->hot_x = shape->hot_x;
    w->hot_y = shape->hot_y;
}

static void look_at_cursor(struct window *w)
{
    struct screen *s = w->screen;
    bool moved = w->cursor_x != s->cursor_x || w->cursor_y != s->cursor_y ||
                 w->cursor_visible != s->cursor_visible;

    w->dirty |= moved && !w->client_mouse;
    w->cursor_x = s->cursor_x;
    w->cursor_y = s->cursor_y;
    if (w->cursor_serial == s->cursor_serial && w->cursor_visible == s->cursor_visible)
        return;
    w->cursor_visible = s->cursor_visible;
    if (w->cursor_serial != s->cursor_serial)
        open_cursor(w, &s->cursor);
    w->cursor_serial = s->cursor_serial;
    w->dirty |= !w->client_mouse;
    apply_pointer(w);
}

static void look_at_session(struct window *w)
{
    struct screen *s = w->screen;

    w->ended |= s->status.state == CLIENT_ENDED;
    if (w->client_mouse != s->client_mouse || strcmp(w->name, s->name) != 0) {
        w->client_mouse = s->client_mouse;
        memcpy(w->name, s->name, sizeof(w->name));
        set_grab(w, w->grabbed);
        w->dirty = true;
    }
}

/* Take over what has changed on the screen. */
static void look(struct window *w)
{
    screen_lock(w->screen);
    look_at_session(w);
    if (w->primary_serial != w->screen->primary_serial) {
        w->primary_serial = w->screen->primary_serial;
        open_texture(w, w->screen->primary);
        w->dirty = true;
    }
    upload_damage(w);
    look_at_cursor(w);
    screen_unlock(w->screen);
}

static void show(struct window *w)
{
    SDL_Rect at = {w->cursor_x - (int)w->hot_x, w->cursor_y - (int)w->hot_y, (int)w->cursor_width,
                   (int)w->cursor_height};

    SDL_SetRenderDrawColor(w->renderer, 0, 0, 0, 255);
    SDL_RenderClear(w->renderer);
    if (w->texture)
        SDL_RenderCopy(w->renderer, w->texture, NULL, NULL);
    if (w->texture && w->cursor_texture && w->cursor_visible && !w->client_mouse)
        SDL_RenderCopy(w->renderer, w->cursor_texture, NULL, &at);
    SDL_RenderPresent(w->renderer);
    w->shown_ms = SDL_GetTicks();
    w->dirty = false;
}

/* ---- the user ---- */

static void send_locks(struct window *w)
{
    SDL_Keymod mod = SDL_GetModState();
    struct user_event event = {USER_LOCKS};

    event.key = (uint16_t)((mod & KMOD_SCROLL ? SPICE_KEYBOARD_MODIFIER_FLAGS_SCROLL_LOCK : 0) |
                           (mod & KMOD_NUM ? SPICE_KEYBOARD_MODIFIER_FLAGS_NUM_LOCK : 0) |
                           (mod & KMOD_CAPS ? SPICE_KEYBOARD_MODIFIER_FLAGS_CAPS_LOCK : 0));
    post(w, &event);
}

/* Ctrl+Alt let go without any other key: give the pointer back. */
static void watch_chord(struct window *w, const SDL_KeyboardEvent *key)
{
    SDL_Scancode code = key->keysym.scancode;
    bool part = code == SDL_SCANCODE_LCTRL || code == SDL_SCANCODE_LALT;
    const uint8_t *down = SDL_GetKeyboardState(NULL);

    if (key->type == SDL_KEYDOWN) {
        w->chord = part && down[SDL_SCANCODE_LCTRL] && down[SDL_SCANCODE_LALT];
    } else if (w->chord && part) {
        w->chord = false;
        set_grab(w, false);
    }
}

static void on_key(struct window *w, const SDL_KeyboardEvent *key)
{
    struct user_event event = {USER_KEY, .key = key_of_sdl(key->keysym.scancode),
                               .down = key->type == SDL_KEYDOWN};

    if (event.key)
        post(w, &event);
    watch_chord(w, key);
}

static void on_motion(struct window *w, const SDL_MouseMotionEvent *m)
{
    struct user_event event = {USER_POSITION};

    if (!w->width)
        return;
    if (w->client_mouse) {
        event.x = CLAMP(m->x, 0, w->width - 1);
        event.y = CLAMP(m->y, 0, w->height - 1);
    } else if (w->grabbed) {
        event = (struct user_event){USER_MOTION, .x = m->xrel, .y = m->yrel};
    } else {
        return;
    }
    post(w, &event);
}

static void on_button(struct window *w, const SDL_MouseButtonEvent *b)
{
    static const uint8_t buttons[] = {
        [SDL_BUTTON_LEFT] = SPICE_MOUSE_BUTTON_LEFT,
        [SDL_BUTTON_MIDDLE] = SPICE_MOUSE_BUTTON_MIDDLE,
        [SDL_BUTTON_RIGHT] = SPICE_MOUSE_BUTTON_RIGHT,
        [SDL_BUTTON_X1] = SPICE_MOUSE_BUTTON_SIDE,
        [SDL_BUTTON_X2] = SPICE_MOUSE_BUTTON_EXTRA,
    };
    struct user_event event = {USER_BUTTON, .down = b->type == SDL_MOUSEBUTTONDOWN};
    bool was_grabbed = w->grabbed;

    if (event.down && !w->grabbed)
        set_grab(w, true);
    /* The click that only takes the pointer is not the guest's. */
    if (!w->client_mouse && !was_grabbed)
        return;
    event.button = b->button < ARRAY_SIZE(buttons) ? buttons[b->button] : 0;
    if (event.button)
        post(w, &event);
}

static void on_wheel(struct window *w, const SDL_MouseWheelEvent *wheel)
{
    struct user_event event = {USER_BUTTON, .button = wheel->y > 0 ? SPICE_MOUSE_BUTTON_UP
                                                                   : SPICE_MOUSE_BUTTON_DOWN};

    if (!w->client_mouse && !w->grabbed)
        return;
    for (int i = 0; i < abs(wheel->y); i++) {
        event.down = true;
        post(w, &event);
        event.down = false;
        post(w, &event);
    }
}

static void on_window(struct window *w, const SDL_WindowEvent *e)
{
    struct user_event release = {USER_RELEASE_ALL};

    switch (e->event) {
    case SDL_WINDOWEVENT_FOCUS_GAINED:
        send_locks(w);
        break;
    case SDL_WINDOWEVENT_FOCUS_LOST:
        w->chord = false;
        post(w, &release);
        set_grab(w, false);
        break;
    case SDL_WINDOWEVENT_EXPOSED:
    case SDL_WINDOWEVENT_SIZE_CHANGED:
        w->dirty = true;
        break;
    }
}

static void on_event(struct window *w, const SDL_Event *e)
{
    switch (e->type) {
    case SDL_QUIT:
        w->ended = true;
        break;
    case SDL_KEYDOWN:
    case SDL_KEYUP:
        on_key(w, &e->key);
        break;
    case SDL_MOUSEMOTION:
        on_motion(w, &e->motion);
        break;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP:
        on_button(w, &e->button);
        break;
    case SDL_MOUSEWHEEL:
        on_wheel(w, &e->wheel);
        break;
    case SDL_WINDOWEVENT:
        on_window(w, &e->window);
        break;
    default:
        if (e->type == w->wake_event) {
            atomic_store(&w->wake_pending, false);
            look(w);
        }
    }
}

void window_run(struct window *w)
{
    SDL_Event event;

    wake(w);
    while (!w->ended) {
        uint32_t age = SDL_GetTicks() - w->shown_ms;
        int timeout = !w->dirty ? -1 : age < FRAME_MS ? (int)(FRAME_MS - age) : 0;

        if (SDL_WaitEventTimeout(&event, timeout))
            do
                on_event(w, &event);
            while (SDL_PollEvent(&event));
        if (w->dirty && SDL_GetTicks() - w->shown_ms >= FRAME_MS)
            show(w);
    }
}

static int open_sdl(struct window *w)
{
    w->wake_event = SDL_RegisterEvents(1);
    w->sdl = SDL_CreateWindow("minivm-client", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED,
                              640, 480, SDL_WINDOW_RESIZABLE);
    if (!w->sdl)
        return fail(-ENODEV, "cannot open a window: %s", SDL_GetError());
    w->renderer = SDL_CreateRenderer(w->sdl, -1, 0);
    if (!w->renderer)
        return fail(-ENODEV, "cannot draw in a window: %s", SDL_GetError());
    SDL_StopTextInput();
    return 0;
}

int window_create(struct window **window, struct screen *screen, struct viewer *viewer)
{
    struct window *w = calloc(1, sizeof(*w));
    int err;

    if (!w)
        return -ENOMEM;
    w->screen = screen;
    w->viewer = viewer;
    SDL_SetHint(SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0");
    SDL_SetHint(SDL_HINT_GRAB_KEYBOARD, "1");
    if (SDL_Init(SDL_INIT_VIDEO) < 0)
        err = fail(-ENODEV,
                   "cannot open a window: %s\nset DISPLAY or WAYLAND_DISPLAY, or use --headless",
                   SDL_GetError());
    else
        err = open_sdl(w);
    if (err) {
        window_destroy(w);
        return err;
    }
    screen->opaque = w;
    screen->wake = wake;
    *window = w;
    return 0;
}

void window_destroy(struct window *w)
{
    if (!w)
        return;
    w->screen->wake = NULL;
    close_cursor(w);
    if (w->texture)
        SDL_DestroyTexture(w->texture);
    if (w->renderer)
        SDL_DestroyRenderer(w->renderer);
    if (w->sdl)
        SDL_DestroyWindow(w->sdl);
    SDL_Quit();
    free(w);
}
