#include "tests/lib/fake_display.h"
#include "base/bytes.h"

#include <stdlib.h>
#include <unistd.h>

#define LINE 16 /* pixels of a line of text */

/* --- drawing, in the display's thread --- */

static uint32_t rnd(struct fake_display *f)
{
    f->seed = f->seed * 1664525 + 1013904223;
    return f->seed >> 8;
}

static void put(struct fake_display *f, uint32_t x, uint32_t y, uint32_t colour)
{
    if (x < f->width && y < f->height)
        store_le32(f->pixels + ((size_t)y * f->width + x) * 4, colour);
}

static void draw_line(struct fake_display *f, uint32_t top)
{
    for (uint32_t x = 0; x < f->width; x += 8) {
        uint32_t glyph = rnd(f) % 40;

        for (uint32_t y = 0; y < LINE; y++)
            for (uint32_t i = 0; i < 8; i++)
                put(f, x + i, top + y,
                    glyph && (glyph * (y + 3) >> i & 1) && y > 2 && i < 7 ? 0xd0d0d0 : 0x202020);
    }
}

static void draw_text(struct fake_display *f)
{
    for (uint32_t y = 0; y < f->height; y += LINE)
        draw_line(f, y);
}

static void draw_gradient(struct fake_display *f)
{
    for (uint32_t y = 0; y < f->height; y++)
        for (uint32_t x = 0; x < f->width; x++)
            put(f, x, y,
                (x * 255 / f->width) << 16 | (y * 255 / f->height) << 8 |
                    ((x + y) * 2 + rnd(f) % 4) % 256);
}

static void draw_noise(struct fake_display *f)
{
    for (uint32_t y = 0; y < f->height; y++)
        for (uint32_t x = 0; x < f->width; x++)
            put(f, x, y, rnd(f));
}

static void draw_mixed(struct fake_display *f)
{
    draw_gradient(f);
    for (uint32_t y = f->height / 4 / LINE * LINE; y < f->height / 2; y += LINE)
        draw_line(f, y);
    for (uint32_t y = f->height / 2; y < f->height * 3 / 4; y++)
        for (uint32_t x = 0; x < f->width; x++)
            put(f, x, y, x < f->width / 2 ? 0x3060c0 : rnd(f));
}

static void damage_all(struct fake_display *f)
{
    const struct rect all = {0, 0, f->width, f->height};

    display_damage(&f->display, &all, 1);
}

/* --- calls into the thread --- */

struct call {
    struct fake_display *f;
    const char *pattern;
    uint32_t a, b;
    struct rect rect;
    uint8_t *out;
};

static void resize(struct fake_display *f, uint32_t width, uint32_t height)
{
    uint8_t *old = f->pixels;

    f->width = width;
    f->height = height;
    f->pixels = width ? calloc((size_t)width * height, 4) : NULL;
    display_set_surface(&f->display,
                        width ? &(struct display_surface){width, height, width * 4, f->pixels} : NULL);
    free(old);
}

static void do_resize(void *arg)
{
    struct call *c = arg;
    struct display_head head = {.width = c->a, .height = c->b};

    resize(c->f, c->a, c->b);
    display_set_heads(&c->f->display, &head, c->a ? 1 : 0, MAX(c->f->max_heads, 1));
}

void fake_display_resize(struct fake_display *f, uint32_t width, uint32_t height)
{
    loop_call_wait(&f->loop, do_resize, &(struct call){.f = f, .a = width, .b = height});
}

static void do_draw(void *arg)
{
    static const struct {
        const char *name;
        void (*fn)(struct fake_display *f);
    } patterns[] = {{"text", draw_text},
                    {"gradient", draw_gradient},
                    {"noise", draw_noise},
                    {"mixed", draw_mixed}};
    struct call *c = arg;

    for (size_t i = 0; i < ARRAY_SIZE(patterns); i++)
        if (!strcmp(patterns[i].name, c->pattern))
            patterns[i].fn(c->f);
    damage_all(c->f);
}

void fake_display_draw(struct fake_display *f, const char *pattern)
{
    loop_call_wait(&f->loop, do_draw, &(struct call){.f = f, .pattern = pattern});
}

static void do_scroll(void *arg)
{
    struct call *c = arg;
    struct fake_display *f = c->f;
    size_t row = (size_t)f->width * 4;

    for (uint32_t i = 0; i < c->a; i++) {
        memmove(f->pixels, f->pixels + row * LINE, row * (f->height - LINE));
        draw_line(f, f->height - LINE);
        damage_all(f);
    }
}

void fake_display_scroll(struct fake_display *f, unsigned lines)
{
    loop_call_wait(&f->loop, do_scroll, &(struct call){.f = f, .a = lines});
}

