#include "client/combos.h"

#define CTRL_ALT KEY_CTRL_LEFT, KEY_ALT_LEFT

const struct combo combos[] = {
    [COMBO_SECURE_ATTENTION] = {"Ctrl+Alt+Del", {CTRL_ALT, 0xe053}},
    {"Backspace", {CTRL_ALT, 0x0e}},
    {"F1", {CTRL_ALT, 0x3b}},
    {"F2", {CTRL_ALT, 0x3c}},
    {"F3", {CTRL_ALT, 0x3d}},
    {"F4", {CTRL_ALT, 0x3e}},
    {"F5", {CTRL_ALT, 0x3f}},
    {"F6", {CTRL_ALT, 0x40}},
    {"F7", {CTRL_ALT, 0x41}},
    {"F8", {CTRL_ALT, 0x42}},
    {"F9", {CTRL_ALT, 0x43}},
    {"F10", {CTRL_ALT, 0x44}},
    {"F11", {CTRL_ALT, 0x57}},
    {"F12", {CTRL_ALT, 0x58}},
    {"Print", {KEY_PRINT}},
};

const unsigned combo_count = ARRAY_SIZE(combos);
