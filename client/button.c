#include "client/button.h"

#define LETTERS 15 /* points */
#define PADDING 7

static const SDL_Color ink = {255, 255, 255, 255}, face = {74, 82, 96, 255}, lit = {60, 110, 200, 255};

struct style style_for(struct text *text, double density)
{
    return (struct style){text, (int)(LETTERS * density), (int)(PADDING * density)};
}

int button_place(struct button *b, const struct style *s, int x, int y)
{
    struct size words = text_size(s->text, s->height, b->label, 0);

    b->at = (SDL_Rect){x, y, words.width + 2 * s->padding, words.height + s->padding};
    return x + b->at.w + s->padding;
}

void button_fill(SDL_Renderer *r, const SDL_Rect *at, SDL_Color c)
{
    SDL_SetRenderDrawBlendMode(r, SDL_BLENDMODE_BLEND);
    SDL_SetRenderDrawColor(r, c.r, c.g, c.b, c.a);
    SDL_RenderFillRect(r, at);
}

void button_draw(const struct button *b, const struct style *s, SDL_Renderer *r, bool hot)
{
    button_fill(r, &b->at, hot ? lit : face);
    text_draw(s->text, r, s->height, b->label, 0, b->at.x + s->padding, b->at.y + s->padding / 2, ink);
}

int button_find(const struct button *buttons, unsigned count, int x, int y)
{
    for (unsigned i = 0; i < count; i++)
        if (SDL_PointInRect(&(SDL_Point){x, y}, &buttons[i].at))
            return (int)i;
    return -1;
}
