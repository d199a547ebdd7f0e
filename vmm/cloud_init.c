#include "vmm/cloud_init.h"

#include "base/error.h"
#include "base/file.h"
#include "vmm/fat.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LABEL "cidata"
#define HOST_NAME_MAX_BYTES 63

static const char *const names[CLOUD_PARTS] = {"user-data", "meta-data", "network-config", "vendor-data"};

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool cloud_init_file(const char *source, enum cloud_init_part part, char path[PATH_MAX])
{
    if (!is_folder(source))
        return part == CLOUD_USER_DATA && snprintf(path, PATH_MAX, "%s", source) < PATH_MAX;
    return snprintf(path, PATH_MAX, "%s/%s", source, names[part]) < PATH_MAX &&
           (part == CLOUD_USER_DATA || access(path, F_OK) == 0);
}

/* A part's content; one that is not there has none, and so has an empty one. */
static int read_part(const char *source, enum cloud_init_part part, struct writer *w)
{
    char path[PATH_MAX];
    struct stat st;
    struct file file;
    int err;

    writer_init(w, CLOUD_INIT_FILE_MAX);
    if (!cloud_init_file(source, part, path) || (part != CLOUD_USER_DATA && stat(path, &st) == 0 && !st.st_size))
        return 0;
    err = file_open(&file, "cloud-init's", path);
    if (err)
        return err;
    if (file.size > CLOUD_INIT_FILE_MAX) {
        err = fail(-EFBIG, "cloud-init's '%s' is larger than 1 MiB", path);
    } else {
        uint8_t *to = writer_extend(w, file.size);

        err = to ? file_read(&file, to, file.size, 0) : -ENOMEM;
    }
    file_close(&file);
    return err;
}

static int hash_parts(const struct writer *parts, const uint8_t uuid[UUID_SIZE], uint8_t digest[EVP_MAX_MD_SIZE])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) && EVP_DigestUpdate(ctx, uuid, UUID_SIZE);
    int i;

    for (i = 0; i < CLOUD_PARTS; i++)
        ok = ok && EVP_DigestUpdate(ctx, &parts[i].size, sizeof(parts[i].size)) &&
             EVP_DigestUpdate(ctx, parts[i].data, parts[i].size);
    ok = ok && EVP_DigestFinal_ex(ctx, digest, NULL);
    EVP_MD_CTX_free(ctx);
    return ok ? 0 : -ENOMEM;
}

/* What of the name can be a host name: up to the first dot, letters, digits and hyphens. */
static void make_host_name(const char *name, char *host)
{
    size_t n;

    for (n = 0; name[n] && name[n] != '.' && n < HOST_NAME_MAX_BYTES; n++)
        host[n] = isalnum((unsigned char)name[n]) ? name[n] : '-';
    while (n && host[n - 1] == '-')
        n--;
    host[n] = 0;
    if (!n || host[0] == '-')
        strcpy(host, "minivm");
}

static int make_meta_data(struct writer *parts, const char *name, const uint8_t uuid[UUID_SIZE])
{
    char host[HOST_NAME_MAX_BYTES + 1], text[160];
    uint8_t digest[EVP_MAX_MD_SIZE];
    int err = hash_parts(parts, uuid, digest), n;

    if (err)
        return err;
    make_host_name(name, host);
    n = snprintf(text, sizeof(text), "instance-id: iid-%016llx\nlocal-hostname: %s\n",
                 (unsigned long long)load_be64(digest), host);
    writer_bytes(&parts[CLOUD_META_DATA], text, (size_t)n);
    return 0;
}

/* The parts that there are, as a volume in `image`. */
static int make_volume(const struct writer *parts, struct writer *image)
{
    struct fat_file files[CLOUD_PARTS];
    unsigned count = 0;
    int i;

    for (i = 0; i < CLOUD_PARTS; i++)
        if (parts[i].size)
            files[count++] = (struct fat_file){names[i], parts[i].data, parts[i].size};
    return fat_write(image, LABEL, files, count);
}

static int save(const struct writer *image)
{
    int fd = memfd_create("cidata", MFD_CLOEXEC);

    if (fd < 0 || write(fd, image->data, image->size) == (ssize_t)image->size)
        return fd < 0 ? -errno : fd;
    close(fd);
    return fail(-ENOSPC, "cloud-init's volume: out of memory");
}

int cloud_init_create(const char *source, const char *name, const uint8_t uuid[UUID_SIZE])
{
    struct writer parts[CLOUD_PARTS] = {0}, image;
    int err = 0, i;

    writer_init(&image, FAT_MAX_IMAGE);
    for (i = 0; i < CLOUD_PARTS && !err; i++)
        err = read_part(source, i, &parts[i]);
    if (!err && !parts[CLOUD_META_DATA].size)
        err = make_meta_data(parts, name, uuid);
    if (!err)
        err = make_volume(parts, &image);
    if (!err)
        err = save(&image);
    for (i = 0; i < CLOUD_PARTS; i++)
        writer_fini(&parts[i]);
    writer_fini(&image);
    return err;
}
