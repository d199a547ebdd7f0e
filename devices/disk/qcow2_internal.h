/*
 * qcow2_internal.h - what the parts of the qcow2 driver share. (QEMU's docs/interop/qcow2.txt is the specification.)
 *
 * Thread: the disk's loop; what may wait runs in a fiber.
 *
 * What is where:
 *   qcow2_header.c      header and extensions
 *   qcow2_open.c        opening, and the table of operations
 *   qcow2_table.c       the two tables held in memory: L1 and refcount table
 *   qcow2_cache.c       pieces ("slices") of L2 tables and refcount blocks
 *   qcow2_map.c         guest offset -> what is there
 *   qcow2_alloc.c       host clusters: refcounts, allocation, frees
 *   qcow2_grow.c        more refcount blocks, a bigger refcount table
 *   qcow2_sync.c        the order in which dirty metadata reaches the file
 *   qcow2_check.c       what metadata may be where; the corrupt mark
 *   qcow2_read.c, qcow2_write.c, qcow2_zero.c, qcow2_compressed.c    requests
 *   qcow2_compress.c    compressed clusters, written
 *   qcow2_create.c      new images
 *   qcow2_snapshots.c   the snapshot table;   qcow2_snapshot.c   making, applying and deleting snapshots
 *   qcow2_walk.c        counts of all that an L1 table refers to
 *   qcow2_resize.c      another size, and nothing at all
 *   qcow2_count.c       all references, counted;   qcow2_repair.c   written as refcounts;   qcow2_audit.c   compared
 *
 * Crash safety, in one place (qcow2_sync()): changes of metadata stay in memory until a flush, or until too many have
 * gathered, and then reach the file in this order, a sync between the steps: refcounts and finished data; then the
 * refcount table (only if it changed); then L2 and L1 tables. So whatever a table on disk points to is counted and
 * written. References that went away are counted down only after that, when the tables that no longer have them are
 * durable and no request that could have seen them is in flight. A crash at any point leaves clusters that are counted
 * and unused (leaks), never the reverse.
 */
#ifndef DEVICES_DISK_QCOW2_INTERNAL_H
#define DEVICES_DISK_QCOW2_INTERNAL_H

#include "base/bytes.h"
#include "devices/disk/qcow2.h"
#include "devices/disk/qcow2_tool.h"

#include <sys/queue.h>

#define QCOW2_MAGIC              0x514649fbu
#define QCOW2_MIN_CLUSTER_BITS   9
#define QCOW2_MAX_CLUSTER_BITS   21
#define QCOW2_MAX_L1_BYTES       MIB(32)
#define QCOW2_MAX_REFTABLE       MIB(8)
#define QCOW2_MAX_SNAPSHOT_DIR   MIB(4)
#define QCOW2_MAX_BITMAP_DIR     MIB(4)
#define QCOW2_MAX_REFCOUNT_ORDER 6
#define QCOW2_SECTOR             512 /* tables are written in units of this */

enum {
    QCOW2_INCOMPAT_DIRTY = 1,
    QCOW2_INCOMPAT_CORRUPT = 2,
    QCOW2_INCOMPAT_DATA_FILE = 4,
    QCOW2_INCOMPAT_COMPRESSION = 8,
    QCOW2_INCOMPAT_EXTENDED_L2 = 16,
};

/* Bits of L1 and L2 entries. */
#define QCOW2_COPIED      (UINT64_C(1) << 63) /* refcount is 1: may be written in place */
#define QCOW2_COMPRESSED  (UINT64_C(1) << 62)
#define QCOW2_ZERO        UINT64_C(1)
#define QCOW2_OFFSET_MASK UINT64_C(0x00fffffffffffe00)

struct qcow2_header {
    uint32_t version, cluster_bits, crypt, l1_count, refcount_clusters, snapshots, refcount_order;
    uint32_t backing_bytes, length;
    uint64_t size, backing_offset, l1_offset, refcount_offset, snapshot_offset;
    uint64_t incompatible, compatible, autoclear;
    bool zstd;        /* compressed clusters */
    uint32_t bitmaps; /* that are in force */
    uint64_t bitmap_offset, bitmap_bytes;
};

enum { QCOW2_AUTOCLEAR_BITMAPS = 1 };

/* A table that is held in memory whole; entries in host order. */
struct qcow2_table {
    uint64_t *entries;
    uint32_t count;
    uint64_t offset; /* in the file */
    uint8_t *dirty;  /* a flag for each sector */
    bool any_dirty;
};

enum qcow2_kind { QCOW2_L2, QCOW2_REFCOUNTS };

