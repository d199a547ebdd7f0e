#include "client/window_parts.h"

#include "client/channel.h"

#include <stdio.h>
#include <string.h>

#define WIDEST 620 /* points, of the words */

static const SDL_Color ground = {24, 27, 33, 240}, veil = {0, 0, 0, 150}, ink = {240, 240, 240, 255},
                       title_ink = {255, 255, 255, 255}, pale = {150, 190, 255, 255};

static const char *const titles[] = {
    [CLIENT_CONNECTING] = "Connecting",
    [CLIENT_AUTHENTICATING] = "Authenticating",
    [CLIENT_ASKS_PASSWORD] = "Password",
    [CLIENT_ASKS_TRUST] = "Do you trust this server?",
    [CLIENT_CONNECTED] = "The guest's display is off",
    [CLIENT_WAITS] = "The connection was lost",
    [CLIENT_ENDED] = "The session has ended",
};

/* What a user can do about it: two buttons at most, the first also by Enter, the second by Escape. */
static const struct choice {
    const char *label;
    enum notice_action action;
} choices[][NOTICE_BUTTONS] = {
    [CLIENT_CONNECTING] = {{"Cancel", NOTICE_CLOSE}},
    [CLIENT_AUTHENTICATING] = {{"Cancel", NOTICE_CLOSE}},
    [CLIENT_ASKS_PASSWORD] = {{"OK", NOTICE_ANSWER}, {"Cancel", NOTICE_REFUSE}},
    [CLIENT_ASKS_TRUST] = {{"Yes", NOTICE_ANSWER}, {"No", NOTICE_REFUSE}},
    [CLIENT_CONNECTED] = {{NULL}},
    [CLIENT_WAITS] = {{"Try now", NOTICE_RETRY}, {"Close", NOTICE_CLOSE}},
    [CLIENT_ENDED] = {{"Retry", NOTICE_RETRY}, {"Close", NOTICE_CLOSE}},
};

static const char *title(const struct notice *n)
{
    return n->status.state == CLIENT_ENDED && !n->was_connected ? "No connection" : titles[n->status.state];
}

static_assert(ARRAY_SIZE(choices) == ARRAY_SIZE(titles));

void notice_set(struct window *w, const struct client_status *status)
{
    struct notice *n = &w->notice;
    bool same = n->status.state == status->state && strcmp(n->status.text, status->text) == 0;

    if (status->state == CLIENT_CONNECTED && notice_has_keys(n))
        monitors_connected(w);
    n->status = *status;
    n->was_connected |= status->state == CLIENT_CONNECTED;
    if (same)
        return;
    explicit_bzero(n->answer, sizeof(n->answer));
    if (notice_has_keys(n))
        keyboard_release(w);
    else
        keyboard_grab(w, true);
    if (status->state == CLIENT_ASKS_PASSWORD)
        SDL_StartTextInput();
    else
        SDL_StopTextInput();
    window_set_titles(w);
    window_redraw(w);
}

bool notice_has_keys(const struct notice *n)
{
    return n->status.state != CLIENT_CONNECTED;
}

/* --- what the user does --- */

static void choose(struct window *w, unsigned which)
{
    const struct choice *c = &choices[w->notice.status.state][which];

    if (c->label)
        window_notice_action(w, c->action);
}

/* Take away the last character, which may have several bytes. */
static void erase(char *text)
{
    size_t n = strlen(text);

    while (n && ((unsigned char)text[n - 1] & 0xc0) == 0x80)
        text[--n] = '\0';
    if (n)
        text[n - 1] = '\0';
}

/* Trust is not given by a key that was on its way. */
static bool enter_chooses(const struct notice *n)
{
    return n->status.state != CLIENT_CONNECTING && n->status.state != CLIENT_AUTHENTICATING &&
           n->status.state != CLIENT_ASKS_TRUST;
}

void notice_key(struct window *w, const SDL_KeyboardEvent *key)
{
    enum client_state state = w->notice.status.state;
    SDL_Keycode sym = key->keysym.sym;
    bool busy = state == CLIENT_CONNECTING || state == CLIENT_AUTHENTICATING;

    if (key->type != SDL_KEYDOWN)
        return;
    if (sym == SDLK_BACKSPACE)
        erase(w->notice.answer);
    else if (key->repeat)
        return;
    else if ((sym == SDLK_RETURN || sym == SDLK_KP_ENTER) && enter_chooses(&w->notice))
        choose(w, 0);
    else if (sym == SDLK_ESCAPE)
        choose(w, busy ? 0 : 1);
    else if (state == CLIENT_ASKS_TRUST && (sym == SDLK_y || sym == SDLK_n))
        choose(w, sym == SDLK_n);
    window_redraw(w);
}

void notice_text(struct window *w, const char *typed)
{
    char *answer = w->notice.answer;
    size_t used = strlen(answer), more = strlen(typed);

    if (w->notice.status.state != CLIENT_ASKS_PASSWORD || used + more >= NOTICE_PASSWORD)
        return;
    memcpy(answer + used, typed, more + 1);
    window_redraw(w);
}

