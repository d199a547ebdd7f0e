/* Hotkeys in remote-viewer's words, and what they match. */
#include "base/error.h"
#include "client/hotkeys.h"

#include <SDL_keyboard.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <errno.h>

#define CTRL_ALT (HOTKEY_CTRL | HOTKEY_ALT)

static void test_defaults(void **state UNUSED)
{
    struct hotkeys h;
    char text[64];

    hotkeys_init(&h);
    assert_int_equal(hotkeys_find(&h, SDLK_F11, SDL_SCANCODE_F11, HOTKEY_SHIFT), HOTKEY_FULL_SCREEN);
    assert_int_equal(hotkeys_find(&h, SDLK_F11, SDL_SCANCODE_F11, 0), HOTKEY_NONE);
    assert_int_equal(hotkeys_find(&h, SDLK_F11, SDL_SCANCODE_F11, HOTKEY_SHIFT | HOTKEY_CTRL), HOTKEY_NONE);
    assert_int_equal(hotkeys_find(&h, SDLK_END, SDL_SCANCODE_END, CTRL_ALT), HOTKEY_SECURE_ATTENTION);
    assert_int_equal(h.keys[HOTKEY_RELEASE].modifiers, CTRL_ALT);
    assert_int_equal(h.keys[HOTKEY_RELEASE].key, 0);
    assert_string_equal(hotkeys_text(&h, HOTKEY_RELEASE, text, sizeof(text)), "Ctrl+Alt");
    assert_string_equal(hotkeys_text(&h, HOTKEY_FULL_SCREEN, text, sizeof(text)), "Shift+F11");
}

/* A sign that needs Shift on one layout and none on another, and the keypad. */
static void test_signs(void **state UNUSED)
{
    struct hotkeys h;

    hotkeys_init(&h);
    assert_int_equal(hotkeys_find(&h, SDLK_EQUALS, SDL_SCANCODE_EQUALS, CTRL_ALT), HOTKEY_ZOOM_IN);
    assert_int_equal(hotkeys_find(&h, SDLK_PLUS, SDL_SCANCODE_RIGHTBRACKET, CTRL_ALT), HOTKEY_ZOOM_IN);
    assert_int_equal(hotkeys_find(&h, SDLK_KP_PLUS, SDL_SCANCODE_KP_PLUS, CTRL_ALT), HOTKEY_ZOOM_IN);
    assert_int_equal(hotkeys_find(&h, SDLK_KP_MINUS, SDL_SCANCODE_KP_MINUS, CTRL_ALT), HOTKEY_ZOOM_OUT);
    assert_int_equal(hotkeys_find(&h, 0xe0, SDL_SCANCODE_0, CTRL_ALT), HOTKEY_ZOOM_RESET);
    assert_int_equal(hotkeys_find(&h, SDLK_EQUALS, SDL_SCANCODE_EQUALS, CTRL_ALT | HOTKEY_SHIFT), HOTKEY_ZOOM_IN);
    assert_int_equal(hotkeys_find(&h, SDLK_EQUALS, SDL_SCANCODE_EQUALS, HOTKEY_CTRL), HOTKEY_NONE);
    assert_int_equal(hotkeys_find(&h, SDLK_1, SDL_SCANCODE_1, CTRL_ALT), HOTKEY_NONE);
}

static void test_set(void **state UNUSED)
{
    struct hotkeys h;

    hotkeys_init(&h);
    assert_int_equal(hotkeys_set(&h, "toggle-fullscreen", "F11"), 0);
    assert_int_equal(hotkeys_find(&h, SDLK_F11, SDL_SCANCODE_F11, 0), HOTKEY_FULL_SCREEN);
    assert_int_equal(hotkeys_set(&h, "secure-attention", "ctrl+alt+del"), 0);
    assert_int_equal(hotkeys_find(&h, SDLK_DELETE, SDL_SCANCODE_DELETE, CTRL_ALT), HOTKEY_SECURE_ATTENTION);
    assert_int_equal(hotkeys_set(&h, "release-cursor", "Shift+Super"), 0);
    assert_int_equal(h.keys[HOTKEY_RELEASE].modifiers, HOTKEY_SHIFT | HOTKEY_SUPER);
    assert_int_equal(hotkeys_set(&h, "release-cursor", "shift+F12"), 0);
    assert_int_equal(hotkeys_find(&h, SDLK_F12, SDL_SCANCODE_F12, HOTKEY_SHIFT), HOTKEY_RELEASE);
    assert_int_equal(hotkeys_set(&h, "zoom-in", "ctrl++"), 0);
    assert_int_equal(hotkeys_find(&h, SDLK_PLUS, SDL_SCANCODE_EQUALS, HOTKEY_CTRL), HOTKEY_ZOOM_IN);
    assert_int_equal(hotkeys_set(&h, "zoom-in", ""), 0);
    assert_int_equal(hotkeys_find(&h, SDLK_PLUS, SDL_SCANCODE_EQUALS, CTRL_ALT), HOTKEY_NONE);
    assert_int_equal(hotkeys_find(&h, 0, 0, 0), HOTKEY_NONE);
    assert_int_equal(hotkeys_set(&h, "smartcard-insert", "shift+F8"), 0);
}

static void test_bad(void **state UNUSED)
{
    static const char *const bad[] = {"ctrl+",      "ctrl+alt", "nothing", "f99", "ctrl+alt+end+f1",
                                      "ctrl alt f1"};
    struct hotkeys h, before;

    hotkeys_init(&h);
    before = h;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(hotkeys_set(&h, "zoom-in", bad[i]), -EINVAL);
        assert_true(fail_text()[0]);
    }
    assert_int_equal(hotkeys_set(&h, "zoom", "f1"), -ENOENT);
    assert_int_equal(hotkeys_parse(&h, "zoom-in=f1,zoom=f2"), -EINVAL);
    assert_memory_equal(&h, &before, sizeof(h));
}

/* As remote-viewer's option: what is not named is off. */
static void test_parse(void **state UNUSED)
{
    struct hotkeys h;

    hotkeys_init(&h);
    assert_int_equal(hotkeys_parse(&h, "toggle-fullscreen=shift+f11,release-cursor=shift+f12"), 0);
    assert_int_equal(hotkeys_find(&h, SDLK_F11, SDL_SCANCODE_F11, HOTKEY_SHIFT), HOTKEY_FULL_SCREEN);
    assert_int_equal(hotkeys_find(&h, SDLK_END, SDL_SCANCODE_END, CTRL_ALT), HOTKEY_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_signs), cmocka_unit_test(test_set),
        cmocka_unit_test(test_bad),      cmocka_unit_test(test_parse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
