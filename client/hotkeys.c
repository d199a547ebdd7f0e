#include "client/hotkeys.h"

#include "base/error.h"
#include "base/options.h"

#include <SDL_keyboard.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const names[] = {
    [HOTKEY_FULL_SCREEN] = "toggle-fullscreen",
    [HOTKEY_RELEASE] = "release-cursor",
    [HOTKEY_SECURE_ATTENTION] = "secure-attention",
    [HOTKEY_ZOOM_IN] = "zoom-in",
    [HOTKEY_ZOOM_OUT] = "zoom-out",
    [HOTKEY_ZOOM_RESET] = "zoom-reset",
    [HOTKEY_MICROPHONE] = "toggle-microphone",
};

/* Zooming has Alt with it: with Ctrl alone it is what the guest's own programs know. */
static const char *const defaults[] = {
    [HOTKEY_FULL_SCREEN] = "shift+f11",        [HOTKEY_RELEASE] = "ctrl+alt",
    [HOTKEY_SECURE_ATTENTION] = "ctrl+alt+end", [HOTKEY_ZOOM_IN] = "ctrl+alt+plus",
    [HOTKEY_ZOOM_OUT] = "ctrl+alt+minus",      [HOTKEY_ZOOM_RESET] = "ctrl+alt+0",
    [HOTKEY_MICROPHONE] = "ctrl+alt+m",
};

static_assert(ARRAY_SIZE(names) == HOTKEY_COUNT && ARRAY_SIZE(defaults) == HOTKEY_COUNT);

/* What remote-viewer has besides. */
static const char *const others[] = {"smartcard-insert", "smartcard-remove", "usb-device-reset"};

static const struct {
    const char *name;
    unsigned bit;
} modifiers[] = {
    {"Ctrl", HOTKEY_CTRL},   {"Control", HOTKEY_CTRL}, {"Shift", HOTKEY_SHIFT}, {"Alt", HOTKEY_ALT},
    {"Super", HOTKEY_SUPER}, {"Win", HOTKEY_SUPER},    {"Cmd", HOTKEY_SUPER},
};

/* Words for keys that SDL calls otherwise. */
static const struct {
    const char *name;
    SDL_Keycode key;
} aliases[] = {
    {"plus", SDLK_PLUS},
    {"minus", SDLK_MINUS},
    {"equal", SDLK_EQUALS},
    {"del", SDLK_DELETE},
    {"ins", SDLK_INSERT},
    {"esc", SDLK_ESCAPE},
    {"enter", SDLK_RETURN},
    {"page_up", SDLK_PAGEUP},
    {"page_down", SDLK_PAGEDOWN},
    {"print", SDLK_PRINTSCREEN},
    {"scroll_lock", SDLK_SCROLLLOCK},
    {"menu", SDLK_APPLICATION},
    {"kp_add", SDLK_KP_PLUS},
    {"kp_subtract", SDLK_KP_MINUS},
    {"kp_0", SDLK_KP_0},
};

/* The same wish on other layouts: where a sign needs Shift, and on the keypad. */
static const struct {
    SDL_Keycode key, other;
    int scancode;
} equals[] = {
    {SDLK_PLUS, SDLK_EQUALS, SDL_SCANCODE_KP_PLUS},
    {SDLK_MINUS, SDLK_KP_MINUS, SDL_SCANCODE_KP_MINUS},
    {SDLK_0, SDLK_KP_0, SDL_SCANCODE_0},
};

static unsigned find_modifier(const char *word, size_t n)
{
    for (size_t i = 0; i < ARRAY_SIZE(modifiers); i++)
        if (strlen(modifiers[i].name) == n && strncasecmp(modifiers[i].name, word, n) == 0)
            return modifiers[i].bit;
    return 0;
}

static SDL_Keycode find_key(const char *word)
{
    for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
        if (strcasecmp(aliases[i].name, word) == 0)
            return aliases[i].key;
    return SDL_GetKeyFromName(word);
}

static int parse_keys(const char *text, struct hotkey *out)
{
    struct hotkey h = {0};
    const char *word = text;

    for (;;) {
        size_t n = strcspn(word, "+");
        unsigned bit = find_modifier(word, n);

        if (!bit)
            break;
        h.modifiers |= bit;
        word += n;
        if (!*word++)
            goto done;
    }
    h.key = find_key(word);
    if (!h.key)
        return fail(-EINVAL, "'%s' is no key; hotkeys are written as ctrl+alt+end or shift+f11", word);
done:
    *out = h;
    return 0;
}

void hotkeys_init(struct hotkeys *h)
{
    *h = (struct hotkeys){0};
    for (size_t i = 0; i < HOTKEY_COUNT; i++)
        parse_keys(defaults[i], &h->keys[i]);
}

int hotkeys_set(struct hotkeys *h, const char *name, const char *text)
{
    struct hotkey key = {0};
    int err;

    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (strcmp(name, others[i]) == 0)
            return 0;
    for (size_t i = 0; i < HOTKEY_COUNT; i++) {
        if (strcmp(name, names[i]) != 0)
            continue;
        err = text && text[0] ? parse_keys(text, &key) : 0;
        if (!err && key.modifiers && !key.key && i != HOTKEY_RELEASE)
            err = fail(-EINVAL, "'%s' lacks a key: modifiers alone can be release-cursor only", text);
        if (!err)
            h->keys[i] = key;
        return err;
    }
    return fail(-ENOENT, "there is no hotkey '%s'; there are %s, %s, %s, %s, %s, %s and %s", name, names[0], names[1],
                names[2], names[3], names[4], names[5], names[6]);
}

static int set_one(void *opaque, const char *name, const char *text)
{
    int err = hotkeys_set(opaque, name, text);

    return err == -ENOENT ? -EINVAL : err;
}

int hotkeys_parse(struct hotkeys *h, const char *text)
{
    struct hotkeys parsed = {0};
    int err = parse_suboptions(text, set_one, &parsed);

    if (!err)
        *h = parsed;
    return err;
}

/* Shift is needed for some signs on some layouts: of those it is no part. */
static bool is_pressed(const struct hotkey *h, SDL_Keycode key, int scancode, unsigned down)
{
    for (size_t i = 0; i < ARRAY_SIZE(equals); i++)
        if (equals[i].key == h->key)
            return (h->modifiers | HOTKEY_SHIFT) == (down | HOTKEY_SHIFT) &&
                   (key == h->key || key == equals[i].other || scancode == equals[i].scancode);
    return h->key == key && h->modifiers == down;
}

enum hotkey_action hotkeys_find(const struct hotkeys *h, int32_t key, int scancode, unsigned down)
{
    for (size_t i = 0; i < HOTKEY_COUNT; i++)
        if (h->keys[i].key && is_pressed(&h->keys[i], key, scancode, down))
            return (enum hotkey_action)i;
    return HOTKEY_NONE;
}

const char *hotkeys_text(const struct hotkeys *h, enum hotkey_action action, char *text, size_t size)
{
    const struct hotkey *k = &h->keys[action];
    unsigned left = k->modifiers;
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(modifiers) && used < size; i++)
        if (left & modifiers[i].bit) {
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? "+" : "", modifiers[i].name);
            left &= ~modifiers[i].bit;
        }
    if (k->key && used < size)
        snprintf(text + used, size - used, "%s%s", used ? "+" : "", SDL_GetKeyName(k->key));
    return text;
}
