#include "client/voice.h"

#include "client/window_parts.h"

#include <stdio.h>

static const SDL_Color ground = {32, 36, 44, 235}, ink = {255, 255, 255, 255}, red = {210, 40, 40, 255};

enum { ALLOW, REFUSE };

void voice_look(struct window *w)
{
    if (w->voice.state == w->screen->microphone)
        return;
    w->voice.state = w->screen->microphone;
    w->voice.count = 0;
    window_set_titles(w);
    window_redraw(w);
}

void voice_toggle(struct window *w)
{
    if (w->voice.state != MICROPHONE_UNUSED)
        viewer_permit_microphone(w->viewer, w->voice.state != MICROPHONE_OPEN);
}

static void add(struct voice *v, int action, const char *label)
{
    struct button *b = &v->buttons[v->count++];

    b->action = action;
    snprintf(b->label, sizeof(b->label), "%s", label);
}

static void draw_question(struct monitor *m, const struct style *style)
{
    static const char words[] = "The guest records. May it hear the microphone?";
    struct voice *v = &m->owner->voice;
    struct size size = text_size(style->text, style->height, words, 0);
    SDL_Rect box = {0, 0, m->view.pixels.width, size.height + 2 * style->padding};
    int x = style->padding, y = style->padding;

    add(v, ALLOW, "Allow");
    add(v, REFUSE, "Do not");
    /* Below the words, where they leave no room beside them. */
    if (size.width + 16 * style->height > box.w) {
        y += size.height + style->padding;
        box.h = y + size.height + 2 * style->padding;
    } else {
        x += size.width + 2 * style->padding;
    }
    button_fill(m->renderer, &box, ground);
    text_draw(style->text, m->renderer, style->height, words, 0, style->padding, style->padding, ink);
    for (unsigned i = 0; i < v->count; i++) {
        x = button_place(&v->buttons[i], style, x, y - style->padding / 2);
        button_draw(&v->buttons[i], style, m->renderer, false);
    }
}

static void draw_mark(struct monitor *m, const struct style *style)
{
    struct voice *v = &m->owner->voice;
    struct button *b = &v->buttons[0];

    add(v, REFUSE, "Microphone");
    button_place(b, style, 0, 0);
    b->at.w = MAX(b->at.w, 2 * style->padding); /* without a font it is a mark all the same */
    b->at.h = MAX(b->at.h, 2 * style->padding);
    b->at.x = m->view.pixels.width - b->at.w - style->padding;
    b->at.y = style->padding;
    button_fill(m->renderer, &b->at, red);
    text_draw(style->text, m->renderer, style->height, b->label, 0, b->at.x + style->padding, b->at.y + style->padding / 2,
              ink);
}

void voice_draw(struct monitor *m)
{
    struct voice *v = &m->owner->voice;
    struct style style = style_for(m->owner->text, monitor_density(m));

    if (m != m->owner->monitors[0])
        return;
    v->count = 0;
    if (v->state == MICROPHONE_ASKED)
        draw_question(m, &style);
    else if (v->state == MICROPHONE_OPEN)
        draw_mark(m, &style);
}

bool voice_click(struct monitor *m, int x, int y)
{
    const struct voice *v = &m->owner->voice;
    int which = m == m->owner->monitors[0] ? button_find(v->buttons, v->count, x, y) : -1;

    if (which < 0)
        return false;
    viewer_permit_microphone(m->owner->viewer, v->buttons[which].action == ALLOW);
    return true;
}
