/*
 * ours.c - our QXL device and SPICE server, with a guest that plays a scene: one side of tests/bench/display.
 *
 * Prints "PORT n" when a client may come; player.h tells what it does then. With --stay the server outlives the scene, for
 * other viewers. Listens on 127.0.0.1, or another address of this host.
 */
#include "base/error.h"
#include "base/heap.h"
#include "base/log.h"
#include "spice/server/server.h"
#include "tests/display/player.h"
#include "tests/lib/qxl_guest.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

struct ours {
    struct fake_machine machine;
    struct qxl_guest guest;
    struct input input;
    struct input_sink keyboard;
    struct spice_server *spice;
    struct player player;
};

static struct ours ours;

static int step(void *device, const struct step *s)
{
    return qxl_guest_step(device, s);
}

static void scancode(struct input_sink *sink UNUSED, uint8_t code)
{
    player_scancode(&ours.player, code);
}

static void start(const struct spice_config *config, const struct scene *scene)
{
    if (fake_machine_init(&ours.machine, KIB(640), false))
        die("no memory for a machine");
    if (qxl_guest_init(&ours.guest, &ours.machine, NULL))
        die("%s", fail_text());
    qxl_guest_start(&ours.guest);
    player_init(&ours.player, scene, &ours.machine.loop, step, &ours.guest);
    player_setup(&ours.player);
    qxl_guest_sync(&ours.guest);
    input_init(&ours.input);
    ours.keyboard.scancode = scancode;
    input_add_sink(&ours.input, &ours.keyboard);
    if (spice_server_create(&ours.spice, &ours.machine.loop, config, &ours.input) ||
        spice_server_add_display(ours.spice, ours.guest.display))
        die("%s", fail_text());
}

static void stop(void)
{
    player_fini(&ours.player);
    spice_server_destroy(ours.spice);
    fake_machine_fini(&ours.machine);
}

static unsigned one_of(const char *word, const char *const *words, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (!strcmp(word, words[i]))
            return i;
    die("'%s' is no value of that option", word);
}

static enum wan wan_of(const char *word)
{
    static const char *const words[] = {"auto", "always", "never"};

    return (enum wan)one_of(word, words, ARRAY_SIZE(words));
}

static enum streaming streaming_of(const char *word)
{
    static const char *const words[] = {"auto", "off", "filter", "all"};

    return (enum streaming)one_of(word, words, ARRAY_SIZE(words));
}

int main(int argc, char **argv)
{
    static const struct option options[] = {SCENE_OPTIONS, {"compression", 1, NULL, 'c'}, {"host", 1, NULL, 'h'},
                                            {"jpeg", 1, NULL, 'j'}, {"streaming", 1, NULL, 's'},
                                            {"codecs", 1, NULL, 'C'}, {NULL, 0, NULL, 0}};
    struct spice_config config = {.name = "display"};
    struct scene scene;
    int c;

    log_set_program("ours");
    heap_give_back(); /* as minivm does */
    scene_init(&scene);
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (c == 'c')
            config.image_compression = optarg;
        else if (c == 'h')
            config.listen = optarg;
        else if (c == 'j')
            config.jpeg = wan_of(optarg);
        else if (c == 's')
            config.streaming = streaming_of(optarg);
        else if (c == 'C')
            config.video_codecs = optarg;
        else if (!scene_option(&scene, c, optarg))
            die("usage: ours [--host ADDRESS] [--compression C] [--jpeg W] [--streaming S] [--codecs C] " SCENE_USAGE);
    scene_load(&scene);
    start(&config, &scene);
    printf("PORT %d\n", spice_server_port(ours.spice));
    fflush(stdout);
    loop_run(&ours.machine.loop);
    stop();
    return 0;
}