bool notice_click(struct monitor *m, int x, int y)
{
    struct window *w = m->owner;
    int which;

    if (!notice_has_keys(&w->notice))
        return false;
    which = m == w->monitors[0] ? button_find(w->notice.buttons, w->notice.count, x, y) : -1;
    if (which >= 0)
        choose(w, (unsigned)which);
    return true;
}

/* --- what is drawn --- */

static unsigned seconds_left(const struct notice *n)
{
    uint64_t now = now_ns();

    return n->status.retry_ns > now ? (unsigned)DIV_ROUND_UP(n->status.retry_ns - now, 1000000000ull) : 0;
}

uint64_t notice_due(const struct notice *n, uint64_t now)
{
    uint64_t now_in_ns = now_ns();

    if (n->status.state != CLIENT_WAITS || n->status.retry_ns <= now_in_ns)
        return NEVER;
    return now + (n->status.retry_ns - now_in_ns) % 1000000000 / 1000000 + 1;
}

static void write_dots(const char *answer, char *out, size_t size)
{
    size_t used = 0;

    for (; *answer && used + 5 < size; answer++)
        if (((unsigned char)*answer & 0xc0) != 0x80)
            used += (size_t)snprintf(out + used, size - used, "\u2022 ");
    snprintf(out + used, size - used, "_");
}

/* The line below the words. */
static void write_extra(const struct notice *n, char *out, size_t size)
{
    unsigned left = seconds_left(n);

    out[0] = '\0';
    if (n->status.state == CLIENT_ASKS_PASSWORD)
        write_dots(n->answer, out, size);
    else if (n->status.state == CLIENT_WAITS && left)
        snprintf(out, size, "Trying again in %u second%s", left, left == 1 ? "" : "s");
    else if (n->status.state == CLIENT_WAITS)
        snprintf(out, size, "Trying again");
    else if (n->status.state == CLIENT_CONNECTED)
        snprintf(out, size, "A key or the mouse may wake it.");
}

static bool is_shown(const struct monitor *m)
{
    return notice_has_keys(&m->owner->notice) || monitor_is_off(m);
}

static unsigned list_buttons(struct notice *n)
{
    n->count = 0;
    for (unsigned i = 0; i < NOTICE_BUTTONS; i++) {
        const struct choice *c = &choices[n->status.state][i];

        if (c->label)
            snprintf(n->buttons[n->count++].label, sizeof(n->buttons[0].label), "%s", c->label);
    }
    return n->count;
}

/* Lines one below the other, from `y` on; measured, or drawn too. */
static struct size write_lines(const struct monitor *m, const struct style *s, bool draw, int x, int y)
{
    const struct notice *n = &m->owner->notice;
    int wrap = MIN((int)(WIDEST * monitor_density(m)), m->view.pixels.width - 4 * s->padding);
    char extra[5 * NOTICE_PASSWORD];
    struct size all = {0, y};
    const struct {
        const char *words;
        int height;
        SDL_Color colour;
    } lines[] = {{title(n), s->height * 4 / 3, title_ink},
                 {n->status.state == CLIENT_CONNECTED ? "" : n->status.text, s->height, ink},
                 {extra, s->height, pale}};

    write_extra(n, extra, sizeof(extra));
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        struct size size = text_size(s->text, lines[i].height, lines[i].words, MAX(wrap, 1));

        if (!lines[i].words[0])
            continue;
        if (draw)
            text_draw(s->text, m->renderer, lines[i].height, lines[i].words, MAX(wrap, 1), x, all.height,
                      lines[i].colour);
        all.width = MAX(all.width, size.width);
        all.height += size.height + s->padding;
    }
    return all;
}

static void draw_buttons(struct notice *n, const struct style *s, SDL_Renderer *r, int x, int y)
{
    for (unsigned i = 0; i < n->count; i++) {
        x = button_place(&n->buttons[i], s, x, y);
        button_draw(&n->buttons[i], s, r, i == 0 && enter_chooses(n));
    }
}

void notice_draw(struct monitor *m)
{
    struct notice *n = &m->owner->notice;
    struct style s = style_for(m->owner->text, monitor_density(m));
    SDL_Rect all = {0, 0, m->view.pixels.width, m->view.pixels.height}, box;
    struct size words;
    bool first = m == m->owner->monitors[0];
    int pad = 2 * s.padding;

    if (!is_shown(m))
        return;
    words = write_lines(m, &s, false, 0, 0);
    box = (SDL_Rect){0, 0, words.width + 2 * pad, words.height + 2 * pad};
    if (first && list_buttons(n))
        box.h += s.height + 3 * s.padding;
    box.x = (all.w - box.w) / 2;
    box.y = MAX(0, (all.h - box.h) / 2);
    button_fill(m->renderer, &all, veil);
    button_fill(m->renderer, &box, ground);
    words = write_lines(m, &s, true, box.x + pad, box.y + pad);
    if (first)
        draw_buttons(n, &s, m->renderer, box.x + pad, words.height + s.padding);
}
