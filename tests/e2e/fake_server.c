/*
 * A SPICE server with a fake display, for stock clients to connect to. Prints "PORT n m w", the second for TLS, the
 * third for browsers, or -1; then takes commands on stdin, one a line, and answers each with "done"; what clients
 * type and move is printed as it comes.
 *
 *   draw PATTERN | scroll N | resize W H | cursor SIZE | move X Y | dump FILE.ppm | leds N | tablet 0|1 | fds
 *   film N (frames a second over the whole screen, by a thread of its own; 0: no more) | frames
 *   password P | expire SECONDS (from now) | switch PORT TLS_PORT (of 127.0.0.1 and localhost)
 *   expect 0|1 | migrate PORT TLS_PORT ("connected") | finish ("gone") | cancel: what is printed when that is done
 *
 *   display N (which the commands are for from now on) | heads N (it does what clients want, for N monitors at most) |
 *   split N (as many monitors side by side)
 *
 * usage: fake_server [--port N] [--displays N] [--tls] [--web] [--sasl FILE] [--password P] [--compression C]
 * [--streams] [--size WxH]
 *                    [--patience MS] [--move-time MS] [--agent SOCKET] [--sound RATE] [--debug]
 *
 * --sound: a card plays 440 Hz left and 1000 Hz right, and prints "spoken L R", the levels of these, when it records something.
 * --agent: who connects to the socket is the guest's agent at its port; "agent 1" and "agent 0" are printed as it comes and goes.
 * --streams: video is streamed to clients on this host too. The certificate of --tls is where minivm keeps its own: in
 * $XDG_DATA_HOME/minivm/tls.
 */
#include "base/error.h"
#include "base/heap.h"
#include "base/log.h"
#include "spice/server/server.h"
#include "tests/lib/fake_card.h"
#include "tests/lib/fake_display.h"
#include "tests/lib/null_modem.h"
#include "vmm/config.h"

#include <dirent.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_DISPLAYS 4

struct fake_server {
    struct loop loop;
    struct fake_display displays[MAX_DISPLAYS], *now; /* the one that commands are for */
    int display_count;
    struct input input;
    struct input_sink mouse, tablet;
    bool has_tablet;
    struct spice_server *spice;
    char agent_path[120]; /* "unix:PATH", or "" */
    struct null_modem agent;
    uint32_t rate; /* of the sound card; 0: there is none */
    struct fake_card card;
    struct film {
        pthread_t thread;
        unsigned rate;   /* frames a second; 0: there is no thread. Atomic, as is: */
        unsigned frames; /* since the beginning */
    } film;
    uv_poll_t commands;
    char line[256];
    size_t used;
};

static struct fake_server server;

/* --- what clients do --- */

static void scancode(struct input_sink *sink UNUSED, uint8_t code)
{
    printf("key %02x\n", code);
}

static void motion(struct input_sink *sink UNUSED, int dx, int dy, int wheel, unsigned buttons)
{
    printf("motion %d %d %d %u\n", dx, dy, wheel, buttons);
}

static void position(struct input_sink *sink UNUSED, unsigned display, unsigned x, unsigned y,
                     int wheel, unsigned buttons)
{
    printf("position %u %u %u %d %u\n", display, x, y, wheel, buttons);
}

/* --- commands --- */

static void dump(const char *path)
{
    uint32_t width, height;
    uint8_t *rgb = fake_display_rgb(server.now, &width, &height);
    FILE *f = fopen(path, "w");

    if (f) {
        fprintf(f, "P6\n%u %u\n255\n", width, height);
        fwrite(rgb, 3, (size_t)width * height, f);
        fclose(f);
    }
    free(rgb);
}

static void set_tablet(bool on)
{
    if (on && !server.has_tablet)
        input_add_sink(&server.input, &server.tablet);
    else if (!on && server.has_tablet)
        input_remove_sink(&server.input, &server.tablet);
    server.has_tablet = on;
}

static void print_resources(void)
{
    DIR *dir = opendir("/proc/self/fd");
    long pages = 0;
    int fds = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    while (readdir(dir))
        fds++;
    closedir(dir);
    if (f && fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    printf("fds %d rss %ld\n", fds, pages * 4);
}

/* As many monitors side by side. */
static void split(unsigned n)
{
    struct display_head heads[DISPLAY_MAX_HEADS];
    uint32_t width = server.now->width / CLAMP(n, 1, DISPLAY_MAX_HEADS);

    for (unsigned i = 0; i < n && i < DISPLAY_MAX_HEADS; i++)
        heads[i] = (struct display_head){i, i * width, 0, width, server.now->height};
    fake_display_set_heads(server.now, heads, MIN(n, DISPLAY_MAX_HEADS));
}

/* --- a film: what a guest does whose clock goes on --- */

static void wait_until(struct timespec *when, unsigned rate)
{
    when->tv_nsec += 1000000000 / rate;
    when->tv_sec += when->tv_nsec / 1000000000;
    when->tv_nsec %= 1000000000;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, when, NULL);
}

