#include "vmm/image_tool.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>

static const char *const formats[] = {"raw", "qcow2", NULL};

static int set_choice(const char *value, const char *const *names, const char **field)
{
    int chosen = parse_choice(value, names);

    if (chosen < 0)
        return chosen;
    *field = names[chosen];
    return 0;
}

static int set_format(void *args, const char *value)
{
    return set_choice(value, formats, &((struct image_args *)args)->format);
}

static int set_to_format(void *args, const char *value)
{
    return set_choice(value, formats, &((struct image_args *)args)->to_format);
}

static int set_backing_format(void *args, const char *value)
{
    return set_choice(value, formats, &((struct image_args *)args)->backing_format);
}

static int set_backing(void *args, const char *value)
{
    ((struct image_args *)args)->backing = value;
    return 0;
}

static int set_snapshot(void *args, const char *value)
{
    ((struct image_args *)args)->snapshot = value;
    return 0;
}

static int set_repair(void *args, const char *value)
{
    static const char *const names[] = {"none", "leaks", "all", NULL};
    int chosen = parse_choice(value, names);

    if (chosen >= 0)
        ((struct image_args *)args)->repair = (enum qcow2_repair)chosen;
    return MIN(chosen, 0);
}

static int set_cluster_size(void *args, const char *value)
{
    uint64_t bytes;
    int err = parse_size(value, 1, &bytes);

    if (!err && (!IS_POWER_OF_2(bytes) || bytes < 512 || bytes > MIB(2)))
        err = fail(-EINVAL, "'%s' is not a power of two from 512 to 2M", value);
    if (!err)
        ((struct image_args *)args)->qcow2.cluster_bits = (unsigned)__builtin_ctzll(bytes);
    return err;
}

static int set_refcount_bits(void *args, const char *value)
{
    uint64_t bits;
    int err = parse_unsigned(value, 1, 64, &bits);

    if (!err && !IS_POWER_OF_2(bits))
        err = fail(-EINVAL, "'%s' is not one of 1, 2, 4, 8, 16, 32, 64", value);
    if (!err)
        ((struct image_args *)args)->qcow2.refcount_bits = (unsigned)bits;
    return err;
}

static int set_version(void *args, const char *value)
{
    uint64_t version;
    int err = parse_unsigned(value, 2, 3, &version);

    if (!err)
        ((struct image_args *)args)->qcow2.version = (unsigned)version;
    return err;
}

static int set_compression(void *args, const char *value)
{
    static const char *const names[] = {"zlib", "zstd", NULL};
    int chosen = parse_choice(value, names);

    if (chosen >= 0)
        ((struct image_args *)args)->qcow2.zstd = chosen;
    return MIN(chosen, 0);
}

static int set_lazy_refcounts(void *args, const char *value UNUSED)
{
    ((struct image_args *)args)->qcow2.lazy_refcounts = true;
    return 0;
}

#define SWITCH(field)                                                                                                  \
    static int set_##field(void *args, const char *value UNUSED)                                                       \
    {                                                                                                                  \
        ((struct image_args *)args)->field = true;                                                                     \
        return 0;                                                                                                      \
    }
SWITCH(json)
SWITCH(chain)
SWITCH(shared)
SWITCH(force)
SWITCH(shrink)
SWITCH(compress)
SWITCH(keep)
SWITCH(trust_backing)

#define ROW(field, name, arg, help, set) const struct option_def IMAGE_OPTION(field) = {name, arg, help, set}
ROW(format, "format", "raw|qcow2", "the image's format, instead of what its content says", set_format);
ROW(from, "from", "raw|qcow2", "the format of SOURCE, instead of what its content says", set_format);
ROW(to, "to", "raw|qcow2", "the format of TARGET; qcow2", set_to_format);
ROW(new_format, "format", "raw|qcow2", "the new image's format; qcow2", set_to_format);
ROW(json, "json", NULL, "print JSON, with the names that qemu-img uses", set_json);
ROW(chain, "chain", NULL, "the backing files, too", set_chain);
ROW(shared, "shared", NULL, "even while another process writes to the image", set_shared);
ROW(repair, "repair", "leaks|all", "free what leaks; all: also rebuild wrong refcounts", set_repair);
ROW(force, "force", NULL, "write over a file that is there, or to a block device", set_force);
ROW(shrink, "shrink", NULL, "allow a smaller size: what lies past it is lost", set_shrink);
ROW(compress, "compress", NULL, "write compressed clusters", set_compress);
ROW(keep, "keep", NULL, "leave the image as it is, instead of emptying it", set_keep);
ROW(trust_backing, "trust-backing", NULL, "backing files may lie outside the folder of the image that names them",
    set_trust_backing);
ROW(snapshot, "snapshot", "NAME", "copy what this internal snapshot holds", set_snapshot);
ROW(backing, "backing", "FILE", "put the new image over this one, as seen from the new image's folder", set_backing);
ROW(backing_format, "backing-format", "raw|qcow2", "the format of --backing", set_backing_format);
ROW(cluster_size, "cluster-size", "BYTES", "of qcow2: 512 to 2M; 64K", set_cluster_size);
ROW(refcount_bits, "refcount-bits", "N", "of qcow2: 1, 2, 4, 8, 16, 32, 64; 16", set_refcount_bits);
ROW(version, "version", "2|3", "of qcow2; 3", set_version);
ROW(compression, "compression", "zlib|zstd", "of qcow2's compressed clusters; zlib", set_compression);
ROW(lazy_refcounts, "lazy-refcounts", NULL, "programs may keep qcow2's refcounts in memory", set_lazy_refcounts);
