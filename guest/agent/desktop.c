/*
 * The session's monitors, by RandR: the client's n-th is the X server's n-th output. A size that an output has no mode
 * for gets one, with the timings of CVT with reduced blanking; modes that were made so are removed when nobody uses
 * them.
 */
#include "guest/agent/desktop.h"

#include "base/error.h"
#include "base/log.h"
#include "guest/agent/monitors.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <xcb/randr.h>

#define MODE_NAME "minivm-"
#define REFRESH   60
#define MM(n)     ((n) * 254 / 960) /* at 96 dots per inch */

typedef xcb_randr_get_screen_resources_current_reply_t resources;

static resources *read_resources(struct x11 *x)
{
    return xcb_randr_get_screen_resources_current_reply(
        x->c, xcb_randr_get_screen_resources_current(x->c, x->screen->root), NULL);
}

static xcb_randr_get_output_info_reply_t *read_output(struct x11 *x, xcb_randr_output_t output)
{
    return xcb_randr_get_output_info_reply(x->c, xcb_randr_get_output_info(x->c, output, XCB_CURRENT_TIME), NULL);
}

static xcb_randr_get_crtc_info_reply_t *read_crtc(struct x11 *x, xcb_randr_crtc_t crtc)
{
    return crtc ? xcb_randr_get_crtc_info_reply(x->c, xcb_randr_get_crtc_info(x->c, crtc, XCB_CURRENT_TIME),
                                                NULL) : NULL;
}

/* --- as it is --- */

static struct link_monitor read_monitor(struct x11 *x, xcb_randr_output_t output)
{
    xcb_randr_get_output_info_reply_t *o = read_output(x, output);
    xcb_randr_get_crtc_info_reply_t *c = read_crtc(x, o ? o->crtc : 0);
    struct link_monitor m = {0};

    if (c && c->mode)
        m = (struct link_monitor){c->x, c->y, c->width, c->height};
    free(c);
    free(o);
    return m;
}

static void read_screen(struct x11 *x, struct link_screen *screen)
{
    xcb_get_geometry_reply_t *root = xcb_get_geometry_reply(x->c, xcb_get_geometry(x->c, x->screen->root), NULL);
    resources *r = read_resources(x);
    const xcb_randr_output_t *outputs = r ? xcb_randr_get_screen_resources_current_outputs(r) : NULL;

    *screen = (struct link_screen){.width = root ? root->width : 1, .height = root ? root->height : 1};
    for (uint32_t i = 0; r && i < MIN(r->num_outputs, MESSAGE_MAX_MONITORS); i++) {
        struct link_monitor m = read_monitor(x, outputs[i]);

        screen->monitors[i] = m;
        if (!m.width || m.x < 0 || m.y < 0 || (uint32_t)m.x + m.width > screen->width ||
            (uint32_t)m.y + m.height > screen->height)
            screen->monitors[i] = (struct link_monitor){0};
        else
            screen->count = i + 1;
    }
    if (!screen->count) { /* an X server without monitors is one */
        screen->count = 1;
        screen->monitors[0] = (struct link_monitor){0, 0, screen->width, screen->height};
    }
    free(root);
    free(r);
}

/* --- modes --- */

static xcb_randr_mode_info_t timings(uint32_t width, uint32_t height)
{
    uint32_t blank = 460 * REFRESH * height / (1000000 - 460 * REFRESH) + 7; /* lines in 460 us */
    uint32_t total_width = width + 160, total_height = height + MAX(blank, 3 + 10 + 6);

    return (xcb_randr_mode_info_t){.width = (uint16_t)width,
                                   .height = (uint16_t)height,
                                   .dot_clock = total_width * total_height * REFRESH,
                                   .hsync_start = (uint16_t)(width + 48),
                                   .hsync_end = (uint16_t)(width + 80),
                                   .htotal = (uint16_t)total_width,
                                   .vsync_start = (uint16_t)(height + 3),
                                   .vsync_end = (uint16_t)(height + 13),
                                   .vtotal = (uint16_t)total_height,
                                   .mode_flags = XCB_RANDR_MODE_FLAG_HSYNC_POSITIVE |
                                                 XCB_RANDR_MODE_FLAG_VSYNC_NEGATIVE};
}