static void *play(void *arg UNUSED)
{
    const struct rect all = {0, 0, server.now->width, server.now->height};
    struct timespec next;
    unsigned rate;

    clock_gettime(CLOCK_MONOTONIC, &next);
    while ((rate = __atomic_load_n(&server.film.rate, __ATOMIC_RELAXED))) {
        fake_display_film(server.now, all, server.film.frames, false);
        __atomic_add_fetch(&server.film.frames, 1, __ATOMIC_RELAXED);
        wait_until(&next, rate);
    }
    return NULL;
}

static void set_film(unsigned rate)
{
    bool was_on = server.film.rate;

    __atomic_store_n(&server.film.rate, rate, __ATOMIC_RELAXED);
    if (rate && !was_on)
        pthread_create(&server.film.thread, NULL, play, NULL);
    else if (!rate && was_on)
        pthread_join(server.film.thread, NULL);
}

static void print(void *text)
{
    printf("%s\n", (const char *)text);
}

/* A step of a move; false: it is none, or is refused. */
static bool move(const char *line)
{
    int a, b;

    if (sscanf(line, "expect %d", &a) == 1)
        spice_server_migrate_expect(server.spice, a);
    else if (sscanf(line, "migrate %d %d", &a, &b) == 2)
        return !spice_server_migrate_start(server.spice, &(struct spice_destination){"localhost", a, b}, print, "connected");
    else if (!strcmp(line, "finish"))
        return !spice_server_migrate_finish(server.spice, print, "gone");
    else
        return !strcmp(line, "cancel") && !spice_server_migrate_cancel(server.spice);
    return true;
}

static void command(const char *line)
{
    char text[200] = "";
    int a = 0, b = 0;

    if (sscanf(line, "draw %199s", text) == 1)
        fake_display_draw(server.now, text);
    else if (sscanf(line, "scroll %d", &a) == 1)
        fake_display_scroll(server.now, a);
    else if (sscanf(line, "resize %d %d", &a, &b) == 2)
        fake_display_resize(server.now, a, b);
    else if (sscanf(line, "heads %d", &a) == 1)
        fake_display_take_heads(server.now, a);
    else if (sscanf(line, "split %d", &a) == 1)
        split(a);
    else if (sscanf(line, "display %d", &a) == 1)
        server.now = &server.displays[CLAMP(a, 0, server.display_count - 1)];
    else if (sscanf(line, "cursor %d", &a) == 1)
        fake_display_cursor(server.now, a);
    else if (sscanf(line, "move %d %d", &a, &b) == 2)
        fake_display_move_cursor(server.now, a, b);
    else if (sscanf(line, "dump %199s", text) == 1)
        dump(text);
    else if (sscanf(line, "leds %d", &a) == 1)
        input_set_leds(&server.input, a);
    else if (sscanf(line, "tablet %d", &a) == 1)
        set_tablet(a);
    else if (sscanf(line, "password %199s", text) == 1)
        spice_server_set_password(server.spice, text, TICKET_KEEP);
    else if (sscanf(line, "expire %d", &a) == 1)
        spice_server_expire_password(server.spice, time(NULL) + a);
    else if (sscanf(line, "switch %d %d", &a, &b) == 2)
        spice_server_switch_host(server.spice, &(struct spice_destination){"localhost", a, b});
    else if (sscanf(line, "film %d", &a) == 1)
        set_film(a);
    else if (!strcmp(line, "frames"))
        printf("frames %u\n", __atomic_load_n(&server.film.frames, __ATOMIC_RELAXED));
    else if (!strcmp(line, "fds"))
        print_resources();
    else if (!move(line))
        printf("unknown command: ");
    printf("done\n");
}

static void commands_ready(uv_poll_t *poll UNUSED, int status UNUSED, int events UNUSED)
{
    ssize_t n = read(0, server.line + server.used, sizeof(server.line) - 1 - server.used);
    char *end;

    if (n <= 0) {
        loop_stop(&server.loop);
        uv_poll_stop(&server.commands);
        return;
    }
    server.used += n;
    while ((end = memchr(server.line, '\n', server.used))) {
        *end++ = '\0';
        command(server.line);
        server.used -= end - server.line;
        memmove(server.line, end, server.used);
    }
}

static void show_certificate(struct spice_config *config)
{
    static struct certificate certificate;

    if (certificate_find(&certificate, NULL))
        die("%s", fail_text());
    config->tls_certificate = certificate.server;
    config->tls_key = certificate.key;
}

