#include "client/window_parts.h"

#include "client/combos.h"

#include <string.h>

#define HOLD_MS  400 /* the release hotkey, until the bar shows */
#define STAY_MS  2500
#define LOCKS_MS 500 /* between two corrections of the guest's locks: one that blinks them would not end */

/* --- locks and grabs --- */

static unsigned host_locks(void)
{
    SDL_Keymod mod = SDL_GetModState();

    return (mod & KMOD_SCROLL ? SPICE_KEYBOARD_MODIFIER_FLAGS_SCROLL_LOCK : 0u) |
           (mod & KMOD_NUM ? SPICE_KEYBOARD_MODIFIER_FLAGS_NUM_LOCK : 0u) |
           (mod & KMOD_CAPS ? SPICE_KEYBOARD_MODIFIER_FLAGS_CAPS_LOCK : 0u);
}

static void send_locks(struct window *w)
{
    struct user_event event = {USER_LOCKS, .key = (uint16_t)host_locks()};

    w->keyboard.locks_at = SDL_GetTicks64();
    window_post(w, &event);
}

void keyboard_locks(struct window *w)
{
    const uint8_t *down = SDL_GetKeyboardState(NULL);
    bool typing = down[SDL_SCANCODE_CAPSLOCK] || down[SDL_SCANCODE_NUMLOCKCLEAR] || down[SDL_SCANCODE_SCROLLLOCK];

    window_redraw(w);
    if (w->keyboard.focus && !typing && w->locks != host_locks() &&
        SDL_GetTicks64() - w->keyboard.locks_at >= LOCKS_MS)
        send_locks(w);
}

void keyboard_grab(struct window *w, bool on)
{
    on &= w->keyboard.focus && w->options->grab_keyboard && !w->options->view_only && !notice_has_keys(&w->notice);
    if (w->keyboard.grabbed == on)
        return;
    w->keyboard.grabbed = on;
    for (unsigned i = 0; i < w->count; i++)
        if (w->monitors[i]->sdl)
            SDL_SetWindowKeyboardGrab(w->monitors[i]->sdl,
                                      on && w->monitors[i] == w->keyboard.focus ? SDL_TRUE : SDL_FALSE);
    window_set_titles(w);
}

void keyboard_release(struct window *w)
{
    keyboard_grab(w, false);
    pointer_grab(w, false);
}

void keyboard_focus(struct window *w, struct monitor *m)
{
    struct user_event release = {USER_RELEASE_ALL};

    w->keyboard.chord = false;
    if (w->keyboard.focus && w->keyboard.focus != m) {
        window_post(w, &release);
        memset(w->keyboard.sent, 0, sizeof(w->keyboard.sent));
        keyboard_release(w);
    }
    w->keyboard.focus = m;
    if (!m)
        return;
    send_locks(w);
    keyboard_grab(w, true);
}

/* --- keys --- */

static void post_key(struct window *w, uint16_t key, bool down)
{
    struct user_event event = {USER_KEY, .key = key, .down = down};

    window_post(w, &event);
}

void keyboard_send(struct window *w, unsigned combo)
{
    if (combo >= combo_count)
        return;
    for (int i = 0; i < COMBO_KEYS; i++)
        if (combos[combo].keys[i])
            post_key(w, combos[combo].keys[i], true);
    for (int i = COMBO_KEYS; i-- > 0;)
        if (combos[combo].keys[i])
            post_key(w, combos[combo].keys[i], false);
}

static unsigned modifiers_down(void)
{
    SDL_Keymod mod = SDL_GetModState();

    return (mod & KMOD_CTRL ? HOTKEY_CTRL : 0u) | (mod & KMOD_SHIFT ? HOTKEY_SHIFT : 0u) |
           (mod & KMOD_ALT ? HOTKEY_ALT : 0u) | (mod & KMOD_GUI ? HOTKEY_SUPER : 0u);
}

/* The left keys of modifiers; those on the right may be AltGr, or the guest's own. */
static unsigned chord_part(SDL_Scancode code)
{
    return code == SDL_SCANCODE_LCTRL    ? HOTKEY_CTRL
           : code == SDL_SCANCODE_LSHIFT ? HOTKEY_SHIFT
           : code == SDL_SCANCODE_LALT   ? HOTKEY_ALT
           : code == SDL_SCANCODE_LGUI   ? HOTKEY_SUPER
                                         : 0;
}

