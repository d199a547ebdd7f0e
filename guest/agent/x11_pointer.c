/*
 * The client's pointer by XTEST, where the daemon can make no device: servers take an agent for one that moves the
 * pointer, and send nothing else meanwhile.
 */
#include "guest/agent/x11.h"

#include <xcb/xtest.h>

/* As X11 numbers them; 4 and 5 are the wheel. */
static const struct {
    uint32_t mask;
    uint8_t number;
} buttons[] = {{VD_AGENT_LBUTTON_MASK, 1}, {VD_AGENT_MBUTTON_MASK, 2}, {VD_AGENT_RBUTTON_MASK, 3},
               {VD_AGENT_UBUTTON_MASK, 4},
               {VD_AGENT_DBUTTON_MASK, 5}, {VD_AGENT_SBUTTON_MASK, 8}, {VD_AGENT_EBUTTON_MASK, 9}};

static void fake(struct x11 *x, uint8_t type, uint8_t detail, int32_t to_x, int32_t to_y)
{
    xcb_test_fake_input(x->c, type, detail, XCB_CURRENT_TIME, x->screen->root, (int16_t)to_x, (int16_t)to_y, 0);
}

static void set_buttons(struct x11 *x, uint32_t now)
{
    uint32_t changed = x->buttons ^ now;

    for (size_t i = 0; i < ARRAY_SIZE(buttons); i++)
        if (changed & buttons[i].mask)
            fake(x, now & buttons[i].mask ? XCB_BUTTON_PRESS : XCB_BUTTON_RELEASE, buttons[i].number, 0, 0);
    x->buttons = now;
}

void x11_move_pointer(struct x11 *x, const VDAgentMouseState *state, const struct link_screen *screen)
{
    uint32_t id = state->display_id;
    const struct link_monitor *m = id < screen->count ? &screen->monitors[id] : NULL;

    if (!m || !m->width || !m->height || !xcb_get_extension_data(x->c, &xcb_test_id)->present)
        return;
    fake(x, XCB_MOTION_NOTIFY, 0, m->x + (int32_t)MIN(state->x, m->width - 1), m->y + (int32_t)MIN(state->y,
                                                                                                   m->height - 1));
    set_buttons(x, state->buttons);
}

void x11_release_buttons(struct x11 *x)
{
    if (x->buttons)
        set_buttons(x, 0);
}
