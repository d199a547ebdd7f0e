#include "guest/agent/pointer.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/uinput.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const struct button {
    uint32_t mask;
    uint16_t code;
} buttons_of[] = {{VD_AGENT_LBUTTON_MASK, BTN_LEFT},
                  {VD_AGENT_MBUTTON_MASK, BTN_MIDDLE},
                  {VD_AGENT_RBUTTON_MASK, BTN_RIGHT},
                  {VD_AGENT_SBUTTON_MASK, BTN_SIDE},
                  {VD_AGENT_EBUTTON_MASK, BTN_EXTRA}};

static const struct {
    uint32_t mask;
    int32_t step;
} wheel[] = {{VD_AGENT_UBUTTON_MASK, 1}, {VD_AGENT_DBUTTON_MASK, -1}};

/* --- events --- */

static unsigned add(struct input_event *events, unsigned n, uint16_t type, uint16_t code, int32_t value)
{
    events[n] = (struct input_event){.type = type, .code = code, .value = value};
    return n + 1;
}

/* The middle of a pixel. */
static int32_t step_of(uint32_t pixel, uint32_t pixels)
{
    return (int32_t)(((uint64_t)pixel * 2 + 1) * POINTER_RANGE / ((uint64_t)pixels * 2));
}

static unsigned add_buttons(struct input_event *events, unsigned n, uint32_t before, uint32_t now)
{
    uint32_t changed = before ^ now;

    for (size_t i = 0; i < ARRAY_SIZE(buttons_of); i++)
        if (changed & buttons_of[i].mask)
            n = add(events, n, EV_KEY, buttons_of[i].code, (now & buttons_of[i].mask) != 0);
    for (size_t i = 0; i < ARRAY_SIZE(wheel); i++)
        if (changed & now & wheel[i].mask)
            n = add(events, n, EV_REL, REL_WHEEL, wheel[i].step);
    return n;
}

unsigned pointer_events(const VDAgentMouseState *state, uint32_t buttons, const struct link_screen *screen,
                        struct input_event events[POINTER_MAX_EVENTS])
{
    uint32_t id = state->display_id;
    const struct link_monitor *m = id < screen->count ? &screen->monitors[id] : NULL;
    unsigned n;

    if (!m || !m->width || !m->height)
        return 0;
    n = add(events, 0, EV_ABS, ABS_X, step_of((uint32_t)m->x + MIN(state->x, m->width - 1), screen->width));
    n = add(events, n, EV_ABS, ABS_Y, step_of((uint32_t)m->y + MIN(state->y, m->height - 1), screen->height));
    n = add_buttons(events, n, buttons, state->buttons);
    return add(events, n, EV_SYN, SYN_REPORT, 0);
}

/* --- the device --- */

static int set_up(int fd)
{
    const struct uinput_setup setup = {.id = {.bustype = BUS_VIRTUAL}, .name = "minivm agent's pointer"};
    struct uinput_abs_setup axis = {.absinfo = {.maximum = POINTER_RANGE - 1}};
    int err = ioctl(fd, UI_SET_EVBIT, EV_KEY) || ioctl(fd, UI_SET_EVBIT, EV_ABS) || ioctl(fd, UI_SET_EVBIT, EV_REL) ||
              ioctl(fd, UI_SET_RELBIT, REL_WHEEL);

    for (size_t i = 0; i < ARRAY_SIZE(buttons_of) && !err; i++)
        err = ioctl(fd, UI_SET_KEYBIT, buttons_of[i].code);
    for (axis.code = ABS_X; axis.code <= ABS_Y && !err; axis.code++)
        err = ioctl(fd, UI_ABS_SETUP, &axis);
    return err || ioctl(fd, UI_DEV_SETUP, &setup) || ioctl(fd, UI_DEV_CREATE) ? -errno : 0;
}

int pointer_open(struct pointer *p, const char *path)
{
    int err = 0;

    *p = (struct pointer){.fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)};
    if (p->fd < 0 || (err = set_up(p->fd)))
        err = fail(p->fd < 0 ? -errno : err, "pointer: '%s': %s; load the kernel's module uinput", path,
                   strerror(p->fd < 0 ? errno : -err));
    if (err)
        pointer_close(p);
    return err;
}

void pointer_close(struct pointer *p)
{
    if (p->fd >= 0)
        close(p->fd); /* the device goes with it */
    p->fd = -1;
}

static void give(struct pointer *p, const struct input_event *events, unsigned count)
{
    if (count && write(p->fd, events, count * sizeof(*events)) < 0)
        pointer_close(p);
}

void pointer_move(struct pointer *p, const VDAgentMouseState *state, const struct link_screen *screen)
{
    struct input_event events[POINTER_MAX_EVENTS];
    unsigned count = p->fd < 0 ? 0 : pointer_events(state, p->buttons, screen, events);

    if (count)
        p->buttons = state->buttons;
    give(p, events, count);
}

void pointer_release(struct pointer *p)
{
    struct input_event events[POINTER_MAX_EVENTS];
    unsigned n = p->fd < 0 ? 0 : add_buttons(events, 0, p->buttons, 0);

    p->buttons = 0;
    if (n)
        give(p, events, add(events, n, EV_SYN, SYN_REPORT, 0));
}