/* Part of an L2 table or of a refcount block, as it is in the file. */
struct qcow2_slice {
    uint64_t offset; /* in the file */
    enum qcow2_kind kind;
    bool loading, dirty;
    unsigned pins;
    uint8_t *data;
    LIST_ENTRY(qcow2_slice) bucket;
    TAILQ_ENTRY(qcow2_slice) use;
};

#define QCOW2_BUCKETS 2048

struct qcow2_cache {
    LIST_HEAD(, qcow2_slice) buckets[QCOW2_BUCKETS];
    TAILQ_HEAD(, qcow2_slice) slices; /* least recently used first */
    unsigned bits;                    /* log2 of a slice's size */
    unsigned count, max;
    unsigned dirty[2]; /* slices, by kind */
    struct fiber_list loaded;
};

/* A write that is putting data into clusters which its L2 entries do not show yet. */
struct qcow2_allocation {
    uint64_t start, end; /* of the guest's bytes, whole clusters */
    LIST_ENTRY(qcow2_allocation) link;
};

/* A piece of the file that lost a reference. */
struct qcow2_freed {
    uint64_t offset, bytes;
    bool punch;
};

struct qcow2_freed_list {
    struct qcow2_freed *items;
    size_t count, capacity;
};

struct qcow2_inflated; /* a cluster that was decompressed, kept for the next reads */
#define QCOW2_INFLATED 8

struct qcow2 {
    struct image image;
    struct qcow2_header header;
    uint8_t header_sector[QCOW2_SECTOR]; /* the file's first, for changes */
    uint64_t cluster_size;
    unsigned cluster_bits, l2_bits; /* l2_bits: log2 of entries in an L2 table */
    struct qcow2_table l1, reftable;
    struct qcow2_snapshots snapshots; /* loaded by those who write */
    struct qcow2_cache cache;
    struct fiber_lock lock; /* held for changes of metadata */
    LIST_HEAD(, qcow2_allocation) allocations;
    struct fiber_list allocated; /* waiting for an allocation to end */
    uint64_t next_free;          /* cluster to begin the search at */
    uint64_t fresh_from; /* bytes; past this the file was never written, and reads as zeroes */
    uint64_t extend_from; /* fresh_from must be more for the file to be made longer ahead of it */
    struct qcow2_freed_list freed; /* since the last sync */
    struct qcow2_freed_list
        released; /* durable; counted down when requests up to release_after are done */
    uint64_t release_after;
    uint8_t *filter; /* bits: clusters that may be L2 tables or refcount blocks */
    uint64_t filter_mask;
    uint64_t packed_at, packed_end; /* where the next compressed cluster goes, and how far there is room */
    bool corrupt;
    struct qcow2_inflated *inflated[QCOW2_INFLATED];
    struct fiber_list inflated_waiters;
    uint64_t inflated_clock;
};

static inline struct qcow2 *qcow2_of(struct image *image)
{
    return container_of(image, struct qcow2, image);
}

/* qcow2_header.c */
int qcow2_parse_header(const struct disk_file *file, const char *path, struct qcow2_header *h,
                       char *backing_name, char *backing_format);
/* Write the first sector: in a fiber, or blocking while there is no I/O engine. */
int qcow2_write_header(struct qcow2 *q);

/* qcow2_snapshots.c */
int qcow2_snapshots_load(struct qcow2_snapshots *list, const struct disk_file *file, const struct qcow2_header *h,
                         const char *path);
/* Its L1 table may be where it says. */
bool qcow2_snapshot_l1_plausible(const struct qcow2 *q, const struct qcow2_snapshot *s);
/* A new table: `list` without one and with another (NULL: none), which gets an id. To be freed, also after an error. */
int qcow2_snapshots_encode(const struct qcow2_snapshots *list, const struct qcow2_snapshot *without,
                           const struct qcow2_snapshot *with, uint8_t **table, uint64_t *bytes);

/* qcow2_walk.c; the lock is held. Each may sync in between, so that the image should be marked dirty. */
/* Count everything that l1 refers to up or down. If counting up fails, all is as it was. */
int qcow2_change_refs(struct qcow2 *q, const struct qcow2_table *l1, int by);
/* Give back a table that nothing shows any more. */
int qcow2_drop_run(struct qcow2 *q, uint64_t offset, uint64_t bytes);
/* Make the COPIED bits of the disk agree with the counts. */
int qcow2_right_bits(struct qcow2 *q);

/* qcow2_snapshot.c: l1 becomes the disk's table, and becomes the old one. The lock is held. */
int qcow2_switch_l1(struct qcow2 *q, struct qcow2_table *l1, uint64_t size);

