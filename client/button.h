/* button.h - a row of buttons in a window: how they are laid out, drawn and hit. Everything in the window's pixels. */
#ifndef CLIENT_BUTTON_H
#define CLIENT_BUTTON_H

#include "client/text.h"

struct button {
    char label[48];
    int action; /* its owner's */
    SDL_Rect at;
};

struct style {
    struct text *text;
    int height;  /* of letters */
    int padding; /* around them */
};

/* For a window of this density, in pixels for a point. */
struct style style_for(struct text *text, double density);
/* Room for the label, its left top corner at (x, y). Returns where the next one begins. */
int button_place(struct button *b, const struct style *s, int x, int y);
void button_draw(const struct button *b, const struct style *s, SDL_Renderer *r, bool hot);
/* The one at a pixel, or -1. */
int button_find(const struct button *buttons, unsigned count, int x, int y);
/* A plain rectangle, which may let something through. */
void button_fill(SDL_Renderer *r, const SDL_Rect *at, SDL_Color colour);

#endif
