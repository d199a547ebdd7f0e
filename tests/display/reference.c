/*
 * reference.c - libspice-server with a guest that plays a scene: the other side of tests/bench/display.
 *
 * Like ours.c, with the server's own renderer and no device between.
 */
#include "base/error.h"
#include "base/log.h"
#include "tests/display/player.h"
#include "tests/reference/device.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static struct player player;

static int primary(const struct script_primary *p)
{
    size_t size = (size_t)p->stride * p->height;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return fail(-1, "no memory for the screen");
    memcpy(memory, p->pixels, size);
    device_primary(p->width, p->height, (int32_t)p->stride, p->format, memory);
    return 0;
}

static int step(void *device, const struct step *s)
{
    QXLInstance *qxl = device;

    switch (s->kind) {
    case STEP_PRIMARY:
        return primary(s->primary);
    case STEP_DRAW:
        device_push(QXL_CMD_DRAW, s->draw);
        return 0;
    case STEP_SURFACE:
        device_push(QXL_CMD_SURFACE, s->surface);
        return 0;
    case STEP_CURSOR:
        device_push_cursor(s->cursor);
        return 0;
    case STEP_CURSOR_RESET:
        spice_qxl_reset_cursor(qxl);
        return 0;
    case STEP_MONITORS:
        spice_qxl_monitors_config_async(qxl, (uintptr_t)s->monitors, 0, 0);
        return 0;
    case STEP_UPDATE_AREA:
        spice_qxl_update_area(qxl, s->update->surface, (QXLRect *)&s->update->area, NULL, 0, 0);
        return 0;
    case STEP_FLUSH:
        spice_qxl_flush_surfaces_async(qxl, 0);
        return 0;
    case STEP_OOM:
        spice_qxl_oom(qxl);
        return 0;
    case STEP_RESET_IMAGE_CACHE:
        spice_qxl_reset_image_cache(qxl);
        return 0;
    }
    return fail(-1, "unknown step %u", s->kind);
}

static void scancode(uint8_t code)
{
    player_scancode(&player, code);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {SCENE_OPTIONS, DEVICE_OPTIONS, {NULL, 0, NULL, 0}};
    struct device_settings settings;
    struct scene scene;
    struct loop loop;
    int c;

    log_set_program("reference");
    scene_init(&scene);
    device_settings_init(&settings);
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (!device_option(&settings, c, optarg) && !scene_option(&scene, c, optarg))
            die("usage: reference " DEVICE_USAGE " " SCENE_USAGE);
    scene_load(&scene);
    settings.surfaces = MAX(settings.surfaces, scene.script->surfaces);
    settings.scancode = scancode;
    if (loop_init(&loop))
        die("no event loop");
    player_init(&player, &scene, &loop, step, device_start(&loop, &settings));
    player_setup(&player);
    printf("PORT %d\n", settings.port);
    fflush(stdout);
    loop_run(&loop);
    player_fini(&player);
    _Exit(0); /* the server's threads do not end by themselves */
}
