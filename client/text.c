#include "client/text.h"

#include "base/log.h"

#include <SDL_ttf.h>
#include <fontconfig/fontconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOO_LONG 2000 /* bytes; what is behind is not shown */

struct text {
    TTF_Font *font;
    int height;
};

/* The file that fontconfig has for "sans"; to be freed. */
static char *find_font(int *index)
{
    FcPattern *wanted = FcInit() ? FcNameParse((const FcChar8 *)"sans:scalable=true") : NULL, *match = NULL;
    FcChar8 *file = NULL;
    FcResult result;
    char *name = NULL;

    if (wanted && FcConfigSubstitute(NULL, wanted, FcMatchPattern)) {
        FcDefaultSubstitute(wanted);
        match = FcFontMatch(NULL, wanted, &result);
    }
    if (match && FcPatternGetString(match, FC_FILE, 0, &file) == FcResultMatch)
        name = strdup((const char *)file);
    if (!match || FcPatternGetInteger(match, FC_INDEX, 0, index) != FcResultMatch)
        *index = 0;
    if (match)
        FcPatternDestroy(match);
    if (wanted)
        FcPatternDestroy(wanted);
    return name;
}

static TTF_Font *open_font(void)
{
    int index = 0;
    char *name = find_font(&index);
    TTF_Font *font = name ? TTF_OpenFontIndex(name, 16, index & 0xffff) : NULL;

    free(name);
    return font;
}

struct text *text_create(void)
{
    struct text *t = calloc(1, sizeof(*t));

    if (t && TTF_Init() == 0) {
        t->font = open_font();
        if (t->font)
            return t;
        TTF_Quit();
    }
    log_warn("there is no font for the window's words; they are in its title (package fonts-dejavu-core has some)");
    free(t);
    return NULL;
}

void text_destroy(struct text *t)
{
    if (!t)
        return;
    TTF_CloseFont(t->font);
    TTF_Quit();
    free(t);
}

static void set_height(struct text *t, int height)
{
    if (t->height != height && TTF_SetFontSize(t->font, height) == 0)
        t->height = height;
}

/* Of the longest line. What SDL_ttf draws of several lines is as wide as it may be. */
static int longest(struct text *t, const char *words)
{
    char line[TOO_LONG + 1];
    int width = 0;

    for (;; words++) {
        size_t n = strcspn(words, "\n");
        int w = 0;

        snprintf(line, sizeof(line), "%.*s", (int)MIN(n, TOO_LONG), words);
        TTF_SizeUTF8(t->font, line, &w, NULL);
        width = MAX(width, w);
        words += n;
        if (!*words)
            return width;
    }
}

static SDL_Surface *render(struct text *t, int height, const char *words, int wrap, SDL_Color colour)
{
    char copy[TOO_LONG + 1];

    if (!t || !words[0])
        return NULL;
    strncpy(copy, words, TOO_LONG);
    copy[TOO_LONG] = '\0';
    set_height(t, height);
    return TTF_RenderUTF8_Blended_Wrapped(t->font, copy, colour, (Uint32)wrap);
}

struct size text_size(struct text *t, int height, const char *words, int wrap)
{
    SDL_Surface *s = render(t, height, words, wrap, (SDL_Color){0});
    struct size size = {s ? s->w : 0, s ? s->h : 0};

    if (s && wrap)
        size.width = MIN(size.width, longest(t, words));
    SDL_FreeSurface(s);
    return size;
}

void text_draw(struct text *t, SDL_Renderer *r, int height, const char *words, int wrap, int x, int y,
               SDL_Color colour)
{
    SDL_Surface *s = render(t, height, words, wrap, colour);
    SDL_Texture *texture = s ? SDL_CreateTextureFromSurface(r, s) : NULL;

    if (texture)
        SDL_RenderCopy(r, texture, NULL, &(SDL_Rect){x, y, s->w, s->h});
    SDL_DestroyTexture(texture);
    SDL_FreeSurface(s);
}