/* qcow2_open.c */
int qcow2_load_reftable(struct qcow2 *q);

/* qcow2_table.c */
int qcow2_table_load(struct qcow2_table *t, const struct disk_file *file, uint64_t offset,
                     uint32_t count);
/* With `count` entries: cut off, or 0 at the end. */
int qcow2_table_copy(struct qcow2_table *to, const struct qcow2_table *from, uint32_t count);
/* Entries of the L1 table of a disk of `size` bytes. */
uint64_t qcow2_l1_needed(const struct qcow2 *q, uint64_t size);
void qcow2_table_set(struct qcow2_table *t, uint32_t index, uint64_t value);
int qcow2_table_write(struct qcow2 *q, struct qcow2_table *t);
void qcow2_table_free(struct qcow2_table *t);

/* qcow2_cache.c */
int qcow2_cache_init(struct qcow2 *q);
void qcow2_cache_fini(struct qcow2 *q);
/* The slice that holds byte `offset`, pinned; loaded if need be. */
int qcow2_cache_get(struct qcow2 *q, uint64_t offset, enum qcow2_kind kind,
                    struct qcow2_slice **slice);
/* The same for a slice whose bytes in the file are known to be zeroes. */
int qcow2_cache_get_zeroed(struct qcow2 *q, uint64_t offset, enum qcow2_kind kind,
                           struct qcow2_slice **slice);
/* Without waiting, not pinned; NULL if it is not there. */
struct qcow2_slice *qcow2_cache_peek(struct qcow2 *q, uint64_t offset, enum qcow2_kind kind);
void qcow2_cache_put(struct qcow2_slice *slice);
void qcow2_cache_dirty(struct qcow2 *q, struct qcow2_slice *slice);
bool qcow2_cache_full(const struct qcow2 *q); /* of dirty slices: time to sync */
int qcow2_cache_write(struct qcow2 *q, enum qcow2_kind kind);
/* A cluster's bytes now have another use. */
void qcow2_cache_forget(struct qcow2 *q, uint64_t offset, uint64_t bytes);

/* qcow2_map.c */
enum qcow2_type {
    QCOW2_TYPE_ABSENT,    /* the backing image's */
    QCOW2_TYPE_ZERO,      /* zeroes, without a cluster */
    QCOW2_TYPE_ZERO_HELD, /* zeroes, and a cluster of its own at `host` */
    QCOW2_TYPE_DATA,
    QCOW2_TYPE_COMPRESSED,
};

struct qcow2_mapping {
    enum qcow2_type type;
    bool copied;
    uint64_t entry; /* the first cluster's L2 entry */
    uint64_t host;  /* of the byte asked for: DATA, ZERO_HELD */
    uint64_t bytes; /* how far it goes on like that */
};

/* What is at [offset, offset + bytes); mapping->bytes is at most bytes. */
int qcow2_map(struct qcow2 *q, uint64_t offset, uint64_t bytes, struct qcow2_mapping *m);
bool qcow2_map_now(struct qcow2 *q, uint64_t offset, uint64_t bytes, struct qcow2_mapping *m);
void qcow2_map_slice(struct qcow2 *q, const struct qcow2_slice *slice, uint64_t offset,
                     uint64_t bytes, struct qcow2_mapping *m);
enum qcow2_type qcow2_entry_type(const struct qcow2 *q, uint64_t entry);
void qcow2_compressed_place(const struct qcow2 *q, uint64_t entry, uint64_t *offset,
                            uint64_t *bytes);
/* The slice of an L2 table that this image alone uses, made if need be; the lock is held. */
int qcow2_slice_for_write(struct qcow2 *q, uint64_t offset, struct qcow2_slice **slice);
/* Entries of a slice. */
static inline unsigned qcow2_slice_entries(const struct qcow2 *q)
{
    return 1u << (q->cache.bits - 3);
}
static inline unsigned qcow2_slice_index(const struct qcow2 *q, uint64_t offset)
{
    return (unsigned)(offset >> q->cluster_bits) & (qcow2_slice_entries(q) - 1);
}
static inline uint64_t qcow2_slice_entry(const struct qcow2_slice *s, unsigned i)
{
    return load_be64(s->data + 8 * i);
}
void qcow2_set_entry(struct qcow2 *q, struct qcow2_slice *slice, unsigned index, uint64_t entry);

