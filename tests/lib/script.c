#include "tests/lib/script.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MAX_MEMORY GIB(8) /* of addresses; pages come when they are used */
#define MAX_STEPS  4000000

static void *reserve(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

int script_init(struct script *s)
{
    *s = (struct script){.surfaces = 1};
    s->memory = reserve(MAX_MEMORY);
    s->steps = reserve(MAX_STEPS * sizeof(*s->steps));
    if (!s->memory || !s->steps) {
        script_fini(s);
        return fail(-ENOMEM, "no memory for a script");
    }
    return 0;
}

void script_fini(struct script *s)
{
    if (s->memory)
        munmap(s->memory, MAX_MEMORY);
    if (s->steps)
        munmap(s->steps, MAX_STEPS * sizeof(*s->steps));
    *s = (struct script){0};
}

void *script_alloc(struct script *s, size_t size)
{
    void *p = s->memory + s->used;

    if (size > MAX_MEMORY - s->used)
        die("the script needs more than %llu bytes", (unsigned long long)MAX_MEMORY);
    s->used += ALIGN_UP(size, 64);
    return p;
}

void script_add(struct script *s, uint64_t us, enum step_kind kind, const void *what)
{
    if (s->count == MAX_STEPS)
        die("the script has more than %u steps", MAX_STEPS);
    s->steps[s->count++] = (struct step){.kind = kind, .slice = s->slices, .us = us, .draw = what};
    if (kind == STEP_PRIMARY)
        s->screen = *(const struct script_primary *)what;
    if (kind == STEP_SURFACE)
        s->surfaces = MAX(s->surfaces, ((const QXLSurfaceCmd *)what)->surface_id + 1);
    s->dirty |= kind == STEP_DRAW || kind == STEP_PRIMARY;
}

QXLDrawable *script_drawable(struct script *s, uint8_t type, QXLRect box)
{
    QXLDrawable *d = script_alloc(s, sizeof(*d));

    d->effect = QXL_EFFECT_OPAQUE;
    d->type = type;
    d->bbox = box;
    for (unsigned i = 0; i < ARRAY_SIZE(d->surfaces_dest); i++)
        d->surfaces_dest[i] = -1;
    return d;
}

void script_fill(struct script *s, uint64_t us, QXLRect box, uint32_t color)
{
    QXLDrawable *d = script_drawable(s, QXL_DRAW_FILL, box);

    d->u.fill.brush.type = SPICE_BRUSH_TYPE_SOLID;
    d->u.fill.brush.u.color = color;
    d->u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
    script_add(s, us, STEP_DRAW, d);
}

QXLImage *script_image(struct script *s, uint32_t width, uint32_t height, const void *pixels)
{
    QXLImage *i = script_alloc(s, sizeof(*i));

    i->descriptor.type = SPICE_IMAGE_TYPE_BITMAP;
    i->descriptor.width = i->bitmap.x = width;
    i->descriptor.height = i->bitmap.y = height;
    i->bitmap.format = SPICE_BITMAP_FMT_32BIT;
    i->bitmap.flags = QXL_BITMAP_DIRECT | QXL_BITMAP_TOP_DOWN;
    i->bitmap.stride = width * 4;
    i->bitmap.data = (uintptr_t)pixels;
    return i;
}

uint32_t script_marker(uint32_t slice)
{
    return (slice * 0x9e3779 + 0x123456) & 0xffffff; /* odd: each of 2^24 slices has its own */
}

void script_end_slice(struct script *s, uint64_t us)
{
    int32_t right = (int32_t)s->screen.width, bottom = (int32_t)s->screen.height;
    QXLRect corner = {.left = right - SCRIPT_MARKER_SIZE, .top = bottom - SCRIPT_MARKER_SIZE,
                      .right = right, .bottom = bottom};

    script_fill(s, us, corner, script_marker(s->slices));
    s->slices++;
    s->dirty = false;
}

uint32_t bitmap_row(uint8_t format, uint32_t width)
{
    static const uint8_t bits[] = {
        [SPICE_BITMAP_FMT_1BIT_LE] = 1, [SPICE_BITMAP_FMT_1BIT_BE] = 1, [SPICE_BITMAP_FMT_4BIT_LE] = 4,
        [SPICE_BITMAP_FMT_4BIT_BE] = 4, [SPICE_BITMAP_FMT_8BIT] = 8,    [SPICE_BITMAP_FMT_16BIT] = 16,
        [SPICE_BITMAP_FMT_24BIT] = 24,  [SPICE_BITMAP_FMT_32BIT] = 32,  [SPICE_BITMAP_FMT_RGBA] = 32,
        [SPICE_BITMAP_FMT_8BIT_A] = 8};

    return format < ARRAY_SIZE(bits) ? DIV_ROUND_UP(width * bits[format], 8) : 0;
}
