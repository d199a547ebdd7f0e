/*
 * hotkeys.h - the keys that the window keeps for itself, in remote-viewer's words: an action's name, and the keys
 * that are pressed for it, joined by '+'.
 *
 *     toggle-fullscreen=shift+f11,release-cursor=ctrl+alt,secure-attention=ctrl+alt+end
 *
 * Modifiers are ctrl, shift, alt and super; the last word may be a key, by SDL's name for it or one of the aliases
 * here (end, del, plus, minus...). Only release-cursor may be modifiers alone: the left ones, pressed and let go
 * without another key. No text: no hotkey.
 */
#ifndef CLIENT_HOTKEYS_H
#define CLIENT_HOTKEYS_H

#include "base/base.h"

enum hotkey_action {
    HOTKEY_FULL_SCREEN,
    HOTKEY_RELEASE,
    HOTKEY_SECURE_ATTENTION, /* Ctrl+Alt+Del to the guest */
    HOTKEY_ZOOM_IN,
    HOTKEY_ZOOM_OUT,
    HOTKEY_ZOOM_RESET,
    HOTKEY_MICROPHONE, /* open or shut it, for a guest that records */
    HOTKEY_COUNT,
    HOTKEY_NONE = HOTKEY_COUNT,
};

enum { HOTKEY_CTRL = 1, HOTKEY_SHIFT = 2, HOTKEY_ALT = 4, HOTKEY_SUPER = 8 };

struct hotkey {
    unsigned modifiers; /* HOTKEY_CTRL... */
    int32_t key;        /* SDL_Keycode; 0: modifiers alone, or, if there are none, nothing */
};

struct hotkeys {
    struct hotkey keys[HOTKEY_COUNT];
};

void hotkeys_init(struct hotkeys *h);
/*
 * One of them, as in a .vv file. -EINVAL with fail_text(): the text is not understood; -ENOENT: there is no such
 * action. remote-viewer's own for smart cards and USB are taken and do nothing.
 */
int hotkeys_set(struct hotkeys *h, const char *name, const char *text);
/* Those named replace all others, NAME=KEYS,NAME=KEYS, as remote-viewer's --hotkeys. -EINVAL with fail_text(). */
int hotkeys_parse(struct hotkeys *h, const char *text);
/* What a key means: SDL's code and scan code of it, and the modifiers that are down. HOTKEY_NONE: it is the guest's. */
enum hotkey_action hotkeys_find(const struct hotkeys *h, int32_t key, int scancode, unsigned modifiers);
/* For people: "Ctrl+Alt", "Shift+F11"; "" if there is none. */
const char *hotkeys_text(const struct hotkeys *h, enum hotkey_action action, char *text, size_t size);

#endif