/* qcow2_alloc.c; the lock is held */
static inline uint64_t qcow2_refs_per_block(const struct qcow2 *q)
{
    return (q->cluster_size * 8) >> q->header.refcount_order;
}
uint64_t qcow2_load_ref(const uint8_t *data, uint64_t index, unsigned order);
void qcow2_store_ref(uint8_t *data, uint64_t index, unsigned order, uint64_t value);
uint64_t qcow2_max_ref(unsigned order);
/* Count a cluster that is in use up or down, or with 0 just tell its count; -EOVERFLOW: it is at its most. */
int qcow2_change_ref(struct qcow2 *q, uint64_t cluster, int by, uint64_t *now);
/* Some clusters in a row, at least one and at most `want`. `fresh`: the file reads as zeroes there. */
int qcow2_allocate(struct qcow2 *q, uint64_t want, uint64_t *host, uint64_t *got, bool *fresh);
/* Exactly so many in a row; -EFBIG: more than a refcount block counts. */
int qcow2_allocate_run(struct qcow2 *q, uint64_t clusters, uint64_t *host);
/* Take back what was allocated and never referenced. */
void qcow2_unallocate(struct qcow2 *q, uint64_t host, uint64_t clusters);
/* An L2 entry, or a table's cluster, lost its reference in memory. */
void qcow2_free_later(struct qcow2 *q, uint64_t offset, uint64_t bytes, bool punch);
void qcow2_free_entry(struct qcow2 *q, uint64_t entry, bool punch);
/* image_ops.settle: count down what is released. */
void qcow2_settle(struct image *image);

/* qcow2_grow.c; the lock is held */
int qcow2_add_refblock(struct qcow2 *q, uint64_t cluster);
/* How many refcount blocks cover themselves and `clusters` more, all from cluster `first` on. */
uint64_t qcow2_blocks_for(uint64_t first, uint64_t clusters, uint64_t refs_per_block);

/* qcow2_sync.c */
int qcow2_sync(struct qcow2 *q); /* the lock is held */
/* All that was changed so far becomes durable; then the header, which shows it. The lock is held. */
int qcow2_switch_header(struct qcow2 *q);
/* Set or clear the dirty bit, durably; nothing in version 2. */
int qcow2_set_dirty(struct qcow2 *q, bool dirty);
int qcow2_flush(struct image *image);
int qcow2_sync_all(struct image *image);

/* qcow2_check.c */
int qcow2_filter_init(struct qcow2 *q);
void qcow2_filter_add(struct qcow2 *q, uint64_t offset);
void qcow2_filter_add_snapshots(struct qcow2 *q);
/* Does the range touch the header, a table, a block? */
bool qcow2_is_metadata(const struct qcow2 *q, uint64_t offset, uint64_t bytes);
bool qcow2_is_fixed_metadata(const struct qcow2 *q, uint64_t offset, uint64_t bytes);
/* L1 table, refcount table and snapshot table do not overlap. */
bool qcow2_fixed_apart(const struct qcow2 *q);
/* A table or block of `kind` may be at this offset. */
bool qcow2_plausible(const struct qcow2 *q, uint64_t offset, enum qcow2_kind kind);
/* Say why, mark the image, let nothing be written any more; returns -EIO. In a fiber. */
int qcow2_mark_corrupt(struct qcow2 *q, const char *why);

/* qcow2_read.c, qcow2_write.c, qcow2_zero.c */
int qcow2_read(struct image *image, uint64_t offset, uint64_t bytes, const struct scatter *data);
int qcow2_write(struct image *image, uint64_t offset, uint64_t bytes, const struct scatter *data);
int qcow2_zero(struct image *image, uint64_t offset, uint64_t bytes, bool unmap);
int qcow2_discard(struct image *image, uint64_t offset, uint64_t bytes);
/* Whole clusters, from the one after `offset` to the one of `end`: the image has them no more. */
int qcow2_cut(struct image *image, uint64_t offset, uint64_t end);
int qcow2_extent(struct image *image, uint64_t offset, uint64_t bytes, struct image_extent *e);
/* Does the mapping read as zeroes, whatever is behind the image? */
bool qcow2_reads_as_zero(const struct qcow2 *q, const struct qcow2_mapping *m, uint64_t offset);

/* qcow2_compressed.c */
int qcow2_read_compressed(struct qcow2 *q, uint64_t entry, uint64_t skip, uint64_t bytes,
                          const struct scatter *data);
void qcow2_compressed_forget(struct qcow2 *q, uint64_t offset, uint64_t bytes);
void qcow2_compressed_fini(struct qcow2 *q);

/* qcow2_compress.c */
int qcow2_write_compressed(struct image *image, uint64_t offset, const void *data);

/* qcow2_repair.c: blocking, before the image is used */
int qcow2_repair(struct qcow2 *q, const char *path);

#endif