static unsigned chord_down(void)
{
    static const SDL_Scancode parts[] = {SDL_SCANCODE_LCTRL, SDL_SCANCODE_LSHIFT, SDL_SCANCODE_LALT, SDL_SCANCODE_LGUI};
    const uint8_t *down = SDL_GetKeyboardState(NULL);
    unsigned all = 0;

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        all |= down[parts[i]] ? chord_part(parts[i]) : 0;
    return all;
}

/* The release hotkey pressed and let go without any other key: give mouse and keyboard back. Held, it shows the bar. */
static void watch_chord(struct window *w, const SDL_KeyboardEvent *e)
{
    const struct hotkey *release = &w->options->hotkeys.keys[HOTKEY_RELEASE];
    struct keyboard *k = &w->keyboard;
    unsigned part = chord_part(e->keysym.scancode);

    if (release->key || !release->modifiers)
        return;
    if (e->type == SDL_KEYDOWN && !e->repeat) {
        k->chord = part && chord_down() == release->modifiers;
        k->chord_at = SDL_GetTicks64();
    } else if (e->type == SDL_KEYUP && k->chord && (part & release->modifiers)) {
        k->chord = false;
        keyboard_release(w);
    }
}

uint64_t keyboard_due(const struct window *w)
{
    bool waits = w->keyboard.chord && w->keyboard.focus && !w->keyboard.focus->overlay.open;

    return waits ? w->keyboard.chord_at + HOLD_MS : NEVER;
}

void keyboard_tick(struct window *w, uint64_t now)
{
    if (keyboard_due(w) <= now) {
        /* The bar is of no use to a pointer that the guest has. */
        pointer_grab(w, false);
        overlay_show(w->keyboard.focus, STAY_MS);
    }
}

static void act(struct monitor *m, enum hotkey_action action)
{
    struct window *w = m->owner;

    switch (action) {
    case HOTKEY_FULL_SCREEN:
        monitors_toggle_full_screen(w);
        break;
    case HOTKEY_RELEASE:
        keyboard_release(w);
        overlay_show(m, STAY_MS);
        break;
    case HOTKEY_SECURE_ATTENTION:
        keyboard_send(w, COMBO_SECURE_ATTENTION);
        break;
    case HOTKEY_ZOOM_IN:
        monitors_zoom(w, 1);
        break;
    case HOTKEY_ZOOM_OUT:
        monitors_zoom(w, -1);
        break;
    case HOTKEY_ZOOM_RESET:
        monitors_zoom(w, 0);
        break;
    case HOTKEY_MICROPHONE:
        voice_toggle(w);
        break;
    case HOTKEY_COUNT:
        break;
    }
}

/* True: the key is the window's. */
static bool is_hotkey(struct monitor *m, const SDL_KeyboardEvent *e)
{
    struct window *w = m->owner;
    bool *swallowed = &w->keyboard.swallowed[e->keysym.scancode % SDL_NUM_SCANCODES];
    enum hotkey_action action;

    if (e->type == SDL_KEYUP || e->repeat) {
        bool was = *swallowed;

        *swallowed &= e->type != SDL_KEYUP;
        return was;
    }
    action = hotkeys_find(&w->options->hotkeys, e->keysym.sym, e->keysym.scancode, modifiers_down());
    *swallowed = action != HOTKEY_NONE;
    act(m, action);
    return *swallowed;
}

/* What goes up is what went down, whichever modifiers are held by then. */
static void pass_on(struct window *w, const SDL_KeyboardEvent *e)
{
    uint16_t *sent = &w->keyboard.sent[e->keysym.scancode % SDL_NUM_SCANCODES];
    unsigned held = modifiers_down();

    if (e->type == SDL_KEYDOWN && !e->repeat)
        *sent = key_with_modifiers(key_of_sdl(e->keysym.scancode), held & HOTKEY_CTRL, held & HOTKEY_ALT);
    /* A keyboard repeats all keys but Pause. */
    if (*sent && !(*sent == KEY_PAUSE && e->repeat))
        post_key(w, *sent, e->type == SDL_KEYDOWN);
    if (e->type == SDL_KEYUP)
        *sent = KEY_NONE;
}

void keyboard_key(struct monitor *m, const SDL_KeyboardEvent *e)
{
    struct window *w = m->owner;

    watch_chord(w, e);
    if (is_hotkey(m, e))
        return;
    if (notice_has_keys(&w->notice)) {
        notice_key(w, e);
        return;
    }
    pass_on(w, e);
}
