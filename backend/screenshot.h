/*
 * screenshot.h - a display's picture as pixels, or as a file.
 *
 * Thread: any but one that the display thread may wait for; the call waits for the display thread, which first draws what
 * the guest has asked for until now. The cursor is not part of the picture.
 */
#ifndef BACKEND_SCREENSHOT_H
#define BACKEND_SCREENSHOT_H

#include "backend/display.h"

struct screenshot {
    uint32_t width, height;
    uint32_t *pixels; /* width * height, bytes B G R 0; owned: screenshot_fini() */
};

/* -ENOENT: the display shows nothing now. */
int screenshot_take(struct screenshot *shot, struct display *display);
void screenshot_fini(struct screenshot *shot);

/* By name: binary PPM if it ends in ".ppm", else PNG. */
enum screenshot_format { SCREENSHOT_BY_NAME, SCREENSHOT_PPM, SCREENSHOT_PNG };

/* Write one. Any thread. 0 or -errno with fail_text(). */
int screenshot_save(const struct screenshot *shot, const char *path, enum screenshot_format format);
/* Take one and save it. */
int screenshot_write(struct display *display, const char *path, enum screenshot_format format);

#endif
