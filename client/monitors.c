#include "client/window_parts.h"

#include "base/log.h"

#include <string.h>

#define GRACE_MS   1000 /* a monitor that is away for less keeps its window */
#define SETTLE_MS  300  /* after the user's last change, before the guest is asked */
#define ANSWER_MS  2000 /* what the guest does then is its answer; the window does not follow that */
#define BELATED_MS 500  /* for what crossed our own change of size */
#define LEAST      200  /* pixels: no guest is asked for less */

/* --- windows come and go --- */

static struct monitor *find(struct window *w, unsigned display, uint32_t head)
{
    for (unsigned i = 0; i < w->count; i++)
        if (w->monitors[i]->bound && w->monitors[i]->display == display && w->monitors[i]->head == head)
            return w->monitors[i];
    return NULL;
}

/* The first window takes what there is to see first, and something else when that has gone for good. */
static bool first_is_free(const struct window *w, uint64_t now)
{
    const struct monitor *m = w->monitors[0];

    return !m->bound || (!m->present && w->count == 1 && now - m->gone_at >= GRACE_MS);
}

static struct monitor *find_or_open(struct window *w, unsigned display, uint32_t head)
{
    struct monitor *m = find(w, display, head);

    if (!m && first_is_free(w, SDL_GetTicks64())) {
        m = w->monitors[0];
        m->display = display;
        m->head = head;
        m->bound = true;
    } else if (!m && w->count < WINDOW_MAX_MONITORS) {
        m = monitor_create(w, display, head, true);
        if (m)
            w->monitors[w->count++] = m;
        window_set_titles(w);
        monitors_ask(w);
    }
    return m;
}

static struct size room_for(const struct monitor *m)
{
    SDL_Rect r;
    int index = SDL_GetWindowDisplayIndex(m->sdl);

    if (index < 0 || SDL_GetDisplayUsableBounds(index, &r) < 0)
        return (struct size){0};
    return (struct size){r.w, r.h};
}

static void take_size(struct monitor *m)
{
    if (SDL_GetWindowFlags(m->sdl) & SDL_WINDOW_MAXIMIZED)
        return;
    m->was = m->set;
    m->set_at = SDL_GetTicks64();
    m->density = monitor_density(m);
    m->set = view_window_for(&m->view, room_for(m));
    SDL_SetWindowSize(m->sdl, m->set.width, m->set.height);
    if (!m->placed)
        SDL_SetWindowPosition(m->sdl, SDL_WINDOWPOS_CENTERED, SDL_WINDOWPOS_CENTERED);
    m->placed = true;
    monitor_measure(m);
}

/* The guest has chosen another size. */
static void follow(struct monitor *m)
{
    const struct window *w = m->owner;
    bool answer = m->asked_at && SDL_GetTicks64() - m->asked_at < ANSWER_MS;

    m->dirty = true;
    if (!w->full_screen && (!m->placed || (w->options->resize != WINDOW_RESIZE_NONE && !answer)))
        take_size(m);
}

static void look_at_head(struct monitor *m, const struct screen_display *d, const struct rect *area)
{
    struct size before = m->view.guest;

    m->present = true;
    m->gone_at = NEVER;
    if (m->closed)
        return;
    monitor_set_picture(m, d, area);
    if (before.width != m->view.guest.width || before.height != m->view.guest.height)
        follow(m);
}

static void look_at_display(struct window *w, unsigned id)
{
    struct screen_display *d = &w->screen->displays[id];
    struct screen_head heads[SCREEN_MAX_HEADS];
    unsigned count = screen_monitors(d, heads);
    pixman_region32_t damage;

    for (unsigned i = 0; i < count; i++) {
        struct monitor *m = find_or_open(w, id, heads[i].id);

        if (m)
            look_at_head(m, d, &heads[i].area);
    }
    if (!pixman_region32_not_empty(&d->damage) || !d->primary)
        return;
    pixman_region32_init(&damage);
    screen_take_damage(d, &damage);
    for (unsigned i = 0; i < w->count; i++)
        if (w->monitors[i]->present && w->monitors[i]->bound && w->monitors[i]->display == id)
            monitor_upload(w->monitors[i], d->primary, &damage);
    pixman_region32_fini(&damage);
}

void monitors_look(struct window *w)
{
    bool was[WINDOW_MAX_MONITORS];
    uint64_t now = SDL_GetTicks64();

    for (unsigned i = 0; i < w->count; i++) {
        was[i] = w->monitors[i]->present;
        w->monitors[i]->present = false;
    }
    for (unsigned id = 0; id < SCREEN_MAX_DISPLAYS; id++)
        look_at_display(w, id);
    for (unsigned i = 0; i < w->count; i++) {
        struct monitor *m = w->monitors[i];

        if (!m->present && m->gone_at == NEVER)
            m->gone_at = now;
        if (i < ARRAY_SIZE(was) && m->present != was[i])
            m->dirty = true;
    }
}

static void drop(struct window *w, unsigned i)
{
    monitor_destroy(w->monitors[i]);
    w->count--;
    memmove(&w->monitors[i], &w->monitors[i + 1], (w->count - i) * sizeof(w->monitors[0]));
    window_set_titles(w);
}

/* --- sizes --- */

void monitors_ask(struct window *w)
{
    if (w->options->resize == WINDOW_RESIZE_GUEST && !w->options->view_only)
        w->layout_due = SDL_GetTicks64() + SETTLE_MS;
}

/* A desktop's word of the size before, which was on its way when we chose another; once, so that it has the last word. */
static bool is_belated(struct monitor *m, int width, int height)
{
    bool belated = SDL_GetTicks64() - m->set_at < BELATED_MS && width == m->was.width && height == m->was.height;

    m->was = (struct size){0};
    return belated;
}

