#include "vmm/savefile.h"

#include "base/error.h"
#include "base/host_file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define MAGIC        "minivm\r\n" /* a transfer as text would damage it */
#define FORMAT       1
#define SECTION_HEAD (SAVEFILE_NAME + 4 + 4 + 8)
#define PIECE        MIB(4) /* of memory, written by one thread */
#define HELPERS      3      /* threads beside the caller's */

struct header {
    char magic[8];
    uint32_t format, page;
    uint64_t state_size, file_size;
    uint8_t sha256[SHA256_DIGEST_LENGTH];
};

static_assert(sizeof(struct header) == 64, "as it lies in the file");

/* --- sections --- */

size_t savefile_section_begin(struct writer *w, const char *name, uint32_t instance, uint32_t version)
{
    char padded[SAVEFILE_NAME] = {0};

    memcpy(padded, name, strnlen(name, sizeof(padded)));
    writer_bytes(w, padded, sizeof(padded));
    writer_u32(w, instance);
    writer_u32(w, version);
    writer_u64(w, 0);
    return w->size;
}

void savefile_section_end(struct writer *w, size_t token)
{
    if (!w->bad)
        store_le64(w->data + token - 8, w->size - token);
}

/* --- writing --- */

static int failed(const char *path, int err)
{
    return fail(err, "'%s' cannot be written: %s", path, strerror(-err));
}

static int write_all(int fd, const uint8_t *data, size_t size, uint64_t offset)
{
    while (size) {
        ssize_t n = pwrite(fd, data, size, (off_t)offset);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            data += n;
            size -= (size_t)n;
            offset += (uint64_t)n;
        }
    }
    return 0;
}

int savefile_create(struct savefile_writer *file, const char *path)
{
    uint32_t random;

    *file = (struct savefile_writer){.path = path, .fd = -1};
    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return -errno;
    if (asprintf(&file->temporary, "%s.%08x", path, random) < 0) {
        file->temporary = NULL;
        return -ENOMEM;
    }
    file->fd = host_open(NULL, file->temporary, O_RDWR | O_CREAT | O_EXCL, 0600);
    return file->fd < 0 ? failed(path, file->fd) : 0;
}

uint64_t savefile_memory_start(size_t sections_size)
{
    return ALIGN_UP(SAVEFILE_PAGE + (uint64_t)sections_size, SAVEFILE_PAGE);
}

/* Memory, written by several threads: one alone would copy into the page cache at the speed of one CPU. */
struct memory_writer {
    int fd, err;
    uint64_t offset, size, next;
    const uint8_t *data;
};

/* How many bytes from here on are pages that hold something; 0 if the first does not. */
static uint64_t filled_run(const uint8_t *data, uint64_t size)
{
    uint64_t n = 0;

    while (n < size && !is_zero(data + n, SAVEFILE_PAGE))
        n += SAVEFILE_PAGE;
    return n;
}

static int write_piece(const struct memory_writer *m, uint64_t at, uint64_t size)
{
    uint64_t end = at + size, run;
    int err = 0;

    for (; at < end && !err; at += MAX(run, SAVEFILE_PAGE)) {
        run = filled_run(m->data + at, end - at);
        err = run ? write_all(m->fd, m->data + at, run, m->offset + at) : 0;
    }
    return err;
}

static void *write_pieces(void *arg)
{
    struct memory_writer *m = arg;
    uint64_t at;

    while ((at = __atomic_fetch_add(&m->next, PIECE, __ATOMIC_RELAXED)) < m->size) {
        int err = write_piece(m, at, MIN(PIECE, m->size - at));

        if (err) {
            __atomic_store_n(&m->err, err, __ATOMIC_RELAXED);
            break;
        }
    }
    return NULL;
}

int savefile_put_memory(struct savefile_writer *file, uint64_t offset, const uint8_t *data, uint64_t size)
{
    struct memory_writer m = {.fd = file->fd, .offset = offset, .size = size, .data = data};
    pthread_t helpers[HELPERS];
    unsigned started = 0;

    while (size > PIECE && started < HELPERS &&
           pthread_create(&helpers[started], NULL, write_pieces, &m) == 0)
        started++;
    write_pieces(&m);
    while (started)
        pthread_join(helpers[--started], NULL);
    file->end = MAX(file->end, offset + size);
    return m.err ? failed(file->path, m.err) : 0;
}

static int write_state(const struct savefile_writer *file, const struct writer *sections)
{
    struct header header = {.magic = MAGIC,
                            .format = FORMAT,
                            .page = SAVEFILE_PAGE,
                            .state_size = sections->size,
                            .file_size = MAX(file->end, savefile_memory_start(sections->size))};
    int err;

    SHA256(sections->data, sections->size, header.sha256);
    err = ftruncate(file->fd, (off_t)header.file_size) ? -errno : 0;
    if (!err)
        err = write_all(file->fd, sections->data, sections->size, SAVEFILE_PAGE);
    return err ? err : write_all(file->fd, (const uint8_t *)&header, sizeof(header), 0);
}

