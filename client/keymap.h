/*
 * keymap.h - keys as a PC keyboard's scan codes, set 1.
 *
 * A key is the code of its press: 0x01..0x7f, or 0xe000 | code for those with the e0 prefix. KEY_PAUSE has no release.
 */
#ifndef CLIENT_KEYMAP_H
#define CLIENT_KEYMAP_H

#include "base/base.h"

enum {
    KEY_NONE = 0,
    KEY_CTRL_LEFT = 0x1d,
    KEY_SHIFT_LEFT = 0x2a,
    KEY_ALT_LEFT = 0x38,
    KEY_ALT_RIGHT = 0xe038,
    KEY_SYSRQ = 0x54,
    KEY_PRINT = 0xe037,
    KEY_PAUSE = 0xe11d,
    KEY_BREAK = 0xe046,
};

/* SDL's scan codes (SDL_Scancode, USB usages of page 7); KEY_NONE: a PC keyboard has no such key. */
uint16_t key_of_sdl(int sdl_scancode);
/* What the key sends while these are held: Print and Pause have other codes then. */
uint16_t key_with_modifiers(uint16_t key, bool ctrl, bool alt);
/* An ASCII character on a US keyboard. */
uint16_t key_of_char(char c, bool *shift);
/*
 * The bytes a keyboard sends, the first in the low byte, as KEY_DOWN and KEY_UP carry them. Two words at most: a second
 * one follows as a message of its own unless it is 0. 0 for the release of KEY_PAUSE.
 */
uint32_t key_bytes(uint16_t key, bool down, uint32_t *second);

#endif
