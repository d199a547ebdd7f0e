/* Keys as scan codes: spot checks against the PC's keyboard, and that the table has no two keys of one code. */
#include "client/keymap.h"

#include <SDL_scancode.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <string.h>

static void test_known_keys(void **state UNUSED)
{
    static const struct {
        int sdl;
        uint16_t key;
    } known[] = {
        {SDL_SCANCODE_ESCAPE, 0x01},         {SDL_SCANCODE_A, 0x1e},
        {SDL_SCANCODE_RETURN, 0x1c},         {SDL_SCANCODE_F12, 0x58},
        {SDL_SCANCODE_UP, 0xe048},           {SDL_SCANCODE_KP_8, 0x48},
        {SDL_SCANCODE_RCTRL, 0xe01d},        {SDL_SCANCODE_LGUI, 0xe05b},
        {SDL_SCANCODE_KP_ENTER, 0xe01c},     {SDL_SCANCODE_DELETE, 0xe053},
        {SDL_SCANCODE_NONUSBACKSLASH, 0x56}, {SDL_SCANCODE_PRINTSCREEN, 0xe037},
    };

    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        assert_int_equal(key_of_sdl(known[i].sdl), known[i].key);
    assert_int_equal(key_with_modifiers(KEY_PRINT, true, false), KEY_PRINT);
    assert_int_equal(key_with_modifiers(KEY_PRINT, false, true), 0x54);
    assert_int_equal(key_with_modifiers(KEY_PAUSE, false, true), KEY_PAUSE);
    assert_int_equal(key_with_modifiers(KEY_PAUSE, true, false), 0xe046);
    assert_int_equal(key_with_modifiers(0x1e, true, true), 0x1e);
    assert_int_equal(key_of_sdl(-1), KEY_NONE);
    assert_int_equal(key_of_sdl(0), KEY_NONE);
    assert_int_equal(key_of_sdl(SDL_NUM_SCANCODES), KEY_NONE);
    assert_int_equal(key_of_sdl(INT32_MAX), KEY_NONE);
}

/* Only keys that no keyboard has both of share a code. */
static void test_codes_differ(void **state UNUSED)
{
    static uint8_t seen[0x10000];

    for (int sdl = 0; sdl < SDL_NUM_SCANCODES; sdl++) {
        uint16_t key = key_of_sdl(sdl);

        if (!key || sdl == SDL_SCANCODE_NONUSHASH || sdl == SDL_SCANCODE_MUTE)
            continue;
        assert_false(seen[key]);
        seen[key] = 1;
        assert_true((key & 0xff) < 0x80);
        assert_true(key >> 8 == 0 || key >> 8 == 0xe0 || key == KEY_PAUSE);
    }
}

static void test_bytes(void **state UNUSED)
{
    uint32_t second;

    assert_int_equal(key_bytes(0x1e, true, &second), 0x1e);
    assert_int_equal(second, 0);
    assert_int_equal(key_bytes(0x1e, false, &second), 0x9e);
    assert_int_equal(key_bytes(0xe048, true, &second), 0x48e0);
    assert_int_equal(key_bytes(0xe048, false, &second), 0xc8e0);
    assert_int_equal(second, 0);
    /* e1 1d 45, e1 9d c5 */
    assert_int_equal(key_bytes(KEY_PAUSE, true, &second), 0x451de1);
    assert_int_equal(second, 0xc59de1);
    assert_int_equal(key_bytes(KEY_PAUSE, false, &second), 0);
    assert_int_equal(second, 0);
}

/* Typing every character with SDL's own idea of the US layout gives the same keys. */
static void test_characters(void **state UNUSED)
{
    static const struct {
        char c;
        int sdl;
        bool shift;
    } known[] = {
        {'a', SDL_SCANCODE_A, false},
        {'Z', SDL_SCANCODE_Z, true},
        {'0', SDL_SCANCODE_0, false},
        {')', SDL_SCANCODE_0, true},
        {'!', SDL_SCANCODE_1, true},
        {'-', SDL_SCANCODE_MINUS, false},
        {'+', SDL_SCANCODE_EQUALS, true},
        {'[', SDL_SCANCODE_LEFTBRACKET, false},
        {'}', SDL_SCANCODE_RIGHTBRACKET, true},
        {'\\', SDL_SCANCODE_BACKSLASH, false},
        {'|', SDL_SCANCODE_BACKSLASH, true},
        {';', SDL_SCANCODE_SEMICOLON, false},
        {'"', SDL_SCANCODE_APOSTROPHE, true},
        {'`', SDL_SCANCODE_GRAVE, false},
        {'~', SDL_SCANCODE_GRAVE, true},
        {'<', SDL_SCANCODE_COMMA, true},
        {'.', SDL_SCANCODE_PERIOD, false},
        {'?', SDL_SCANCODE_SLASH, true},
        {' ', SDL_SCANCODE_SPACE, false},
        {'\n', SDL_SCANCODE_RETURN, false},
        {'\t', SDL_SCANCODE_TAB, false},
        {'\033', SDL_SCANCODE_ESCAPE, false},
        {'\b', SDL_SCANCODE_BACKSPACE, false},
    };
    bool shift;

    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        assert_int_equal(key_of_char(known[i].c, &shift), key_of_sdl(known[i].sdl));
        assert_int_equal(shift, known[i].shift);
    }
    for (int c = ' '; c < 0x7f; c++)
        assert_int_not_equal(key_of_char((char)c, &shift), KEY_NONE);
    assert_int_equal(key_of_char('\0', &shift), KEY_NONE);
    assert_int_equal(key_of_char('\377', &shift), KEY_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_keys),
        cmocka_unit_test(test_codes_differ),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