int savefile_commit(struct savefile_writer *file, const struct writer *sections)
{
    int err = sections->bad ? -ENOMEM : write_state(file, sections);

    if (!err && fsync(file->fd))
        err = -errno;
    if (!err)
        err = host_rename(file->temporary, file->path);
    if (err)
        return failed(file->path, err);
    free(file->temporary);
    file->temporary = NULL;
    return 0;
}

void savefile_close(struct savefile_writer *file)
{
    if (file->fd >= 0)
        close(file->fd);
    if (file->fd >= 0 && file->temporary)
        host_unlink(file->temporary);
    free(file->temporary);
}

/* --- reading --- */

static int damaged(const struct savefile *file, const char *how)
{
    return fail(-EINVAL, "'%s' is no usable saved machine: %s", file->file.path, how);
}

static int read_section(struct savefile *file, struct reader *r)
{
    struct savefile_section *s = &file->sections[file->section_count];
    uint64_t size;

    if (file->section_count == SAVEFILE_MAX_SECTIONS)
        return damaged(file, "it has too many parts");
    reader_copy(r, s->name, SAVEFILE_NAME);
    s->instance = reader_u32(r);
    s->version = reader_u32(r);
    size = reader_u64(r);
    s->size = size;
    s->data = size <= SAVEFILE_MAX_STATE ? reader_bytes(r, size) : NULL;
    if (!s->data)
        return damaged(file, "its parts do not fit into it");
    file->section_count++;
    return 0;
}

static int read_state(struct savefile *file, const struct header *header)
{
    uint8_t sha256[SHA256_DIGEST_LENGTH];
    struct reader r;
    int err;

    file->state = malloc(header->state_size);
    if (!file->state)
        return -ENOMEM;
    err = file_read(&file->file, file->state, header->state_size, SAVEFILE_PAGE);
    if (err)
        return err;
    SHA256(file->state, header->state_size, sha256);
    if (memcmp(sha256, header->sha256, sizeof(sha256)) != 0)
        return damaged(file, "it was changed");
    reader_init(&r, file->state, header->state_size);
    while (!err && reader_left(&r))
        err = read_section(file, &r);
    return err;
}

int savefile_open(struct savefile *file, const char *path)
{
    struct header header;
    int err;

    memset(file, 0, sizeof(*file));
    err = file_open(&file->file, "saved machine", path);
    if (err)
        return err;
    if (file->file.size < sizeof(header))
        return damaged(file, "it is too short");
    err = file_read(&file->file, &header, sizeof(header), 0);
    if (err)
        return err;
    if (memcmp(header.magic, MAGIC, sizeof(header.magic)) != 0)
        return damaged(file, "it is something else");
    if (header.format != FORMAT || header.page != SAVEFILE_PAGE)
        return damaged(file, "its format is of another version of minivm");
    if (header.file_size != file->file.size || header.state_size > SAVEFILE_MAX_STATE ||
        header.state_size == 0 || savefile_memory_start(header.state_size) > file->file.size)
        return damaged(file, "it is cut short");
    return read_state(file, &header);
}

void savefile_fini(struct savefile *file)
{
    file_close(&file->file);
    free(file->state);
    file->state = NULL;
}

int savefile_find(struct savefile *file, const char *name, uint32_t instance, uint32_t version, struct reader *r,
                  uint32_t *found_version)
{
    unsigned i;

    for (i = 0; i < file->section_count; i++) {
        struct savefile_section *s = &file->sections[i];

        if (s->instance != instance || strcmp(s->name, name) != 0)
            continue;
        if (s->version > version)
            return fail(-ENOTSUP, "'%s': its '%s' is of a newer minivm", file->file.path, name);
        s->used = true;
        *found_version = s->version;
        reader_init(r, s->data, s->size);
        return 0;
    }
    return fail(-ENOENT, "'%s' was saved by a machine without '%s' (number %u)", file->file.path, name, instance);
}

const struct savefile_section *savefile_unused(const struct savefile *file)
{
    unsigned i;

    for (i = 0; i < file->section_count; i++)
        if (!file->sections[i].used)
            return &file->sections[i];
    return NULL;
}

int savefile_get_memory(const struct savefile *file, uint64_t offset, uint8_t *host, uint64_t size)
{
    if (!IS_ALIGNED(offset, SAVEFILE_PAGE) || offset > file->file.size || size > file->file.size - offset)
        return damaged(file, "its memory does not fit into it");
    if (mmap(host, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, file->file.fd,
             (off_t)offset) != MAP_FAILED)
        return 0;
    return file_read(&file->file, host, size, offset);
}
