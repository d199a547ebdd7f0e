/* combos.h - key combinations that a user cannot type, because the desktop takes them; the bar sends them. */
#ifndef CLIENT_COMBOS_H
#define CLIENT_COMBOS_H

#include "client/keymap.h"

#define COMBO_KEYS 3

struct combo {
    const char *label;
    uint16_t keys[COMBO_KEYS]; /* pressed in this order, let go in the other; KEY_NONE: no more */
};

enum { COMBO_SECURE_ATTENTION }; /* Ctrl+Alt+Del */

extern const struct combo combos[];
extern const unsigned combo_count;

#endif