static bool output_has(const xcb_randr_get_output_info_reply_t *o, xcb_randr_mode_t mode)
{
    const xcb_randr_mode_t *modes = xcb_randr_get_output_info_modes(o);

    for (uint32_t i = 0; i < o->num_modes; i++)
        if (modes[i] == mode)
            return true;
    return false;
}

static xcb_randr_mode_t make_mode(struct x11 *x, uint32_t width, uint32_t height)
{
    xcb_randr_mode_info_t mode = timings(width, height);
    char name[32];
    xcb_randr_create_mode_reply_t *r;
    xcb_randr_mode_t id;

    mode.name_len = (uint16_t)snprintf(name, sizeof(name), MODE_NAME "%ux%u", width, height);
    r = xcb_randr_create_mode_reply(x->c, xcb_randr_create_mode(x->c, x->screen->root, mode, mode.name_len, name),
                                    NULL);
    id = r ? r->mode : 0;
    free(r);
    return id;
}

/* One of that size: the output's, another one's of ours, or a new one. 0: there can be none. */
static xcb_randr_mode_t find_mode(struct x11 *x, const resources *r, xcb_randr_output_t output,
                                  const xcb_randr_get_output_info_reply_t *o, const struct link_monitor *wish)
{
    const xcb_randr_mode_info_t *modes = xcb_randr_get_screen_resources_current_modes(r);
    const uint8_t *names = xcb_randr_get_screen_resources_current_names(r);
    xcb_randr_mode_t ours = 0;

    for (uint32_t i = 0; i < r->num_modes; names += modes[i++].name_len) {
        if (modes[i].width != wish->width || modes[i].height != wish->height)
            continue;
        if (output_has(o, modes[i].id))
            return modes[i].id;
        if (modes[i].name_len > strlen(MODE_NAME) && memcmp(names, MODE_NAME, strlen(MODE_NAME)) == 0)
            ours = modes[i].id;
    }
    if (!ours)
        ours = make_mode(x, wish->width, wish->height);
    if (ours)
        xcb_randr_add_output_mode(x->c, output, ours);
    return ours;
}

static void remove_mode(struct x11 *x, const resources *r, xcb_randr_mode_t mode)
{
    const xcb_randr_output_t *outputs = xcb_randr_get_screen_resources_current_outputs(r);

    for (uint32_t i = 0; i < r->num_outputs; i++)
        xcb_randr_delete_output_mode(x->c, outputs[i], mode);
    xcb_randr_destroy_mode(x->c, mode);
}

static bool is_in_use(struct x11 *x, const resources *r, xcb_randr_mode_t mode)
{
    const xcb_randr_crtc_t *crtcs = xcb_randr_get_screen_resources_current_crtcs(r);
    bool used = false;

    for (uint32_t i = 0; i < r->num_crtcs && !used; i++) {
        xcb_randr_get_crtc_info_reply_t *c = read_crtc(x, crtcs[i]);

        used = c && c->mode == mode;
        free(c);
    }
    return used;
}

static void remove_unused_modes(struct x11 *x)
{
    resources *r = read_resources(x);
    const xcb_randr_mode_info_t *modes = r ? xcb_randr_get_screen_resources_current_modes(r) : NULL;
    const uint8_t *names = r ? xcb_randr_get_screen_resources_current_names(r) : NULL;

    for (uint32_t i = 0; r && i < r->num_modes; names += modes[i++].name_len)
        if (modes[i].name_len > strlen(MODE_NAME) && memcmp(names, MODE_NAME, strlen(MODE_NAME)) == 0 &&
            !is_in_use(x, r, modes[i].id))
            remove_mode(x, r, modes[i].id);
    free(r);
}

