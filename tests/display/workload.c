#include "tests/display/workload.h"

#include "base/bytes.h"
#include "base/error.h"
#include "tests/display/workload_pictures.h"

#include <errno.h>
#include <string.h>

#define WIDTH  1920
#define HEIGHT 1080

/* --- drawing --- */

static QXLRect box(int x, int y, int width, int height)
{
    return (QXLRect){.left = x, .top = y, .right = x + width, .bottom = y + height};
}

static uint32_t *new_pixels(struct script *s, int width, int height)
{
    return script_alloc(s, (size_t)width * height * 4);
}

/* A picture that drivers tell apart from others; `cached`: and that they will draw again. */
static QXLImage *new_image(struct script *s, int width, int height, const uint32_t *pixels, bool cached)
{
    static uint32_t next_id = 1;
    QXLImage *i = script_image(s, width, height, pixels);

    i->descriptor.id =
        (uint64_t)next_id++ << 32 | (cached ? QXL_IMAGE_GROUP_DRIVER : QXL_IMAGE_GROUP_DRIVER_DONT_CACHE);
    i->descriptor.flags = cached ? QXL_IMAGE_CACHE : 0;
    return i;
}

static void copy(struct script *s, uint64_t us, int x, int y, const QXLImage *image)
{
    int width = (int)image->bitmap.x, height = (int)image->bitmap.y;
    QXLDrawable *d = script_drawable(s, QXL_DRAW_COPY, box(x, y, width, height));

    d->u.copy.src_bitmap = (uintptr_t)image;
    d->u.copy.src_area = box(0, 0, width, height);
    d->u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
    script_add(s, us, STEP_DRAW, d);
}

static void fill(struct script *s, int x, int y, int width, int height, uint32_t color)
{
    script_fill(s, 0, box(x, y, width, height), color);
}

static void copy_bits(struct script *s, int x, int y, int width, int height, int from_x, int from_y)
{
    QXLDrawable *d = script_drawable(s, QXL_COPY_BITS, box(x, y, width, height));

    d->u.copy_bits.src_pos = (QXLPoint){from_x, from_y};
    script_add(s, 0, STEP_DRAW, d);
}

/* A piece of a document, an editor, a terminal. */
static QXLImage *text(struct script *s, int width, int height)
{
    static const struct {
        uint32_t paper, ink, link;
    } styles[] = {{0xffffff, 0x101010, 0x0030a0}, {0xffffff, 0x101010, 0x0030a0}, {0xffffff, 0x101010, 0x0030a0},
                  {0x2b2b2b, 0xd0d0d0, 0x80c0ff}, {0xf5f5f5, 0x101010, 0x0030a0}, {0x002b36, 0xd0d0d0, 0x80c0ff}};
    int style = random_between(0, ARRAY_SIZE(styles) - 1);
    bool link = random_between(0, 3) == 0;
    uint32_t *pixels = new_pixels(s, width, height);

    draw_text(pixels, width, height, styles[style].paper, link ? styles[style].link : styles[style].ink);
    return new_image(s, width, height, pixels, false);
}

static QXLImage *label(struct script *s, int width, uint32_t paper, uint32_t ink)
{
    uint32_t *pixels = new_pixels(s, width, 20);

    draw_text(pixels, width, 20, paper, ink);
    return new_image(s, width, 20, pixels, false);
}

/* --- a desktop's windows --- */

#define BUTTONS 3
#define ICONS   64

struct icons {
    QXLImage *buttons[BUTTONS], *icons[ICONS];
};

static QXLImage *icon(struct script *s, int size)
{
    uint32_t *pixels = new_pixels(s, size, size);

    draw_icon(pixels, size);
    return new_image(s, size, size, pixels, true);
}

static void make_icons(struct script *s, struct icons *set)
{
    for (int i = 0; i < BUTTONS; i++)
        set->buttons[i] = icon(s, 16);
    for (int i = 0; i < ICONS; i++)
        set->icons[i] = icon(s, 48);
}

static void window_frame(struct script *s, const struct icons *set, QXLRect w)
{
    int width = w.right - w.left;

    fill(s, w.left, w.top, width, w.bottom - w.top, 0x808080);
    fill(s, w.left + 1, w.top + 1, width - 2, 24, 0x3465a4);
    fill(s, w.left + 1, w.top + 25, width - 2, w.bottom - w.top - 26, 0xececec);
    copy(s, 0, w.left + 6, w.top + 3, label(s, 160, 0x3465a4, 0xffffff));
    for (int i = 0; i < BUTTONS; i++)
        copy(s, 0, w.right - 22 * (i + 1), w.top + 4, set->buttons[i]);
}

