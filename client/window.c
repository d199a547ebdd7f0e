#include "client/window_parts.h"

#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEMPO_MS 1000 /* how often the title says anew how fast it is */

static void wake(void *opaque)
{
    struct window *w = opaque;
    SDL_Event event = {.type = w->wake_event};

    if (!atomic_exchange(&w->wake_pending, true))
        SDL_PushEvent(&event);
}

void window_post(struct window *w, const struct user_event *event)
{
    if (!w->options->view_only)
        viewer_post(w->viewer, event);
}

void window_redraw(struct window *w)
{
    for (unsigned i = 0; i < w->count; i++)
        w->monitors[i]->dirty = true;
}

struct monitor *window_monitor(struct window *w, uint32_t sdl_id)
{
    for (unsigned i = 0; i < w->count; i++)
        if (w->monitors[i]->sdl && SDL_GetWindowID(w->monitors[i]->sdl) == sdl_id)
            return w->monitors[i];
    return NULL;
}

/* --- titles --- */

/* What is said in the window; where there is no font it is said only here. */
static const char *hint(const struct window *w, char *text, size_t size)
{
    char release[64];

    hotkeys_text(&w->options->hotkeys, HOTKEY_RELEASE, release, sizeof(release));
    text[0] = '\0';
    if (!w->text && notice_has_keys(&w->notice))
        snprintf(text, size, " (%.*s)", (int)strcspn(w->notice.status.text, "\n"), w->notice.status.text);
    else if (w->voice.state == MICROPHONE_OPEN)
        snprintf(text, size, " (the guest hears the microphone)");
    else if (w->pointer.grabbed)
        snprintf(text, size, " (%s gives mouse and keyboard back)", release);
    else if (!w->client_mouse && !w->options->view_only && w->notice.status.state == CLIENT_CONNECTED)
        snprintf(text, size, " (click to use the mouse)");
    return text;
}

void window_set_titles(struct window *w)
{
    const char *name = w->options->title[0] ? w->options->title : w->name;
    char title[512], words[300], number[16] = "";

    hint(w, words, sizeof(words));
    for (unsigned i = 0; i < w->count; i++) {
        if (w->count > 1)
            snprintf(number, sizeof(number), " %u", i + 1);
        snprintf(title, sizeof(title), "%.128s%s%sminivm-client%s%s", name, number, name[0] ? " - " : "", words,
                 w->tempo_text);
        if (w->monitors[i]->sdl)
            SDL_SetWindowTitle(w->monitors[i]->sdl, title);
    }
}

/* --- what the session shows --- */

static void look_at_session(struct window *w)
{
    const struct screen *s = w->screen;
    bool named = strcmp(w->name, s->name) != 0, mouse = w->client_mouse != s->client_mouse;

    w->ended |= s->over;
    w->agent = s->agent;
    w->display_count = s->display_count;
    w->client_mouse = s->client_mouse;
    memcpy(w->name, s->name, sizeof(w->name));
    if (mouse)
        pointer_grab(w, false);
    if (named || mouse) {
        window_set_titles(w);
        window_redraw(w);
    }
}

/* Take over what has changed on the screen. */
static void look(struct window *w)
{
    struct client_status status;
    bool locks;

    screen_lock(w->screen);
    look_at_session(w);
    monitors_look(w);
    pointer_look(w);
    sending_look(w);
    voice_look(w);
    status = w->screen->status;
    locks = w->locks_serial != w->screen->locks_serial;
    w->locks = w->screen->locks;
    w->locks_serial = w->screen->locks_serial;
    if (w->options->stats && w->tempo_due == NEVER && w->tempo_frames != w->screen->tempo.frames)
        w->tempo_due = SDL_GetTicks64() + TEMPO_MS;
    screen_unlock(w->screen);
    notice_set(w, &status);
    if (locks)
        keyboard_locks(w);
}

void window_notice_action(struct window *w, enum notice_action action)
{
    switch (action) {
    case NOTICE_ANSWER:
        viewer_answer(w->viewer, w->notice.status.state == CLIENT_ASKS_TRUST ? "yes" : w->notice.answer);
        break;
    case NOTICE_REFUSE:
        viewer_answer(w->viewer, NULL);
        break;
    case NOTICE_RETRY:
        w->notice.was_connected = false;
        viewer_retry(w->viewer);
        break;
    case NOTICE_CLOSE:
        w->ended = true;
        break;
    case NOTICE_NONE:
        break;
    }
    explicit_bzero(w->notice.answer, sizeof(w->notice.answer));
}

/* --- what the user does --- */