static void do_drag(void *arg)
{
    struct call *c = arg;
    struct fake_display *f = c->f;
    int32_t dx = (int32_t)c->a, dy = (int32_t)c->b;
    struct rect all = {0, 0, f->width, f->height};
    struct rect to = {c->rect.left + dx, c->rect.top + dy, c->rect.right + dx, c->rect.bottom + dy};
    size_t stride = (size_t)f->width * 4;
    uint8_t *before = malloc(stride * f->height);

    to = rect_intersect(&to, &all);
    memcpy(before, f->pixels, stride * f->height);
    for (int32_t y = to.top; y < to.bottom && to.left < to.right; y++)
        memcpy(f->pixels + y * stride + to.left * 4, before + (y - dy) * stride + (to.left - dx) * 4,
               (to.right - to.left) * 4);
    free(before);
    if (rect_empty(&to))
        return;
    if (f->tells)
        display_moved(&f->display, &to, dx, dy);
    else
        display_damage(&f->display, &to, 1);
}

void fake_display_drag(struct fake_display *f, struct rect rect, int32_t dx, int32_t dy)
{
    loop_call_wait(&f->loop, do_drag,
                   &(struct call){.f = f, .rect = rect, .a = (uint32_t)dx, .b = (uint32_t)dy});
}

static void do_noise(void *arg)
{
    struct call *c = arg;

    c->f->seed = c->a;
    for (int32_t y = c->rect.top; y < c->rect.bottom; y++)
        for (int32_t x = c->rect.left; x < c->rect.right; x++)
            put(c->f, x, y, rnd(c->f));
    display_damage(&c->f->display, &c->rect, 1);
}

void fake_display_noise(struct fake_display *f, struct rect rect, uint32_t seed)
{
    loop_call_wait(&f->loop, do_noise, &(struct call){.f = f, .a = seed, .rect = rect});
}

/* Up and down from 0 to 255. */
static uint32_t wave(uint32_t at)
{
    return at & 256 ? 255 - (at & 255) : at & 255;
}

static void damage_tiles(struct fake_display *f, const struct rect *r, int32_t side)
{
    for (int32_t y = r->top; y < r->bottom; y += side)
        for (int32_t x = r->left; x < r->right; x += side) {
            const struct rect tile = {x, y, MIN(x + side, r->right), MIN(y + side, r->bottom)};

            display_damage(&f->display, &tile, 1);
        }
}

static void do_film(void *arg)
{
    struct call *c = arg;
    uint32_t n = c->a;

    for (int32_t y = c->rect.top; y < c->rect.bottom; y++)
        for (int32_t x = c->rect.left; x < c->rect.right; x++)
            put(c->f, x, y,
                wave(x * 2 + n * 5) << 16 | wave(y * 2 + n * 3) << 8 | wave(x + y + n * 9 + rnd(c->f) % 4));
    damage_tiles(c->f, &c->rect, c->b ? 64 : DISPLAY_MAX_WIDTH);
}

void fake_display_film(struct fake_display *f, struct rect rect, uint32_t number, bool tiles)
{
    loop_call_wait(&f->loop, do_film, &(struct call){.f = f, .a = number, .b = tiles, .rect = rect});
}

static void do_fill(void *arg)
{
    struct call *c = arg;

    for (int32_t y = c->rect.top; y < c->rect.bottom; y++)
        for (int32_t x = c->rect.left; x < c->rect.right; x++)
            put(c->f, x, y, c->a);
    display_damage(&c->f->display, &c->rect, 1);
}

void fake_display_fill(struct fake_display *f, struct rect rect, uint32_t colour)
{
    loop_call_wait(&f->loop, do_fill, &(struct call){.f = f, .a = colour, .rect = rect});
}

static void do_cursor(void *arg)
{
    struct call *c = arg;
    uint32_t size = c->a;
    uint8_t *data = malloc(size * size * 4);

    for (uint32_t i = 0; i < size * size; i++)
        store_le32(data + i * 4, i % size <= i / size ? 0xffff4000 : 0);
    display_set_cursor(&c->f->display, &(struct display_cursor){.type = DISPLAY_CURSOR_ALPHA,
                                                                .width = size,
                                                                .height = size,
                                                                .data = data,
                                                                .size = (size_t)size * size * 4});
    free(data);
}

void fake_display_cursor(struct fake_display *f, uint32_t size)
{
    loop_call_wait(&f->loop, do_cursor, &(struct call){.f = f, .a = size});
}

static void do_move(void *arg)
{
    struct call *c = arg;

    display_move_cursor(&c->f->display, (int32_t)c->a, (int32_t)c->b, true);
}

