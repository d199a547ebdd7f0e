/*
 * What the inside of a software host asks the outside to lock: requests of two bytes of length each, in which '@' is the folder
 * that is shared (its part rw for writing, too; beside it lies one that is not). Whatever is granted must lie in there.
 */
#include "base/bytes.h"
#include "base/log.h"
#include "vmm/nested_private.h"
#include "vmm/relay_lock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_REQUESTS 8 /* one that waits for an image takes a quarter of a second */

static char folder[] = "/tmp/fuzz-locks-XXXXXX";
static struct nested_shares shares;

static const char *const folders[] = {"", "/ro", "/rw", "/other"};
static const char *const files[] = {"/ro/disk", "/rw/disk", "/rw/second", "/other/disk"};
static const char *const links[][2] = {{"../other/disk", "/rw/away"}, {"../ro/disk", "/rw/near"}, {"../other", "/ro/folder"}};

static const char *in_folder(const char *name)
{
    static char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s%s", folder, name);
    return path;
}

static void clean_up(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        unlink(in_folder(files[i]));
    for (size_t i = 0; i < ARRAY_SIZE(links); i++)
        unlink(in_folder(links[i][1]));
    for (size_t i = ARRAY_SIZE(folders); i-- > 0;)
        rmdir(in_folder(folders[i]));
}

static void share(const char *name, bool writable)
{
    struct nested_share *s = &shares.share[shares.count++];

    snprintf(s->path, sizeof(s->path), "%s", in_folder(name));
    s->writable = writable;
}

static void set_up(void)
{
    log_set_level(LOG_ERROR);
    if (!mkdtemp(folder))
        abort();
    atexit(clean_up);
    for (size_t i = 1; i < ARRAY_SIZE(folders); i++)
        mkdir(in_folder(folders[i]), 0700);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        FILE *file = fopen(in_folder(files[i]), "w");

        if (!file || ftruncate(fileno(file), KIB(64)) || fclose(file))
            abort();
    }
    for (size_t i = 0; i < ARRAY_SIZE(links); i++)
        if (symlink(links[i][0], in_folder(links[i][1])))
            abort();
    share("/ro", false);
    share("/rw", true);
}

/* With the folder's name; its size, or 0 if it becomes too long. */
static size_t expand(uint8_t *to, const uint8_t *data, size_t size)
{
    size_t length = strlen(folder), n = 0;

    for (size_t i = 0; i < size; i++) {
        if (n + length >= RELAY_LOCK_SIZE)
            return 0;
        if (data[i] == '@')
            memcpy(to + n, folder, length);
        else
            to[n] = data[i];
        n += data[i] == '@' ? length : 1;
    }
    return n;
}

static bool is_in(const char *path, const char *part)
{
    const char *whole = in_folder(part);

    return strncmp(path, whole, strlen(whole)) == 0;
}

static void check_granted(const uint8_t *request)
{
    const char *asked = (const char *)request + 1 + strlen((const char *)request + 1) + 1;
    bool writes = !(request[0] & (RELAY_READ_ONLY | RELAY_SNAPSHOT));
    char path[PATH_MAX];

    if (!(request[0] & RELAY_UNLOCK) && (!realpath(asked, path) || !(is_in(path, "/rw/") || (is_in(path, "/ro/") && !writes))))
        abort();
}

static void serve(struct nested_locks *locks, const uint8_t *data, size_t size)
{
    uint8_t expanded[RELAY_LOCK_SIZE], answer[RELAY_LOCK_SIZE];
    size_t n = expand(expanded, data, size), got;
    uint8_t *request = malloc(n + 1); /* of its size, so that ASan sees its end */

    memcpy(request, expanded, n);
    request = realloc(request, MAX(n, 1));
    got = nested_locks_serve(locks, &shares, request, n, answer);
    if (got < 5 || got > sizeof(answer) || answer[got - 1])
        abort();
    if (load_le32(answer) == 0)
        check_granted(request);
    free(request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nested_locks locks = {0};

    if (!shares.count)
        set_up();
    for (unsigned i = 0; i < MAX_REQUESTS && size >= 2; i++) {
        size_t part = MIN(load_le16(data), size - 2);

        serve(&locks, data + 2, part);
        data += 2 + part;
        size -= 2 + part;
    }
    nested_locks_fini(&locks);
    return 0;
}