/* --- as it is to be --- */

static bool set_crtc(struct x11 *x, xcb_randr_crtc_t crtc, const struct link_monitor *at, xcb_randr_mode_t mode,
                     const xcb_randr_output_t *output)
{
    xcb_randr_set_crtc_config_reply_t *r = xcb_randr_set_crtc_config_reply(
        x->c,
        xcb_randr_set_crtc_config(x->c, crtc, XCB_CURRENT_TIME, XCB_CURRENT_TIME, (int16_t)at->x, (int16_t)at->y, mode,
                                  XCB_RANDR_ROTATION_ROTATE_0, mode ? 1 : 0, output),
        NULL);
    bool good = r && r->status == XCB_RANDR_SET_CONFIG_SUCCESS;

    free(r);
    return good;
}

/* What does not fit on the new desktop, or is to be off, must go before its size is set. */
static void turn_off(struct x11 *x, const resources *r, const struct link_screen *wish)
{
    const xcb_randr_output_t *outputs = xcb_randr_get_screen_resources_current_outputs(r);

    for (uint32_t i = 0; i < r->num_outputs; i++) {
        xcb_randr_get_output_info_reply_t *o = read_output(x, outputs[i]);
        xcb_randr_get_crtc_info_reply_t *c = read_crtc(x, o ? o->crtc : 0);
        bool on = i < wish->count && wish->monitors[i].width;

        if (c && c->mode && (!on || (uint32_t)c->x + c->width > wish->width ||
                             (uint32_t)c->y + c->height > wish->height))
            set_crtc(x, o->crtc, &(struct link_monitor){0}, XCB_NONE, NULL);
        free(c);
        free(o);
    }
}

/* The one that it has, or one that nobody has, and that is not taken by an output before it. */
static xcb_randr_crtc_t find_crtc(const resources *r, const xcb_randr_get_output_info_reply_t *o, uint64_t *taken)
{
    const xcb_randr_crtc_t *all = xcb_randr_get_screen_resources_current_crtcs(r);
    const xcb_randr_crtc_t *possible = xcb_randr_get_output_info_crtcs(o);
    xcb_randr_crtc_t found = 0;

    for (uint32_t i = 0; i < MIN(r->num_crtcs, 64); i++)
        for (uint32_t k = 0; k < o->num_crtcs; k++)
            if (all[i] == possible[k] && !(*taken >> i & 1) && (!found || all[i] == o->crtc))
                found = all[i];
    for (uint32_t i = 0; i < MIN(r->num_crtcs, 64); i++)
        if (found && all[i] == found)
            *taken |= UINT64_C(1) << i;
    return found;
}

static void turn_on(struct x11 *x, const resources *r, const struct link_screen *wish)
{
    const xcb_randr_output_t *outputs = xcb_randr_get_screen_resources_current_outputs(r);
    uint64_t taken = 0;

    for (uint32_t i = 0; i < wish->count; i++) {
        const struct link_monitor *m = &wish->monitors[i];
        xcb_randr_get_output_info_reply_t *o = m->width && i < r->num_outputs ? read_output(x, outputs[i]) : NULL;
        xcb_randr_crtc_t crtc = o ? find_crtc(r, o, &taken) : 0;
        xcb_randr_mode_t mode = crtc ? find_mode(x, r, outputs[i], o, m) : 0;

        if (m->width && (!mode || !set_crtc(x, crtc, m, mode, &outputs[i])))
            log_warn("monitor %u cannot be %ux%u at %d, %d", i + 1, m->width, m->height, m->x, m->y);
        free(o);
    }
}

static bool is_possible(struct x11 *x, const struct link_screen *wish)
{
    xcb_randr_get_screen_size_range_reply_t *r = xcb_randr_get_screen_size_range_reply(
        x->c, xcb_randr_get_screen_size_range(x->c, x->screen->root), NULL);
    bool good = r && wish->width <= r->max_width && wish->height <= r->max_height && wish->width >= r->min_width &&
                wish->height >= r->min_height;

    if (r && !good)
        log_warn("a desktop of %ux%u is not possible: the X server has up to %ux%u", wish->width, wish->height,
                 r->max_width,
                 r->max_height);
    free(r);
    return good;
}