void monitors_resized(struct monitor *m, int width, int height)
{
    if (is_belated(m, width, height))
        SDL_SetWindowSize(m->sdl, m->set.width, m->set.height);
    monitor_measure(m);
    width = m->view.window.width;
    height = m->view.window.height;
    if (width == m->set.width && height == m->set.height && !m->owner->full_screen)
        return;
    m->set = (struct size){width, height};
    m->asked = true;
    monitors_ask(m->owner);
}

void monitors_moved(struct monitor *m)
{
    monitor_measure(m);
    if (m->placed && !m->asked && !m->owner->full_screen && m->view.guest.width && m->density != monitor_density(m))
        take_size(m);
}

/* As SPICE numbers them: the monitors of the only display, or the displays. */
static unsigned number_of(const struct monitor *m)
{
    return m->owner->display_count > 1 ? m->display : m->head;
}

/* Where the host's monitors are tells how the guest's are to be; windows count as side by side. */
static struct rect wanted_for(struct monitor *m, int *right)
{
    struct size s = m->asked || m->owner->full_screen ? view_guest_for(&m->view) : m->view.guest;
    SDL_Rect at = {*right, 0, 0, 0};

    s = (struct size){MAX(LEAST, s.width), MAX(LEAST, s.height)};
    if (m->owner->full_screen && SDL_GetNumVideoDisplays() >= (int)m->owner->count)
        SDL_GetDisplayBounds(MAX(0, SDL_GetWindowDisplayIndex(m->sdl)), &at);
    *right = at.x + s.width;
    return (struct rect){MAX(0, at.x), MAX(0, at.y), MAX(0, at.x) + s.width, MAX(0, at.y) + s.height};
}

static void tell_layout(struct window *w)
{
    struct screen_layout layout = {0};
    struct user_event event = {USER_MONITORS};
    bool any = w->full_screen;
    int right = 0;

    for (unsigned i = 0; i < w->count; i++) {
        struct monitor *m = w->monitors[i];
        unsigned number = number_of(m);

        any |= m->asked || m->closed;
        if (m->closed || !m->view.guest.width || number >= SCREEN_MAX_HEADS)
            continue;
        layout.monitors[number] = wanted_for(m, &right);
        layout.count = MAX(layout.count, number + 1);
        m->asked_at = SDL_GetTicks64();
    }
    if (!any || !layout.count)
        return;
    screen_lock(w->screen);
    w->screen->wanted = layout;
    screen_unlock(w->screen);
    window_post(w, &event);
}

/* Each monitor on another of the host's, as far as they go. */
static void fill_screens(struct window *w)
{
    int screens = SDL_GetNumVideoDisplays();

    for (unsigned i = 0; i < w->count; i++) {
        struct monitor *m = w->monitors[i];
        bool fill = w->full_screen && (int)i < screens;

        if (m->closed)
            continue;
        if (fill && w->count > 1)
            SDL_SetWindowPosition(m->sdl, (int)SDL_WINDOWPOS_CENTERED_DISPLAY(i),
                                  (int)SDL_WINDOWPOS_CENTERED_DISPLAY(i));
        SDL_SetWindowFullscreen(m->sdl, fill ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
        monitor_measure(m);
        if (!w->full_screen && m->view.guest.width && !m->asked)
            take_size(m);
    }
}

void monitors_toggle_full_screen(struct window *w)
{
    w->full_screen = !w->full_screen;
    fill_screens(w);
    monitors_ask(w);
}

void monitors_set_scale(struct window *w, unsigned percent)
{
    w->percent = percent;
    for (unsigned i = 0; i < w->count; i++) {
        struct monitor *m = w->monitors[i];

        if (m->closed)
            continue;
        monitor_measure(m);
        if (!w->full_screen && m->view.guest.width && percent != VIEW_FIT)
            take_size(m);
    }
    if (w->full_screen)
        monitors_ask(w);
    pointer_apply(w);
}

void monitors_zoom(struct window *w, int direction)
{
    const struct monitor *m = w->keyboard.focus ? w->keyboard.focus : w->monitors[0];

    monitors_set_scale(w, direction ? view_zoom(&m->view, direction) : 100);
}

/* Without a connection windows keep their last picture, under the words; when there is one again, their time begins. */
static uint64_t drop_at(const struct monitor *m)
{
    return m->present || notice_has_keys(&m->owner->notice) ? NEVER : m->gone_at + GRACE_MS;
}

void monitors_connected(struct window *w)
{
    for (unsigned i = 0; i < w->count; i++)
        if (!w->monitors[i]->present)
            w->monitors[i]->gone_at = SDL_GetTicks64();
}

uint64_t monitors_due(const struct window *w)
{
    uint64_t due = w->layout_due;

    for (unsigned i = 0; i < w->count; i++) {
        const struct monitor *m = w->monitors[i];

        due = MIN(due, monitor_due(m));
        if (i > 0)
            due = MIN(due, drop_at(m));
    }
    return due;
}

void monitors_tick(struct window *w, uint64_t now)
{
    for (unsigned i = w->count; i-- > 1;)
        if (drop_at(w->monitors[i]) <= now)
            drop(w, i);
    if (now >= w->layout_due) {
        w->layout_due = NEVER;
        tell_layout(w);
    }
    for (unsigned i = w->count; i-- > 0;) {
        struct monitor *m = w->monitors[i];

        if (!m->sdl)
            continue;
        overlay_tick(m, now);
        m->dirty |= !m->present && monitor_is_off(m) && m->shown_at < m->gone_at + 500;
        if (m->dirty && monitor_due(m) <= now) {
            monitors_moved(m); /* not every change of density comes as an event */
            monitor_show(m);
        }
    }
}
