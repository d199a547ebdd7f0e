/*
 * image.h - one layer of a disk: an image file in some format, over an optional backing image. Private to this folder.
 *
 * Thread: the disk's loop. Everything but open and close runs in a fiber and may wait.
 */
#ifndef DEVICES_DISK_IMAGE_H
#define DEVICES_DISK_IMAGE_H

#include "backend/disk.h"
#include "devices/disk/fiber.h"
#include "devices/disk/io.h"

#define IMAGE_MAX_CHAIN  16      /* layers */
#define IMAGE_MAX_TABLES MIB(48) /* memory for all layers' first-level tables together */
#define IMAGE_MAX_NAME   1023

struct image;

/* What all layers of a disk share. */
struct image_context {
    struct fibers fibers;
    struct io *io; /* NULL until all files are open */
    struct disk_file files[IO_MAX_FILES];
    unsigned file_count;
    unsigned chain; /* the first file of the image that is being opened */
    uint64_t table_bytes;
    bool write_backing; /* the second layer is opened for writing, too */
    uint64_t sequence; /* of the newest request */
    uint64_t oldest;   /* request that is not finished; sequence + 1 if none */
};

/* What a layer has at some place. */
struct image_extent {
    enum { IMAGE_ABSENT, IMAGE_ZERO, IMAGE_DATA } type; /* ABSENT: what is behind it shows */
    uint64_t bytes;                                     /* how far it goes on like that */
};

struct image_ops {
    const char *format;
    /* [offset, offset + bytes) lies inside the image; the same holds for all of them. */
    int (*read)(struct image *image, uint64_t offset, uint64_t bytes, const struct scatter *data);
    int (*write)(struct image *image, uint64_t offset, uint64_t bytes, const struct scatter *data);
    int (*zero)(struct image *image, uint64_t offset, uint64_t bytes, bool unmap);
    int (*discard)(struct image *image, uint64_t offset, uint64_t bytes);
    int (*flush)(struct image *image);
    /* What is at the start of [offset, offset + bytes), in this layer alone. */
    int (*extent)(struct image *image, uint64_t offset, uint64_t bytes, struct image_extent *e);
    /* Another size; what is new reads as zeroes. Errors come with fail_text(). */
    int (*resize)(struct image *image, uint64_t size);
    /*
     * A whole grain, which nobody else uses meanwhile, compressed; -E2BIG: it does not become smaller. NULL: the format
     * cannot.
     */
    int (*write_compressed)(struct image *image, uint64_t offset, const void *data);
    /*
     * Outside fibers, without waiting: if a read or write of the range needs nothing but one transfer, tell where in
     * image->file; else false, and read or write is called.
     */
    bool (*direct)(struct image *image, bool writing, uint64_t offset, uint64_t bytes,
                   uint64_t *where);
    /* In a fiber, now and then, when a request finished: context->oldest has moved. May be NULL. */
    void (*settle)(struct image *image);
    /* In a fiber: write what is dirty. */
    int (*sync)(struct image *image);
    /* Free what belongs to the image, the file excepted. */
    void (*destroy)(struct image *image);
};

struct image {
    const struct image_ops *ops;
    struct image_context *context;
    unsigned file; /* index of its file */
    uint64_t size; /* bytes, a multiple of DISK_SECTOR */
    uint64_t
        grain; /* discard and zero requests do not run beside others that share a grain with them */
    bool read_only;
    uint64_t settle_after; /* call settle when context->oldest is more than this */
    struct image *backing; /* owned; NULL: none */
    char *name;            /* for messages; owned */
};

/* Open the image and what is behind it; files are locked unless options say otherwise. */
int image_open(struct image **image, struct image_context *context,
               const struct disk_options *options);
/* What is at the start of the range, whichever layer has it: never ABSENT. In a fiber. */
int image_extent(struct image *image, uint64_t offset, uint64_t bytes, struct image_extent *e);
/* And its backing images; their files stay with the context. NULL is fine. */
void image_destroy(struct image *image);

int raw_open(struct image **image, struct image_context *context, unsigned file, bool read_only,
             bool probed);

static inline struct disk_file *image_file(const struct image *image)
{
    return &image->context->files[image->file];
}

/* In a fiber: submit the op (file, kind, offset, bytes, data are set) and wait for it. */
int image_io(struct image *image, struct io_op *op);
int image_read_file(struct image *image, uint64_t offset, uint64_t bytes,
                    const struct scatter *data);
int image_write_file(struct image *image, uint64_t offset, uint64_t bytes,
                     const struct scatter *data);
int image_sync_file(struct image *image);

/* Several ops at a time: submit them (file and done are set here), then wait for all; the first error. */
struct io_group {
    struct image *image;
    struct fiber *waiting;
    unsigned pending;
    int error;
};
void image_group_submit(struct io_group *group, struct io_op *op);
int image_group_wait(struct io_group *group);
/* Zeroes by fallocate, or by writing them where that does not work. */
int image_zero_file(struct image *image, uint64_t offset, uint64_t bytes, bool unmap);
/* Read from the backing image, zeroes where it ends or where there is none. */
int image_read_backing(struct image *image, uint64_t offset, uint64_t bytes,
                       const struct scatter *data);

/* For tests: which engine, and a look at it. */
int disk_open_with(struct disk **disk, struct loop *loop, const struct disk_options *options,
                   enum io_backend backend);
struct io *disk_io(struct disk *disk);

#endif