static void window_icons(struct script *s, const struct icons *set, QXLRect w)
{
    for (int y = w.top + 34; y + 80 <= w.bottom - 26; y += 80)
        for (int x = w.left + 10; x + 64 <= w.right - 10; x += 64) {
            if (random_between(0, 2) == 0)
                continue;
            copy(s, 0, x + 8, y, set->icons[random_between(0, ICONS - 1)]);
            copy(s, 0, x, y + 52, label(s, 60, 0xececec, 0x202020));
        }
}

static void window_buttons(struct script *s, QXLRect w)
{
    for (int x = w.left + 10, n = 0; n < 4 && x + 82 <= w.right; x += 90, n++) {
        fill(s, x, w.bottom - 24, 80, 20, 0xd0d0d0);
        fill(s, x, w.bottom - 24, 80, 1, 0xffffff);
        fill(s, x, w.bottom - 5, 80, 1, 0x707070);
    }
}

static void window(struct script *s, const struct icons *set)
{
    int width = random_between(300, 800), height = random_between(200, 600);
    QXLRect w = box(random_between(0, WIDTH - width), random_between(0, HEIGHT - height), width, height);

    window_frame(s, set, w);
    window_icons(s, set, w);
    window_buttons(s, w);
}

/* --- workloads --- */

/* The client has all but the last so many commands when more come. */
static void window_of(struct script *s, int done, int commands)
{
    if (done % commands == commands - 1)
        script_end_slice(s, 0);
}

static void make_fill(struct script *s, int count, int fps UNUSED)
{
    for (int i = 0; i < count; i++) {
        int width = random_between(8, 256), height = random_between(8, 256);

        fill(s, random_between(0, WIDTH - width), random_between(0, HEIGHT - height), width, height, random_color());
    }
}

/* In order over a grid; each of a third of them comes three times, farther apart than a dictionary reaches. */
static void make_text(struct script *s, int count, int fps UNUSED)
{
    enum { COLUMNS = WIDTH / 300, ROWS = HEIGHT / 20, DIFFERENT = 10000 };
    static QXLImage *images[DIFFERENT];

    for (int i = 0; i < count; i++) {
        int cell = i % (COLUMNS * ROWS);

        if (i < DIFFERENT)
            images[i] = text(s, 300, 20);
        copy(s, 0, cell % COLUMNS * 300, cell / COLUMNS * 20, images[i % DIFFERENT]);
    }
}

static void make_photo(struct script *s, int count, int fps UNUSED)
{
    for (int i = 0; i < count; i++) {
        uint32_t *pixels = new_pixels(s, 512, 512);

        draw_photo(pixels, 512, 512);
        copy(s, 0, i % 3 * 600 + random_between(0, 80), i / 3 % 2 * 540 + random_between(0, 28),
             new_image(s, 512, 512, pixels, false));
        window_of(s, i, 4);
    }
}

static void make_scroll(struct script *s, int count, int fps UNUSED)
{
    enum { DIFFERENT = 1500 };
    static QXLImage *images[DIFFERENT];

    for (int i = 0; i < count; i++) {
        if (i < DIFFERENT)
            images[i] = text(s, 1600, 20);
        copy_bits(s, 100, 100, 1600, 860, 100, 120);
        copy(s, 0, 100, 960, images[i % DIFFERENT]);
        window_of(s, i, 4); /* two commands each */
    }
}

static void make_ui(struct script *s, int count, int fps UNUSED)
{
    struct icons set;

    make_icons(s, &set);
    for (int i = 0; i < count; i++)
        window(s, &set);
}

static void make_nothing(struct script *s UNUSED, int count UNUSED, int fps UNUSED)
{
}

/* --- video --- */

#define DIGIT_SIZE 16
#define DIGITS     10 /* binary */

static void draw_number(uint32_t *pixels, unsigned number)
{
    for (int y = 0; y < DIGIT_SIZE; y++)
        for (int x = 0; x < DIGIT_SIZE * DIGITS; x++)
            pixels[y * VIDEO_WIDTH + x] = number >> (x / DIGIT_SIZE) & 1 ? 0xffffff : 0;
}

