#include "vmm/image_tool.h"

#include "base/error.h"
#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct image_command *const commands[] = {
    &image_command_create,   &image_command_info,   &image_command_check,  &image_command_convert,
    &image_command_snapshot, &image_command_resize, &image_command_commit,
};

#define MAX_OPTIONS 16

static int take_word(void *opaque, const char *word)
{
    struct image_args *args = opaque;

    if (args->count == args->most)
        return fail(-EINVAL, "unexpected argument '%s'", word);
    args->words[args->count++] = word;
    return 0;
}

/* The table that base/options.h wants. */
static struct option_table table_of(const struct image_command *command, struct option_def *rows, char *usage,
                                    size_t size)
{
    struct option_table table = {.usage = usage, .options = rows, .positional = take_word};

    snprintf(usage, size, "minivm image %s", command->usage);
    while (command->options[table.count] && table.count < MAX_OPTIONS) {
        rows[table.count] = *command->options[table.count];
        table.count++;
    }
    return table;
}

static void print_help(void)
{
    printf("usage: minivm image COMMAND [OPTION...]\n");
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
        struct option_def rows[MAX_OPTIONS];
        char usage[1024];
        struct option_table table = table_of(commands[i], rows, usage, sizeof(usage));

        printf("\n");
        options_print_help(&table);
    }
}

/* "-1G", the last word of "resize", is a size and not an option. */
static const char *negative_size(const struct image_command *command, int argc, char **argv)
{
    return command == &image_command_resize && argc > 1 && argv[argc - 1][0] == '-' &&
                   isdigit((unsigned char)argv[argc - 1][1])
               ? argv[argc - 1]
               : NULL;
}

static int run_command(const struct image_command *command, int argc, char **argv)
{
    struct image_args args = {.most = command->most};
    struct option_def rows[MAX_OPTIONS];
    char usage[1024];
    struct option_table table = table_of(command, rows, usage, sizeof(usage));
    const char *last = negative_size(command, argc, argv);
    int err = options_parse(&table, argc - (last != NULL), argv, &args);

    if (err == OPTIONS_HELP)
        return IMAGE_OK;
    if (!err && last)
        err = take_word(&args, last);
    if (!err && args.count < command->least)
        err = fail(-EINVAL, "'%s' needs more words; minivm image %s --help says which", command->name, command->name);
    return err ? image_failed() : command->run(&args);
}

int image_main(int argc, char **argv)
{
    const char *names[ARRAY_SIZE(commands)], *near;

    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help();
        return argc < 2 ? IMAGE_FAILED : IMAGE_OK;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
        names[i] = commands[i]->name;
        if (strcmp(argv[1], names[i]) == 0)
            return run_command(commands[i], argc - 1, argv + 1);
    }
    near = nearest_name(argv[1], names, ARRAY_SIZE(names), sizeof(*names));
    if (near)
        log_error("unknown command '%s'; did you mean 'minivm image %s'?", argv[1], near);
    else
        log_error("unknown command '%s'; minivm image --help lists the commands", argv[1]);
    return IMAGE_FAILED;
}

int image_failed(void)
{
    log_error("%s", fail_text());
    return IMAGE_FAILED;
}

struct disk_options image_open_options(const struct image_args *args, const char *path)
{
    return (struct disk_options){
        .path = path, .format = args->format, .no_backing_check = args->trust_backing, .cache = DISK_CACHE_WRITEBACK};
}

int image_begin(struct image_job *job, struct image **image, const struct disk_options *options)
{
    int err = image_job_init(job);

    if (err)
        return fail(err, "no event loop: %s", strerror(-err));
    err = image_job_open(job, image, options);
    if (err)
        image_job_end(job);
    return err;
}

int image_end(struct image_job *job, int err)
{
    char text[512];
    int lost;

    snprintf(text, sizeof(text), "%s", fail_text());
    lost = image_job_end(job);
    if (err)
        log_error("%s", *text ? text : strerror(-err));
    else if (lost)
        log_error("%s", fail_text());
    return err || lost ? IMAGE_FAILED : IMAGE_OK;
}