void fake_display_move_cursor(struct fake_display *f, int32_t x, int32_t y)
{
    loop_call_wait(&f->loop, do_move, &(struct call){.f = f, .a = x, .b = y});
}

/* Tests look all the time: it need not be watched that this thread reads what it drew. */
__attribute__((no_sanitize("thread"))) static void do_rgb(void *arg)
{
    struct call *c = arg;
    size_t count = (size_t)c->f->width * c->f->height;

    c->a = c->f->width;
    c->b = c->f->height;
    c->out = malloc(count * 3 + 1);
    for (size_t i = 0; i < count; i++)
        for (int k = 0; k < 3; k++)
            c->out[i * 3 + k] = c->f->pixels[i * 4 + 2 - k];
}

uint8_t *fake_display_rgb(struct fake_display *f, uint32_t *width, uint32_t *height)
{
    struct call c = {.f = f};

    loop_call_wait(&f->loop, do_rgb, &c);
    *width = c.a;
    *height = c.b;
    return c.out;
}

static void do_watched(void *arg)
{
    struct call *c = arg;

    c->a = c->f->watched;
}

bool fake_display_is_watched(struct fake_display *f)
{
    struct call c = {.f = f};

    loop_call_wait(&f->loop, do_watched, &c);
    return c.a;
}

static void do_client(void *arg)
{
    struct call *c = arg;

    c->a = c->f->present ? c->f->client_cap : UINT32_MAX;
}

int fake_display_client(struct fake_display *f)
{
    struct call c = {.f = f};

    loop_call_wait(&f->loop, do_client, &c);
    return (int)c.a;
}

/* --- life --- */

static void watched(void *device, bool on)
{
    ((struct fake_display *)device)->watched = on;
}

static void client_capabilities(void *device, bool present, const uint8_t caps[58])
{
    struct fake_display *f = device;

    f->present = present;
    f->client_cap = caps[0];
}

/* As a guest does: a surface that has room for all that are on. */
static bool client_heads(void *device, const struct display_head *heads, size_t count)
{
    struct fake_display *f = device;
    struct display_head on[DISPLAY_MAX_HEADS];
    uint32_t width = 0, height = 0;
    size_t n = 0;

    if (!f->max_heads)
        return false;
    for (size_t i = 0; i < MIN(count, f->max_heads); i++) {
        if (!heads[i].width)
            continue;
        width = MAX(width, heads[i].x + heads[i].width);
        height = MAX(height, heads[i].y + heads[i].height);
        on[n++] = heads[i];
    }
    if (n) {
        resize(f, width, height);
        draw_gradient(f);
        damage_all(f);
        display_set_heads(&f->display, on, n, f->max_heads);
    }
    f->obeyed++;
    return true;
}

static const struct display_device_ops device_ops = {
    .watched = watched, .client_heads = client_heads, .client_capabilities = client_capabilities};

static void do_take_heads(void *arg)
{
    struct call *c = arg;

    c->f->max_heads = c->a;
    display_set_takes_heads(&c->f->display, c->a != 0);
}

void fake_display_take_heads(struct fake_display *f, size_t max)
{
    loop_call_wait(&f->loop, do_take_heads, &(struct call){.f = f, .a = (uint32_t)max});
}

struct heads_call {
    struct fake_display *f;
    const struct display_head *heads;
    size_t count;
};

static void do_set_heads(void *arg)
{
    struct heads_call *c = arg;

    display_set_heads(&c->f->display, c->heads, c->count, MAX(c->f->max_heads, 1));
}

void fake_display_set_heads(struct fake_display *f, const struct display_head *heads, size_t count)
{
    loop_call_wait(&f->loop, do_set_heads, &(struct heads_call){f, heads, count});
}

static void do_obeyed(void *arg)
{
    struct call *c = arg;

    c->a = c->f->obeyed;
}

bool fake_display_obeys(struct fake_display *f, unsigned before)
{
    struct call c = {.f = f};

    for (int i = 0; i < 500 && c.a <= before; i++) {
        usleep(i ? 10000 : 0);
        loop_call_wait(&f->loop, do_obeyed, &c);
    }
    return c.a > before;
}

void fake_display_init(struct fake_display *f, uint32_t width, uint32_t height)
{
    *f = (struct fake_display){.seed = 1};
    loop_init(&f->loop);
    display_init(&f->display, &f->loop, 0, &device_ops, f);
    loop_start(&f->loop, "fake-display");
    fake_display_resize(f, width, height);
}

void fake_display_fini(struct fake_display *f)
{
    loop_stop(&f->loop);
    loop_join(&f->loop);
    loop_fini(&f->loop);
    display_fini(&f->display);
    free(f->pixels);
}
