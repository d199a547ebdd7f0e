/*
 * savefile.h - the file that a saved machine lies in.
 *
 *   0     header: magic, format, sizes, SHA-256 of the sections
 *   4096  sections, one after another: name, instance, version, size, bytes
 *   ...   memory, page by page, at multiples of 4096; pages of zeroes are holes
 *
 * Memory lies so that a machine can map it instead of reading it. Every number is little-endian. A file that is cut
 * short, damaged or of another format is refused; so is a section that is newer than the reader.
 *
 * Thread: any; one at a time.
 */
#ifndef VMM_SAVEFILE_H
#define VMM_SAVEFILE_H

#include "base/bytes.h"
#include "base/file.h"

#define SAVEFILE_PAGE         4096
#define SAVEFILE_NAME         24 /* bytes of a section's name, zero-filled */
#define SAVEFILE_MAX_SECTIONS 256
#define SAVEFILE_MAX_STATE    GIB(1)

struct savefile_section {
    char name[SAVEFILE_NAME + 1];
    uint32_t instance, version;
    const uint8_t *data;
    size_t size;
    bool used;
};

/* --- writing --- */

/* What is written to `w` between the two is the section's. Returns the token for the end. */
size_t savefile_section_begin(struct writer *w, const char *name, uint32_t instance, uint32_t version);
void savefile_section_end(struct writer *w, size_t token);

struct savefile_writer {
    const char *path; /* the caller's */
    char *temporary;
    int fd;
    uint64_t end; /* of the file so far */
};

/* A file beside `path`, which takes its name at the end: an older file there is replaced whole or not at all. */
int savefile_create(struct savefile_writer *file, const char *path);
/* Where the memory starts that is put after `sections_size` bytes of sections. */
uint64_t savefile_memory_start(size_t sections_size);
/* `size` bytes of memory, a multiple of the page size, at `offset`. */
int savefile_put_memory(struct savefile_writer *file, uint64_t offset, const uint8_t *data, uint64_t size);
/* Write the sections, make all durable, and give the file its name. */
int savefile_commit(struct savefile_writer *file, const struct writer *sections);
/* Always, at last; removes what was not committed. */
void savefile_close(struct savefile_writer *file);

/* --- reading --- */

struct savefile {
    struct file file;
    uint8_t *state; /* owned */
    struct savefile_section sections[SAVEFILE_MAX_SECTIONS];
    unsigned section_count;
};

/* Reads and checks all but the memory. Errors come with fail_text(); savefile_fini() in any case. */
int savefile_open(struct savefile *file, const char *path);
void savefile_fini(struct savefile *file);
/*
 * A reader for the section, which is marked as used. -ENOENT: there is none; -ENOTSUP: it is newer than `version`, both
 * with fail_text().
 */
int savefile_find(struct savefile *file, const char *name, uint32_t instance, uint32_t version, struct reader *r,
                  uint32_t *found_version);
/* One that nobody asked for, or NULL. */
const struct savefile_section *savefile_unused(const struct savefile *file);
/*
 * Let [host, host + size) show the file's memory at `offset`, copied as it is written to. Where the file system cannot
 * map, it is read.
 */
int savefile_get_memory(const struct savefile *file, uint64_t offset, uint8_t *host, uint64_t size);

#endif
