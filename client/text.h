/*
 * text.h - words in a window: SDL_ttf with the desktop's own sans-serif font, which fontconfig names. Where there is
 * no font at all, nothing is drawn, and what would be written is in the window's title.
 * Thread: main.
 */
#ifndef CLIENT_TEXT_H
#define CLIENT_TEXT_H

#include "client/view.h"

#include <SDL.h>

struct text;

/* NULL, with a warning in the log: there is no font. */
struct text *text_create(void);
/* NULL is fine, here and below. */
void text_destroy(struct text *t);
/* UTF-8, lines parted by \n, broken where they are wider than `wrap` (0: nowhere). In pixels, as the letters' height. */
struct size text_size(struct text *t, int height, const char *words, int wrap);
void text_draw(struct text *t, SDL_Renderer *r, int height, const char *words, int wrap, int x, int y,
               SDL_Color colour);

#endif