/* The last one ends it; another one the guest may turn off. */
static void close_one(struct window *w, struct monitor *m)
{
    unsigned open = 0;

    monitor_close(m);
    for (unsigned i = 0; i < w->count; i++)
        open += !w->monitors[i]->closed;
    w->ended |= !open;
    if (open)
        monitors_ask(w);
}

static void on_window(struct window *w, struct monitor *m, const SDL_WindowEvent *e)
{
    switch (e->event) {
    case SDL_WINDOWEVENT_CLOSE:
        close_one(w, m);
        break;
    case SDL_WINDOWEVENT_FOCUS_GAINED:
        keyboard_focus(w, m);
        break;
    case SDL_WINDOWEVENT_FOCUS_LOST:
        if (w->keyboard.focus == m)
            keyboard_focus(w, NULL);
        break;
    case SDL_WINDOWEVENT_LEAVE:
        overlay_leave(m);
        if (w->pointer.over == m)
            w->pointer.over = NULL;
        pointer_apply(w);
        break;
    case SDL_WINDOWEVENT_RESIZED:
        monitors_resized(m, e->data1, e->data2);
        break;
    case SDL_WINDOWEVENT_SIZE_CHANGED:
    case SDL_WINDOWEVENT_DISPLAY_CHANGED:
        monitors_moved(m);
        break;
    case SDL_WINDOWEVENT_EXPOSED:
    case SDL_WINDOWEVENT_RESTORED:
        m->dirty = true;
        break;
    }
}

static void on_monitor_event(struct window *w, struct monitor *m, const SDL_Event *e)
{
    switch (e->type) {
    case SDL_KEYDOWN:
    case SDL_KEYUP:
        keyboard_key(m, &e->key);
        break;
    case SDL_MOUSEMOTION:
        pointer_motion(m, &e->motion);
        break;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP:
        pointer_button(m, &e->button);
        break;
    case SDL_MOUSEWHEEL:
        pointer_wheel(m, &e->wheel);
        break;
    case SDL_FINGERDOWN:
    case SDL_FINGERMOTION:
    case SDL_FINGERUP:
        pointer_finger(m, &e->tfinger);
        break;
    case SDL_WINDOWEVENT:
        on_window(w, m, &e->window);
        break;
    }
}

static uint32_t window_of(const SDL_Event *e)
{
    switch (e->type) {
    case SDL_MOUSEMOTION:
        return e->motion.windowID;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP:
        return e->button.windowID;
    case SDL_MOUSEWHEEL:
        return e->wheel.windowID;
    case SDL_FINGERDOWN:
    case SDL_FINGERMOTION:
    case SDL_FINGERUP:
        return e->tfinger.windowID;
    default:
        return e->window.windowID; /* of keys too: it is at the same place */
    }
}

static_assert(offsetof(SDL_Event, window.windowID) == offsetof(SDL_Event, key.windowID));

static void on_event(struct window *w, const SDL_Event *e)
{
    struct monitor *m;

    switch (e->type) {
    case SDL_QUIT:
        w->ended = true;
        break;
    case SDL_TEXTINPUT:
        notice_text(w, e->text.text);
        break;
    case SDL_DROPFILE:
        sending_drop(w, e->drop.file);
        SDL_free(e->drop.file);
        break;
    case SDL_RENDER_TARGETS_RESET:
    case SDL_RENDER_DEVICE_RESET:
        window_redraw(w);
        break;
    default:
        m = e->type == w->wake_event ? NULL : window_monitor(w, window_of(e));
        if (m)
            on_monitor_event(w, m, e);
        else if (e->type == w->wake_event && atomic_exchange(&w->wake_pending, false))
            look(w);
    }
}

/* --- how fast it is, with --stats --- */

static void note_tempo(struct window *w, uint64_t now)
{
    double latency;
    uint64_t frames;

    if (now < w->tempo_due)
        return;
    screen_lock(w->screen);
    frames = w->screen->tempo.frames;
    latency = tempo_latency_ms(&w->screen->tempo, 0.5);
    screen_unlock(w->screen);
    snprintf(w->tempo_text, sizeof(w->tempo_text), " (%.0f frames/s",
             1000.0 * (double)(frames - w->tempo_frames) / (double)(now - w->tempo_due + TEMPO_MS));
    snprintf(w->tempo_text + strlen(w->tempo_text), sizeof(w->tempo_text) - strlen(w->tempo_text),
             latency < 0 ? ")" : ", %.1f ms)", latency);
    w->tempo_due = frames == w->tempo_frames ? NEVER : now + TEMPO_MS;
    w->tempo_frames = frames;
    window_set_titles(w);
}

