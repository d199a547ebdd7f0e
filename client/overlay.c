#include "client/window_parts.h"

#include "client/combos.h"

#include <stdio.h>

#define REST_MS  200  /* of the pointer at the top edge, until the bar comes */
#define SLIDE_MS 120  /* it takes so long to come */
#define LEAVE_MS 700  /* after the pointer has left it, until it goes */

static const SDL_Color ground = {32, 36, 44, 235}, ink = {230, 230, 230, 255};

void overlay_init(struct overlay *o)
{
    *o = (struct overlay){.hide_at = NEVER, .rests_since = NEVER, .hot = -1};
}

void overlay_show(struct monitor *m, uint64_t stay_ms)
{
    struct overlay *o = &m->overlay;
    uint64_t now = SDL_GetTicks64();

    if (!o->open) {
        o->open = true;
        o->keys = false;
        o->opened_at = now;
        o->hot = -1;
    }
    o->hide_at = now + stay_ms;
    m->dirty = true;
}

static void hide(struct monitor *m)
{
    overlay_init(&m->overlay);
    m->dirty = true;
    pointer_apply(m->owner);
}

/* --- what is on it --- */

static void add(struct overlay *o, int action, const char *label)
{
    struct button *b = &o->buttons[o->count];

    if (o->count == OVERLAY_BUTTONS)
        return;
    o->count++;
    b->action = action;
    snprintf(b->label, sizeof(b->label), "%s", label);
}

static void list_buttons(struct overlay *o, const struct window *w)
{
    char scale[32] = "Scale: fit";

    if (w->percent != VIEW_FIT)
        snprintf(scale, sizeof(scale), "Scale: %u %%", w->percent);
    o->count = 0;
    add(o, OVERLAY_FULL_SCREEN, w->full_screen ? "Leave full screen" : "Full screen");
    add(o, OVERLAY_SCALE, scale);
    if (!w->options->view_only) {
        add(o, OVERLAY_SEND + COMBO_SECURE_ATTENTION, combos[COMBO_SECURE_ATTENTION].label);
        add(o, OVERLAY_KEYS, o->keys ? "Keys <" : "Keys >");
    }
    add(o, OVERLAY_CLOSE, "Close");
}

/* The machine's name, how to get the mouse back, and which of the guest's locks are on. */
static void write_words(const struct window *w, char *words, size_t size)
{
    char release[64];
    const struct {
        unsigned bit;
        const char *word;
    } locks[] = {{SPICE_KEYBOARD_MODIFIER_FLAGS_CAPS_LOCK, "Caps"},
                 {SPICE_KEYBOARD_MODIFIER_FLAGS_NUM_LOCK, "Num"},
                 {SPICE_KEYBOARD_MODIFIER_FLAGS_SCROLL_LOCK, "Scroll"}};
    size_t used;

    hotkeys_text(&w->options->hotkeys, HOTKEY_RELEASE, release, sizeof(release));
    used = (size_t)snprintf(words, size, "%.60s%s%s%s", w->name, w->name[0] ? " - " : "", release,
                            release[0] ? " releases mouse and keyboard" : "");

    for (size_t i = 0; i < ARRAY_SIZE(locks) && used < size; i++)
        if (w->locks & locks[i].bit)
            used += (size_t)snprintf(words + used, size - used, "  [%s]", locks[i].word);
}

/* Buttons from the left top corner on, in rows no wider than the window. Returns where they end. */
static SDL_Point place_row(struct overlay *o, unsigned from, const struct style *s, int x, int y, int wide)
{
    SDL_Point end = {x, y};
    int at = x;

    for (unsigned i = from; i < o->count; i++) {
        int next = button_place(&o->buttons[i], s, at, y);

        if (next > wide && at > x) {
            y += o->buttons[i].at.h + s->padding;
            next = button_place(&o->buttons[i], s, x, y);
        }
        at = next;
        end = (SDL_Point){MAX(end.x, at), y + o->buttons[i].at.h + s->padding};
    }
    return end;
}

static void add_keys(struct overlay *o)
{
    for (unsigned i = 1; i < combo_count; i++) {
        char label[40];
        bool plain = !combos[i].keys[1];

        snprintf(label, sizeof(label), "%s%s", plain ? "" : "Ctrl+Alt+", combos[i].label);
        add(o, OVERLAY_SEND + (int)i, label);
    }
}

