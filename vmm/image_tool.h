/*
 * image_tool.h - "minivm image": what its commands share. Private to vmm/image_*.c.
 *
 * Exit status: 0 done, 1 it failed or was not understood (a message says why). "check" alone has more: 2 the image is
 * corrupt, 3 it has leaks only, as qemu-img has it.
 */
#ifndef VMM_IMAGE_TOOL_H
#define VMM_IMAGE_TOOL_H

#include "base/options.h"
#include "devices/disk/job.h"
#include "devices/disk/qcow2_create.h"
#include "devices/disk/qcow2_tool.h"
#include "vmm/image.h"

#include <jansson.h>

enum image_status { IMAGE_OK, IMAGE_FAILED, IMAGE_CORRUPT, IMAGE_LEAKS };

/* What the command line says; each command takes some of it. */
struct image_args {
    const char *words[3];
    unsigned count, most;
    const char *format, *to_format; /* NULL: by content; qcow2 */
    const char *snapshot, *backing, *backing_format;
    enum qcow2_repair repair;
    bool json, chain, force, shrink, compress, keep, trust_backing, shared;
    struct qcow2_parameters qcow2;
};

/* Rows of option tables. */
#define IMAGE_OPTION(name) image_option_##name
extern const struct option_def IMAGE_OPTION(format), IMAGE_OPTION(from), IMAGE_OPTION(to), IMAGE_OPTION(new_format),
    IMAGE_OPTION(json), IMAGE_OPTION(chain), IMAGE_OPTION(shared), IMAGE_OPTION(repair), IMAGE_OPTION(force),
    IMAGE_OPTION(shrink), IMAGE_OPTION(compress), IMAGE_OPTION(keep), IMAGE_OPTION(trust_backing),
    IMAGE_OPTION(snapshot), IMAGE_OPTION(backing), IMAGE_OPTION(backing_format), IMAGE_OPTION(cluster_size),
    IMAGE_OPTION(refcount_bits), IMAGE_OPTION(version), IMAGE_OPTION(compression), IMAGE_OPTION(lazy_refcounts);

struct image_command {
    const char *name, *usage; /* usage: what follows "minivm image", then lines of help */
    const struct option_def *const *options; /* ended by NULL */
    unsigned least, most;                    /* words */
    int (*run)(struct image_args *args);
};

extern const struct image_command image_command_create, image_command_info, image_command_check, image_command_convert,
    image_command_snapshot, image_command_resize, image_command_commit;

/* Options to open the image of args with, as a tool does. */
struct disk_options image_open_options(const struct image_args *args, const char *path);
/*
 * Make the image that args describes, empty; the file keeps it locked until it is closed. Errors come with fail_text()
 * and leave nothing behind that was not there.
 */
int image_make(const struct image_args *args, const char *path, uint64_t size, struct disk_file *file);
/* Open a job with one image; on an error the job has ended. */
int image_begin(struct image_job *job, struct image **image, const struct disk_options *options);
/* End the job; `err`, or what it lost. Logs the message. Returns the exit status. */
int image_end(struct image_job *job, int err);
int image_failed(void); /* log fail_text(); IMAGE_FAILED */

/* A line on the terminal, if there is one, that shows how far it is; image_progress(NULL, 1, 1) ends it. */
void image_progress(void *what, uint64_t done, uint64_t all);
/* Text that an image holds: as it is where it is UTF-8, else with marks in place of what is not plain. */
json_t *image_json_text(const char *text, size_t bytes);
void image_print_json(json_t *value); /* and frees it */
void image_print_text(const char *text, size_t bytes); /* nothing that a terminal would act on */
void image_print_snapshots(const struct qcow2_snapshots *list);
/* "1.5 GiB" */
const char *image_size_text(uint64_t bytes, char text[32]);

#endif