static bool is_as_wished(struct x11 *x, const struct link_screen *wish)
{
    struct link_screen now;

    read_screen(x, &now);
    if (now.count != wish->count || now.width != wish->width || now.height != wish->height)
        return false;
    return memcmp(now.monitors, wish->monitors, sizeof(now.monitors)) == 0;
}

void desktop_set_monitors(struct desktop *d, const uint8_t *body, uint32_t size)
{
    struct x11 *x = &d->x11;
    struct link_screen wish;
    resources *r;

    if (monitors_read(body, size, &wish)) {
        log_warn("the client wishes impossible monitors");
        return;
    }
    if (is_as_wished(x, &wish))
        return;
    r = read_resources(x);
    while (r && wish.count > r->num_outputs)
        wish.count--; /* the X server has no more of them */
    monitors_bound(&wish);
    if (r && wish.width && is_possible(x, &wish)) {
        xcb_grab_server(x->c);
        turn_off(x, r, &wish);
        xcb_randr_set_screen_size(x->c, x->screen->root, (uint16_t)wish.width, (uint16_t)wish.height, MM(wish.width),
                                  MM(wish.height));
        turn_on(x, r, &wish);
        xcb_ungrab_server(x->c);
        remove_unused_modes(x);
    }
    free(r);
}

/* --- the connection --- */

static void tell_screen(struct desktop *d)
{
    struct link_screen screen;

    read_screen(&d->x11, &screen);
    d->changed(d->opaque, &screen);
}

static void on_event(void *opaque, const xcb_generic_event_t *e)
{
    struct desktop *d = opaque;
    uint8_t type = e->response_type & 0x7f;

    if (type == d->randr_event + XCB_RANDR_SCREEN_CHANGE_NOTIFY || type == d->randr_event + XCB_RANDR_NOTIFY)
        tell_screen(d);
}

static void on_lost(void *opaque)
{
    struct desktop *d = opaque;

    d->lost(d->opaque);
}

static int begin_randr(struct desktop *d)
{
    xcb_connection_t *c = d->x11.c;
    const xcb_query_extension_reply_t *randr = xcb_get_extension_data(c, &xcb_randr_id);
    xcb_randr_query_version_reply_t *version;
    bool there;

    if (!randr || !randr->present)
        return fail(-ENOTSUP, "the X server has no RandR");
    d->randr_event = randr->first_event;
    version = xcb_randr_query_version_reply(c, xcb_randr_query_version(c, 1, 3), NULL);
    there = version && version->minor_version >= 2;
    free(version);
    if (!there)
        return fail(-ENOTSUP, "the X server's RandR is too old");
    xcb_randr_select_input(c, d->x11.window,
                           XCB_RANDR_NOTIFY_MASK_SCREEN_CHANGE | XCB_RANDR_NOTIFY_MASK_CRTC_CHANGE |
                               XCB_RANDR_NOTIFY_MASK_OUTPUT_CHANGE);
    return 0;
}

int desktop_open(struct desktop *d, struct loop *loop, const char *display, struct clipboard *clipboard,
                 desktop_changed_fn *changed, void (*lost)(void *opaque), void *opaque)
{
    static const struct x11_ops ops = {on_event, on_lost};
    int err;

    *d = (struct desktop){.changed = changed, .lost = lost, .opaque = opaque};
    err = x11_open(&d->x11, loop, display, clipboard, &ops, d);
    if (err)
        return err;
    err = begin_randr(d);
    if (err)
        x11_close(&d->x11);
    else
        tell_screen(d);
    return err;
}

void desktop_close(struct desktop *d)
{
    x11_close(&d->x11);
}