static void place(struct monitor *m, const struct style *s, const char *words)
{
    struct overlay *o = &m->overlay;
    int pad = s->padding, wide = m->view.pixels.width;
    struct size text = text_size(s->text, s->height, words, 0);
    SDL_Point end;
    int left, shift;
    uint64_t age = SDL_GetTicks64() - o->opened_at;

    list_buttons(o, m->owner);
    end = place_row(o, 0, s, pad, 2 * pad + text.height, wide);
    if (o->keys) {
        unsigned from = o->count;
        SDL_Point keys;

        add_keys(o);
        keys = place_row(o, from, s, pad, end.y, wide);
        end = (SDL_Point){MAX(end.x, keys.x), keys.y};
    }
    end.x = MAX(end.x, text.width + 2 * pad);
    left = MAX(0, (wide - end.x) / 2);
    shift = age < SLIDE_MS ? (int)((int64_t)end.y * (int64_t)(SLIDE_MS - age) / SLIDE_MS) : 0;
    o->at = (SDL_Rect){left, -shift, end.x, end.y};
    for (unsigned i = 0; i < o->count; i++) {
        o->buttons[i].at.x += left;
        o->buttons[i].at.y -= shift;
    }
}

void overlay_draw(struct monitor *m)
{
    struct overlay *o = &m->overlay;
    struct style style = style_for(m->owner->text, monitor_density(m));
    char words[200];

    if (!o->open)
        return;
    write_words(m->owner, words, sizeof(words));
    place(m, &style, words);
    button_fill(m->renderer, &o->at, ground);
    text_draw(style.text, m->renderer, style.height, words, 0, o->at.x + style.padding, o->at.y + style.padding, ink);
    for (unsigned i = 0; i < o->count; i++)
        button_draw(&o->buttons[i], &style, m->renderer, (int)i == o->hot);
}

/* --- the pointer on it --- */

static int click(struct monitor *m)
{
    struct overlay *o = &m->overlay;
    int action = o->hot >= 0 ? o->buttons[o->hot].action : OVERLAY_NONE;

    m->dirty = true;
    if (action != OVERLAY_KEYS)
        return action;
    o->keys = !o->keys;
    return OVERLAY_NONE;
}

bool overlay_pointer(struct monitor *m, int x, int y, bool down, int *action)
{
    struct overlay *o = &m->overlay;
    uint64_t now = SDL_GetTicks64();
    bool on, at_edge = m->owner->full_screen && y <= monitor_density(m);
    int hot;

    if (!o->open) {
        o->rests_since = !at_edge ? NEVER : o->rests_since == NEVER ? now : o->rests_since;
        return false;
    }
    on = SDL_PointInRect(&(SDL_Point){x, y}, &o->at);
    hot = on ? button_find(o->buttons, o->count, x, y) : -1;
    if (on)
        o->hide_at = NEVER;
    else if (o->hide_at == NEVER)
        o->hide_at = now + LEAVE_MS;
    m->dirty |= hot != o->hot;
    o->hot = hot;
    if (on && down)
        *action = click(m);
    return on;
}

void overlay_leave(struct monitor *m)
{
    struct overlay *o = &m->overlay;

    o->rests_since = NEVER;
    if (o->open && o->hide_at == NEVER)
        o->hide_at = SDL_GetTicks64() + LEAVE_MS;
}

static bool is_sliding(const struct monitor *m)
{
    return m->overlay.open && m->shown_at < m->overlay.opened_at + SLIDE_MS;
}

uint64_t overlay_due(const struct monitor *m)
{
    const struct overlay *o = &m->overlay;

    if (o->open)
        return is_sliding(m) ? m->shown_at + m->frame_ms : o->hide_at;
    return o->rests_since == NEVER ? NEVER : o->rests_since + REST_MS;
}

void overlay_tick(struct monitor *m, uint64_t now)
{
    struct overlay *o = &m->overlay;

    if (!o->open && overlay_due(m) <= now) {
        overlay_show(m, 0);
        o->hide_at = NEVER; /* the pointer is on it */
    } else if (o->open && now >= o->hide_at) {
        hide(m);
    } else if (is_sliding(m)) {
        m->dirty = true;
    }
}