static int fill_image(const struct image_args *args, const char *path, uint64_t size, struct disk_file *file)
{
    struct qcow2_parameters parameters = args->qcow2;
    struct stat st;
    int err = fstat(file->fd, &st) < 0 ? -errno : 0;

    parameters.size = size;
    parameters.backing = args->backing;
    parameters.backing_format = args->backing_format;
    if (!err && S_ISBLK(st.st_mode) && file->size < size)
        return fail(-ENOSPC, "'%s' is smaller than the disk", path);
    if (!err && args->to_format && strcmp(args->to_format, "raw") == 0)
        err = S_ISREG(st.st_mode) && ftruncate(file->fd, (off_t)size) < 0 ? -errno : 0;
    else if (!err)
        err = qcow2_create(file, &parameters);
    if (err == -EINVAL || err == -EFBIG)
        return fail(err, "'%s' cannot be made: its size, cluster size, refcount bits and version do not go together",
                    path);
    return err ? fail(err, "'%s' cannot be written: %s", path, strerror(-err)) : 0;
}

static int check_parameters(const struct image_args *args)
{
    const struct qcow2_parameters *p = &args->qcow2;
    bool raw = args->to_format && strcmp(args->to_format, "raw") == 0;

    if (raw && (args->backing || args->compress || p->version || p->cluster_bits || p->refcount_bits || p->zstd ||
                p->lazy_refcounts))
        return fail(-EINVAL, "a raw image has nothing but its data; leave out what only qcow2 has");
    if (!args->backing != !args->backing_format)
        return fail(-EINVAL, "--backing and --backing-format go together: guessing a format is unsafe");
    if (p->version == 2 && (p->zstd || p->lazy_refcounts || (p->refcount_bits && p->refcount_bits != 16)))
        return fail(-EINVAL, "version 2 of qcow2 has zlib, refcounts of 16 bits that are not lazy, and nothing else");
    return 0;
}

int image_make(const struct image_args *args, const char *path, uint64_t size, struct disk_file *file)
{
    bool was_there = access(path, F_OK) == 0;
    int err = check_parameters(args);

    if (!err)
        err = disk_file_create(file, path, args->force);
    if (err)
        return err;
    err = fill_image(args, path, size, file);
    if (!err)
        return 0;
    disk_file_close(file);
    if (!was_there)
        unlink(path);
    return err;
}

void image_progress(void *what UNUSED, uint64_t done, uint64_t all)
{
    static unsigned last = UINT32_MAX;
    unsigned permille = all ? (unsigned)((double)done / (double)all * 1000) : 1000;

    if (permille == last || !isatty(STDERR_FILENO))
        return;
    last = permille;
    fprintf(stderr, "\r  %3u.%u %%", permille / 10, permille % 10);
    if (!what && done == all)
        fprintf(stderr, "\n");
}

json_t *image_json_text(const char *text, size_t bytes)
{
    json_t *value = json_stringn(text, bytes);
    char plain[IMAGE_MAX_NAME + 1];
    size_t n = MIN(bytes, sizeof(plain));

    if (value)
        return value;
    for (size_t i = 0; i < n; i++)
        plain[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    return json_stringn(plain, n);
}

void image_print_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(4));
    printf("\n");
    json_decref(value);
}

void image_print_text(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        putchar((unsigned char)text[i] >= ' ' && text[i] != 0x7f ? text[i] : '?');
}

const char *image_size_text(uint64_t bytes, char text[32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double n = (double)bytes;
    unsigned unit = 0;

    for (; n >= 1024 && unit + 1 < ARRAY_SIZE(units); unit++)
        n /= 1024;
    snprintf(text, 32, "%.3g %s", n, units[unit]);
    return text;
}