static struct spice_config parse(int argc, char **argv, int size[2])
{
    static const struct option options[] = {{"port", 1, NULL, 'p'},
                                            {"password", 1, NULL, 'w'},
                                            {"compression", 1, NULL, 'c'},
                                            {"size", 1, NULL, 's'},
                                            {"streams", 0, NULL, 'v'},
                                            {"tls", 0, NULL, 't'},
                                            {"web", 0, NULL, 'b'},
                                            {"sasl", 1, NULL, 'a'},
                                            {"patience", 1, NULL, 'e'},
                                            {"move-time", 1, NULL, 'm'},
                                            {"debug", 0, NULL, 'd'},
                                            {"displays", 1, NULL, 'n'},
                                            {"agent", 1, NULL, 'g'},
                                            {"sound", 1, NULL, 'r'},
                                            {NULL, 0, NULL, 0}};
    struct spice_config config = {.name = "fake", .uuid = {1, 2, 3}};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'p')
            config.port = atoi(optarg);
        else if (c == 'w')
            config.password = optarg;
        else if (c == 'n')
            server.display_count = CLAMP(atoi(optarg), 1, MAX_DISPLAYS);
        else if (c == 'c')
            config.image_compression = optarg;
        else if (c == 'v')
            config.streaming = STREAMING_FILTER;
        else if (c == 't')
            show_certificate(&config);
        else if (c == 'g')
            snprintf(server.agent_path, sizeof(server.agent_path), "unix:%s", optarg);
        else if (c == 'r')
            server.rate = (uint32_t)CLAMP(atoi(optarg), 8000, SOUND_MAX_RATE);
        else if (c == 'e')
            config.patience = atoi(optarg);
        else if (c == 'd')
            log_set_level(LOG_DEBUG);
        else if (c == 'm')
            config.move_time = (unsigned)atoi(optarg);
        else if (c == 'a') {
            config.sasl = true;
            config.sasl_database = optarg;
        } else if (c == 'b')
            config.web_folder = CONFIG_WEB_FOLDER;
        else if (c != 's' || sscanf(optarg, "%dx%d", &size[0], &size[1]) != 2)
            die("usage: fake_server [--port N] [--displays N] [--tls] [--web] [--sasl FILE] [--password P] [--compression C] [--streams] "
                "[--size WxH] [--patience MS] [--move-time MS] [--agent SOCKET] [--sound RATE] [--debug]");
    }
    return config;
}

static void init_display(struct fake_display *display, unsigned id, const int size[2])
{
    fake_display_init(display, size[0], size[1]);
    display->display.id = id;
}

static void print_agent(bool connected)
{
    printf("agent %d\n", connected);
}

static void listen_for_agent(void)
{
    struct chardev *socket, *port;

    if (!server.agent_path[0])
        return;
    if (chardev_create(&socket, &server.loop, server.agent_path) ||
        spice_server_add_port(server.spice, SPICE_AGENT_PORT, &port))
        die("%s", fail_text());
    server.agent.connected = print_agent;
    null_modem_connect(&server.agent, socket, port);
}

int main(int argc, char **argv)
{
    int size[2] = {1024, 768};
    struct spice_config config;

    server.display_count = 1;
    server.now = &server.displays[0];
    config = parse(argc, argv, size);
    setvbuf(stdout, NULL, _IOLBF, 0);
    log_set_program("fake_server");
    heap_give_back(); /* as minivm does */
    loop_init(&server.loop);
    input_init(&server.input);
    server.mouse = (struct input_sink){.scancode = scancode, .motion = motion};
    server.tablet = (struct input_sink){.position = position};
    input_add_sink(&server.input, &server.mouse);
    for (int i = 0; i < server.display_count; i++)
        init_display(&server.displays[i], (unsigned)i, size);
    if (spice_server_create(&server.spice, &server.loop, &config, &server.input))
        die("%s", fail_text());
    for (int i = 0; i < server.display_count; i++)
        spice_server_add_display(server.spice, &server.displays[i].display);
    listen_for_agent();
    if (server.rate)
        fake_card_start(&server.card, &server.loop, server.rate);
    if (server.rate && spice_server_add_sound(server.spice, &server.card.sound))
        die("%s", fail_text());
    printf("PORT %d %d %d\n", spice_server_port(server.spice), spice_server_tls_port(server.spice),
           spice_server_web_port(server.spice));
    uv_poll_init(&server.loop.uv, &server.commands, 0);
    uv_poll_start(&server.commands, UV_READABLE, commands_ready);
    loop_run(&server.loop);
    set_film(0);
    spice_server_destroy(server.spice);
    if (server.rate)
        fake_card_stop(&server.card);
    loop_fini(&server.loop);
    for (int i = 0; i < server.display_count; i++)
        fake_display_fini(&server.displays[i]);
    return 0;
}
