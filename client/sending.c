#include "client/sending.h"

#include "client/window_parts.h"

#include <stdio.h>
#include <string.h>

#define STAY_MS      4000  /* good news */
#define STAY_LONG_MS 12000 /* bad ones */

static const SDL_Color ground = {32, 36, 44, 235}, ink = {255, 255, 255, 255}, done_ink = {60, 110, 200, 255};

static void say(struct window *w, const char *words, uint64_t stay_ms)
{
    struct sending *s = &w->sending;

    snprintf(s->words, sizeof(s->words), "%s", words);
    s->hide_at = stay_ms ? SDL_GetTicks64() + stay_ms : NEVER;
    window_redraw(w);
}

void sending_drop(struct window *w, const char *path)
{
    if (w->options->view_only)
        say(w, "This window only looks on: files are not sent.", STAY_MS);
    else if (!w->agent)
        say(w, "The guest has no agent that could take files: install spice-vdagent there.", STAY_LONG_MS);
    else
        viewer_send(w->viewer, path);
}

static unsigned per_cent(const struct outbox_progress *p)
{
    return p->bytes ? (unsigned)(p->sent * 100 / p->bytes) : 0;
}

static void write_words(const struct outbox_progress *p, char *text, size_t size)
{
    unsigned good = p->done - p->failed;

    if (p->done < p->files && p->files == 1)
        snprintf(text, size, "Sending %s: %u %%", p->name[0] ? p->name : "a file", per_cent(p));
    else if (p->done < p->files)
        snprintf(text, size, "Sending %u files, %u done: %u %%", p->files, p->done, per_cent(p));
    else if (p->failed)
        snprintf(text, size, "%s%s", p->reason, p->failed > 1 ? "\nIt is not the only one." : "");
    else
        snprintf(text, size, "%u file%s sent", good, good == 1 ? " was" : "s were");
}

void sending_look(struct window *w)
{
    struct sending *s = &w->sending;
    const struct outbox_progress *now = &w->screen->outbox;
    char words[sizeof(s->words)];

    if (memcmp(now, &s->progress, sizeof(*now)) == 0)
        return;
    s->progress = *now;
    s->under_way = now->done < now->files;
    write_words(now, words, sizeof(words));
    if (strcmp(words, s->words) != 0)
        say(w, words, s->under_way ? 0 : now->failed ? STAY_LONG_MS : STAY_MS);
}

uint64_t sending_due(const struct sending *s)
{
    return s->words[0] ? s->hide_at : NEVER;
}

void sending_tick(struct window *w, uint64_t now)
{
    if (sending_due(&w->sending) > now)
        return;
    w->sending.words[0] = '\0';
    window_redraw(w);
}

static void draw_button(struct sending *s, const struct style *style, SDL_Renderer *r, const SDL_Rect *box)
{
    snprintf(s->cancel.label, sizeof(s->cancel.label), "Cancel");
    button_place(&s->cancel, style, 0, 0);
    button_place(&s->cancel, style, box->x + box->w - s->cancel.at.w - style->padding, box->y + style->padding / 2);
    button_draw(&s->cancel, style, r, false);
}

/* A line along the upper edge, as long as what is done. */
static void draw_line(const struct sending *s, const struct style *style, SDL_Renderer *r, const SDL_Rect *box)
{
    SDL_Rect line = {box->x, box->y, (int)((int64_t)box->w * per_cent(&s->progress) / 100), MAX(2, style->padding / 3)};

    button_fill(r, &line, done_ink);
}

void sending_draw(struct monitor *m)
{
    struct sending *s = &m->owner->sending;
    struct style style = style_for(m->owner->text, monitor_density(m));
    int width = m->view.pixels.width, wrap = MAX(1, width - 16 * style.padding);
    struct size words;
    SDL_Rect box;

    if (m != m->owner->monitors[0] || !s->words[0])
        return;
    words = text_size(style.text, style.height, s->words, wrap);
    box = (SDL_Rect){0, 0, width, words.height + 2 * style.padding};
    box.y = m->view.pixels.height - box.h;
    button_fill(m->renderer, &box, ground);
    text_draw(style.text, m->renderer, style.height, s->words, wrap, style.padding, box.y + style.padding, ink);
    if (s->under_way) {
        draw_line(s, &style, m->renderer, &box);
        draw_button(s, &style, m->renderer, &box);
    }
}

bool sending_click(struct monitor *m, int x, int y)
{
    const struct sending *s = &m->owner->sending;

    if (m != m->owner->monitors[0] || !s->under_way || !SDL_PointInRect(&(SDL_Point){x, y}, &s->cancel.at))
        return false;
    viewer_cancel_sending(m->owner->viewer);
    return true;
}
