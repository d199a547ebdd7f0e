#include "backend/screenshot.h"

#include "base/error.h"
#include "base/host_file.h"

#include <errno.h>
#include <fcntl.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct request {
    struct screenshot *shot;
    struct display *display;
    int err;
};

static void copy_surface(struct screenshot *shot, const struct display_surface *surface)
{
    for (uint32_t y = 0; y < surface->height; y++) {
        uint32_t *row = shot->pixels + (size_t)y * surface->width;

        memcpy(row, surface->pixels + (size_t)y * surface->stride, surface->width * 4);
        for (uint32_t x = 0; x < surface->width; x++)
            row[x] &= 0xffffff;
    }
}

static void take(void *arg)
{
    struct request *request = arg;
    struct display *d = request->display;
    const struct display_surface *surface = &d->surface;

    if (d->ops && d->ops->update)
        d->ops->update(d->device);
    if (!surface->pixels) {
        request->err = -ENOENT;
        return;
    }
    *request->shot = (struct screenshot){surface->width, surface->height,
                                         malloc((size_t)surface->width * surface->height * 4)};
    if (request->shot->pixels)
        copy_surface(request->shot, surface);
    else
        request->err = -ENOMEM;
}

int screenshot_take(struct screenshot *shot, struct display *display)
{
    struct request request = {shot, display, 0};

    *shot = (struct screenshot){0};
    loop_call_wait(display->loop, take, &request);
    if (request.err == -ENOENT)
        return fail(-ENOENT, "display %u shows nothing", display->id);
    return request.err;
}

void screenshot_fini(struct screenshot *shot)
{
    free(shot->pixels);
    shot->pixels = NULL;
}

static bool write_ppm(const struct screenshot *shot, FILE *file)
{
    size_t count = (size_t)shot->width * shot->height;

    fprintf(file, "P6\n%u %u\n255\n", shot->width, shot->height);
    for (size_t i = 0; i < count; i++) {
        uint32_t p = shot->pixels[i];

        putc(p >> 16 & 0xff, file);
        putc(p >> 8 & 0xff, file);
        putc(p & 0xff, file);
    }
    return !ferror(file);
}

static bool write_png(const struct screenshot *shot, FILE *file)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = shot->width,
                       .height = shot->height,
                       .format = PNG_FORMAT_RGB};
    uint8_t *rgb = malloc((size_t)shot->width * shot->height * 3), *out = rgb;
    bool ok;

    if (!rgb)
        return false;
    for (size_t i = 0; i < (size_t)shot->width * shot->height; i++) {
        *out++ = shot->pixels[i] >> 16;
        *out++ = shot->pixels[i] >> 8;
        *out++ = shot->pixels[i];
    }
    ok = png_image_write_to_stdio(&image, file, 0, rgb, 0, NULL);
    free(rgb);
    return ok;
}

static bool ends_in_ppm(const char *path)
{
    size_t length = strlen(path);

    return length > 4 && strcmp(path + length - 4, ".ppm") == 0;
}

int screenshot_save(const struct screenshot *shot, const char *path, enum screenshot_format format)
{
    bool ppm = format == SCREENSHOT_PPM || (format == SCREENSHOT_BY_NAME && ends_in_ppm(path)), ok;
    int fd = host_open(NULL, path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "wb");

    if (!file)
        return fail(fd < 0 ? fd : -ENOMEM, "screenshot '%s': %s", path, strerror(fd < 0 ? -fd : ENOMEM));
    errno = 0;
    ok = ppm ? write_ppm(shot, file) : write_png(shot, file);
    if (fclose(file) != 0 || !ok)
        return fail(errno ? -errno : -EIO, "screenshot '%s' cannot be written: %s", path,
                    strerror(errno ? errno : EIO));
    return 0;
}

int screenshot_write(struct display *display, const char *path, enum screenshot_format format)
{
    struct screenshot shot;
    int err = screenshot_take(&shot, display);

    if (err)
        fail(err, "screenshot '%s': the display shows nothing now", path);
    else
        err = screenshot_save(&shot, path, format);
    screenshot_fini(&shot);
    return err;
}