unsigned video_frame_shown(const uint8_t *screen, uint32_t stride)
{
    const uint8_t *row = screen + (size_t)(VIDEO_Y + DIGIT_SIZE / 2) * stride;
    unsigned number = 0;

    for (int i = 0; i < DIGITS; i++) {
        uint32_t pixel = load_le32(row + (VIDEO_X + i * DIGIT_SIZE + DIGIT_SIZE / 2) * 4);

        number |= (pixel >> 8 & 255) > 127 ? 1u << i : 0; /* green stands for all */
    }
    return number;
}

static void add_frame(struct script *s, uint32_t *pixels, int i, int fps)
{
    draw_number(pixels, i + 1);
    copy(s, (uint64_t)i * 1000000 / fps, VIDEO_X, VIDEO_Y, new_image(s, VIDEO_WIDTH, VIDEO_HEIGHT, pixels, false));
}

static void make_video(struct script *s, int count, int fps)
{
    for (int i = 0; i < count; i++) {
        uint32_t *pixels = new_pixels(s, VIDEO_WIDTH, VIDEO_HEIGHT);

        draw_frame(pixels, VIDEO_WIDTH, VIDEO_HEIGHT, i);
        add_frame(s, pixels, i, fps);
    }
}

#define PART_HEIGHT 120 /* that changes in each frame */
#define REST_FRAMES 3   /* the rest, in one of so many: often enough for video */

static void make_part_video(struct script *s, int count, int fps)
{
    const uint32_t *last = NULL;

    for (int i = 0; i < count; i++) {
        uint32_t *pixels = new_pixels(s, VIDEO_WIDTH, VIDEO_HEIGHT);

        draw_frame(pixels, VIDEO_WIDTH, VIDEO_HEIGHT, i);
        if (i % REST_FRAMES)
            memcpy(pixels + PART_HEIGHT * VIDEO_WIDTH, last + PART_HEIGHT * VIDEO_WIDTH,
                   (VIDEO_HEIGHT - PART_HEIGHT) * VIDEO_WIDTH * sizeof(*pixels));
        add_frame(s, pixels, i, fps);
        last = pixels;
    }
}

/* --- the list --- */

static const struct workload {
    const char *name;
    void (*make)(struct script *s, int count, int fps);
    int count, fps; /* fps: of a video */
} workloads[] = {
    {"fill", make_fill, 300000, 0},     {"text", make_text, 30000, 0},      {"photo", make_photo, 300, 0},
    {"scroll", make_scroll, 4500, 0},   {"ui", make_ui, 3000, 0},           {"desktop", make_nothing, 0, 0},
    {"video30", make_video, 300, 30},   {"video60", make_video, 300, 60},   {"video120", make_video, 600, 120},
    {"part30", make_part_video, 300, 30},
};

static const struct workload *find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(workloads); i++)
        if (!strcmp(workloads[i].name, name))
            return &workloads[i];
    return NULL;
}

bool workload_is_video(const char *name)
{
    const struct workload *w = name ? find(name) : NULL;

    return w && w->fps;
}

/* A desktop with a photograph behind some windows. */
static void make_screen(struct script *s)
{
    struct script_primary *p = script_alloc(s, sizeof(*p));
    struct icons set;

    *p = (struct script_primary){WIDTH, HEIGHT, SPICE_SURFACE_FMT_32_xRGB, WIDTH * 4, NULL};
    p->pixels = script_alloc(s, (size_t)WIDTH * HEIGHT * 4);
    random_start(55);
    draw_photo((uint32_t *)p->pixels, WIDTH, HEIGHT);
    script_add(s, 0, STEP_PRIMARY, p);
    make_icons(s, &set);
    for (int i = 0; i < 12; i++)
        window(s, &set);
    fill(s, VIDEO_X, VIDEO_Y, VIDEO_WIDTH, VIDEO_HEIGHT, 0); /* no frame's number */
    s->setup = s->count;
    s->dirty = false;
}

int workload_make(struct script *s, const char *name, double scale)
{
    const struct workload *w = find(name);
    int err;

    if (!w)
        return fail(-EINVAL, "there is no workload '%s'", name);
    err = script_init(s);
    if (err)
        return err;
    make_screen(s);
    random_start(1001);
    w->make(s, (int)(w->count * scale), w->fps);
    script_end_slice(s, s->steps[s->count - 1].us);
    return 0;
}