static uint64_t next_due(const struct window *w, uint64_t now)
{
    uint64_t due = MIN(monitors_due(w), MIN(keyboard_due(w), w->tempo_due));

    due = MIN(due, sending_due(&w->sending));
    return MIN(due, notice_due(&w->notice, now));
}

static void tick(struct window *w)
{
    uint64_t now = SDL_GetTicks64();

    note_tempo(w, now);
    keyboard_tick(w, now);
    sending_tick(w, now);
    monitors_tick(w, now);
    if (notice_due(&w->notice, now) != NEVER && w->monitors[0]->shown_at + 900 < now)
        window_redraw(w);
}

void window_run(struct window *w)
{
    SDL_Event event;

    atomic_store(&w->wake_pending, false); /* that event may have been lost while SDL found its display */
    wake(w);
    while (!w->ended) {
        uint64_t now = SDL_GetTicks64(), due = next_due(w, now);
        int timeout = due == NEVER ? -1 : due <= now ? 0 : (int)MIN(due - now, 60000u);

        if (SDL_WaitEventTimeout(&event, timeout))
            do
                on_event(w, &event);
            while (!w->ended && SDL_PollEvent(&event));
        if (!w->ended)
            tick(w);
    }
}

/*
 * Without a graphics device OpenGL is done by the CPU, with a compiler that has to be loaded first: SDL's own renderer
 * takes less, and half the time until the first picture. The user's environment decides otherwise.
 */
static void avoid_slow_opengl(void)
{
    static const char *const devices[] = {"/dev/dri", "/dev/nvidiactl", "/dev/dxg"};

    for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
        if (access(devices[i], F_OK) == 0)
            return;
    SDL_SetHintWithPriority(SDL_HINT_RENDER_DRIVER, "software", SDL_HINT_DEFAULT);
    SDL_SetHintWithPriority(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0", SDL_HINT_DEFAULT);
}

static void set_hints(void)
{
    static const struct {
        const char *name, *value;
    } hints[] = {
        {SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0"},
        {SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1"},
        {SDL_HINT_VIDEO_MINIMIZE_ON_FOCUS_LOSS, "0"},
        {SDL_HINT_ALLOW_ALT_TAB_WHILE_GRABBED, "0"},
        {SDL_HINT_MOUSE_FOCUS_CLICKTHROUGH, "1"},
        {SDL_HINT_TOUCH_MOUSE_EVENTS, "0"}, /* touches are looked at as such */
        {SDL_HINT_MOUSE_TOUCH_EVENTS, "0"},
        {SDL_HINT_QUIT_ON_LAST_WINDOW_CLOSE, "0"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(hints); i++)
        SDL_SetHint(hints[i].name, hints[i].value);
}

int window_create(struct window **window, struct screen *screen, struct viewer *viewer,
                  const struct window_options *options)
{
    struct window *w = calloc(1, sizeof(*w));

    if (!w)
        return -ENOMEM;
    w->screen = screen;
    w->viewer = viewer;
    w->options = options;
    w->percent = options->percent;
    w->layout_due = w->tempo_due = NEVER;
    set_hints();
    avoid_slow_opengl();
    if (SDL_Init(SDL_INIT_EVENTS) < 0) {
        free(w);
        return fail(-ENODEV, "cannot wait for what the user does: %s", SDL_GetError());
    }
    w->wake_event = SDL_RegisterEvents(1);
    screen->opaque = w;
    screen->wake = wake;
    *window = w;
    return 0;
}

static int open_first(struct window *w)
{
    if (SDL_InitSubSystem(SDL_INIT_VIDEO) < 0)
        return fail(-ENODEV, "cannot open a window: %s\nset DISPLAY or WAYLAND_DISPLAY, or use --headless",
                    SDL_GetError());
    SDL_StopTextInput();
    w->monitors[0] = monitor_create(w, 0, 0, false);
    if (!w->monitors[0])
        return -ENODEV;
    w->count = 1;
    return 0;
}

/* Fontconfig reads dozens of files: meanwhile the window opens. */
static int load_text(void *arg)
{
    struct window *w = arg;

    w->text = text_create();
    return 0;
}

int window_open(struct window *w)
{
    SDL_Thread *text = SDL_CreateThread(load_text, "text", w);
    int err = open_first(w);

    SDL_WaitThread(text, NULL);
    if (!err && w->options->full_screen)
        monitors_toggle_full_screen(w);
    return err;
}

void window_destroy(struct window *w)
{
    if (!w)
        return;
    w->screen->wake = NULL;
    pointer_fini(w);
    for (unsigned i = w->count; i-- > 0;)
        monitor_destroy(w->monitors[i]);
    text_destroy(w->text);
    SDL_Quit();
    explicit_bzero(&w->notice, sizeof(w->notice));
    free(w);
}
