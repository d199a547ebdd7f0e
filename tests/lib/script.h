/*
 * script.h - what a guest draws, ready to be played into a display device: QXL commands with their pixels.
 *
 * Commands are those of <spice/qxl_dev.h>; where they name guest memory a script has host pointers. It is made whole
 * before it is played, in memory that is shared, so that a program's anonymous memory is what a server needs.
 *
 * A script is cut into slices. Each ends with a marker, a small fill in the lower right corner whose colour tells the
 * slice: whoever watches a picture knows by it which slice has arrived. Players go on with the next slice at once, at
 * the time of its steps, or when the watcher has it.
 */
#ifndef TESTS_LIB_SCRIPT_H
#define TESTS_LIB_SCRIPT_H

#include "base/base.h"

#include <spice/enums.h>
#include <spice/qxl_dev.h>

enum step_kind {
    STEP_PRIMARY, /* replaces the one before */
    STEP_DRAW,
    STEP_SURFACE,
    STEP_CURSOR,
    STEP_CURSOR_RESET,
    STEP_MONITORS,
    STEP_UPDATE_AREA,
    STEP_FLUSH,
    STEP_OOM,
    STEP_RESET_IMAGE_CACHE,
};

struct script_primary {
    uint32_t width, height, format, stride;
    uint8_t *pixels; /* stride * height, the script's; a player copies them */
};

struct script_update {
    uint32_t surface;
    QXLRect area;
};

struct step {
    enum step_kind kind;
    uint32_t slice;
    uint64_t us; /* since the start */
    union {
        const struct script_primary *primary;
        const QXLDrawable *draw;
        const QXLSurfaceCmd *surface;
        const QXLCursorCmd *cursor;
        const QXLMonitorsConfig *monitors;
        const struct script_update *update;
    };
};

struct script {
    struct script_primary screen; /* the last primary */
    struct step *steps;
    size_t count;
    size_t setup;      /* so many steps make the scene, before time 0 */
    uint32_t slices;   /* ended ones */
    uint32_t surfaces; /* the highest id, and one */
    bool dirty;        /* something was drawn since the last slice ended */
    uint8_t *memory;   /* of all commands */
    size_t used;
};

/* The corner that markers are drawn on. */
#define SCRIPT_MARKER_SIZE 4

int script_init(struct script *s);
void script_fini(struct script *s);

/* Zeroed memory that lives as long as the script; the program ends when there is none left. */
void *script_alloc(struct script *s, size_t size);
void script_add(struct script *s, uint64_t us, enum step_kind kind, const void *what);
/* A drawable with nothing but its type and box. */
QXLDrawable *script_drawable(struct script *s, uint8_t type, QXLRect box);
void script_fill(struct script *s, uint64_t us, QXLRect box, uint32_t color);
/* A picture in memory of the script's, rows of BGRx from the top. */
QXLImage *script_image(struct script *s, uint32_t width, uint32_t height, const void *pixels);
/* End the slice with its marker. */
void script_end_slice(struct script *s, uint64_t us);

/* What the marker of a slice looks like. */
uint32_t script_marker(uint32_t slice);
/* A host pointer in a command. */
static inline void *script_pointer(QXLPHYSICAL addr)
{
    return (void *)(uintptr_t)addr;
}

/* Bytes that a row of a bitmap has at least. */
uint32_t bitmap_row(uint8_t format, uint32_t width);

#endif
