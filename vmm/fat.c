#include "vmm/fat.h"

#include <errno.h>
#include <stdio.h>

#define SECTOR 512u
#define CLUSTER_SECTORS 4u
#define CLUSTER (CLUSTER_SECTORS * SECTOR)
#define FATS 2u
#define FAT_SECTORS 12u /* 4096 entries of 12 bits */
#define ROOT_ENTRIES 64u
#define ENTRY 32u
#define CLUSTERS_MAX 4084u /* more would be FAT16 */
#define CLUSTERS_MIN 64u
#define FIRST_CLUSTER 2u
#define END_OF_CHAIN 0xfffu
#define MEDIA 0xf8u /* a fixed disk */
#define DATE 0x5821 /* 1 January 2024: what differs between two volumes shall be their files */
#define NAME_CHUNK 13u

enum attribute { READ_ONLY = 1, VOLUME = 8, LONG_NAME = 0x0f };

static unsigned clusters_of(size_t size)
{
    return (unsigned)DIV_ROUND_UP(size, CLUSTER);
}

static void fill(struct writer *w, size_t to)
{
    while (w->size < to && !w->bad)
        writer_u8(w, 0);
}

/* `text`, then blanks. */
static void padded(struct writer *w, const char *text, size_t size)
{
    char field[12];

    snprintf(field, sizeof(field), "%-11s", text);
    writer_bytes(w, field, size);
}

static void write_boot_sector(struct writer *w, const char *label, unsigned clusters)
{
    size_t start = w->size;
    unsigned sectors = 1 + FATS * FAT_SECTORS + ROOT_ENTRIES * ENTRY / SECTOR + clusters * CLUSTER_SECTORS;

    writer_bytes(w, "\xeb\x3c\x90minivm  ", 11);
    writer_u16(w, SECTOR);
    writer_u8(w, CLUSTER_SECTORS);
    writer_u16(w, 1); /* this sector */
    writer_u8(w, FATS);
    writer_u16(w, ROOT_ENTRIES);
    writer_u16(w, (uint16_t)sectors);
    writer_u8(w, MEDIA);
    writer_u16(w, FAT_SECTORS);
    writer_u16(w, 32); /* sectors a track, heads: nobody asks */
    writer_u16(w, 64);
    writer_u32(w, 0);
    writer_u32(w, 0);
    writer_u8(w, 0x80);
    writer_u8(w, 0);
    writer_u8(w, 0x29); /* what follows is there */
    writer_u32(w, 0x6d696e69);
    padded(w, label, 11);
    padded(w, "FAT12", 8);
    fill(w, start + SECTOR - 2);
    writer_u16(w, 0xaa55);
}

static void set_entry(uint8_t *fat, unsigned n, unsigned value)
{
    uint8_t *p = fat + n * 3 / 2;

    store_le16(p, n % 2 ? (uint16_t)((load_le16(p) & 0x000f) | value << 4)
                        : (uint16_t)((load_le16(p) & 0xf000) | value));
}

/* Each file's clusters follow one another. */
static void write_fat(struct writer *w, const struct fat_file *files, unsigned count)
{
    uint8_t fat[FAT_SECTORS * SECTOR] = {0};
    unsigned next = FIRST_CLUSTER, i, left;

    set_entry(fat, 0, 0xf00 | MEDIA);
    set_entry(fat, 1, END_OF_CHAIN);
    for (i = 0; i < count; i++)
        for (left = clusters_of(files[i].size); left; left--, next++)
            set_entry(fat, next, left == 1 ? END_OF_CHAIN : next + 1);
    for (i = 0; i < FATS; i++)
        writer_bytes(w, fat, sizeof(fat));
}

static void write_entry(struct writer *w, const char name[11], uint8_t attributes, unsigned cluster, size_t size)
{
    static const uint8_t times[8] = {0};

    writer_bytes(w, name, 11);
    writer_u8(w, attributes);
    writer_bytes(w, times, 4); /* reserved, time of creation */
    writer_u16(w, DATE);
    writer_u16(w, DATE);
    writer_u16(w, 0);
    writer_u16(w, 0);
    writer_u16(w, DATE);
    writer_u16(w, (uint16_t)cluster);
    writer_u32(w, (uint32_t)size);
}

static uint8_t checksum(const char name[11])
{
    uint8_t sum = 0;
    unsigned i;

    for (i = 0; i < 11; i++)
        sum = (uint8_t)((sum >> 1 | sum << 7) + (uint8_t)name[i]);
    return sum;
}

/* The character at `at` of a long name: after the end a zero, then ones. */
static uint16_t name_char(const char *name, size_t at)
{
    size_t length = strlen(name);

    return at < length ? (uint8_t)name[at] : at == length ? 0 : 0xffff;
}

/* The last part comes first. */
static void write_long_name(struct writer *w, const char *name, const char alias[11])
{
    unsigned parts = (unsigned)DIV_ROUND_UP(strlen(name), NAME_CHUNK), part, i;

    for (part = parts; part > 0; part--) {
        size_t at = (part - 1) * NAME_CHUNK;

        writer_u8(w, (uint8_t)(part | (part == parts ? 0x40 : 0)));
        for (i = 0; i < 5; i++)
            writer_u16(w, name_char(name, at + i));
        writer_u8(w, LONG_NAME);
        writer_u8(w, 0);
        writer_u8(w, checksum(alias));
        for (; i < 11; i++)
            writer_u16(w, name_char(name, at + i));
        writer_u16(w, 0);
        for (; i < NAME_CHUNK; i++)
            writer_u16(w, name_char(name, at + i));
    }
}

static void write_root(struct writer *w, const char *label, const struct fat_file *files, unsigned count)
{
    size_t start = w->size;
    unsigned next = FIRST_CLUSTER, i;
    char alias[12];

    snprintf(alias, sizeof(alias), "%-11s", label);
    write_entry(w, alias, VOLUME, 0, 0);
    for (i = 0; i < count; i++) {
        unsigned clusters = clusters_of(files[i].size);

        snprintf(alias, sizeof(alias), "FILE~%u     ", i % 10);
        write_long_name(w, files[i].name, alias);
        write_entry(w, alias, READ_ONLY, clusters ? next : 0, files[i].size);
        next += clusters;
    }
    fill(w, start + ROOT_ENTRIES * ENTRY);
}

int fat_write(struct writer *w, const char *label, const struct fat_file *files, unsigned count)
{
    unsigned clusters = 0, i;
    size_t total = 0, start;

    for (i = 0; i < count; i++) {
        if (count > FAT_MAX_FILES || strlen(files[i].name) > FAT_MAX_NAME || files[i].size > FAT_MAX_CONTENT - total)
            return -E2BIG;
        total += files[i].size;
        clusters += clusters_of(files[i].size);
    }
    clusters = CLAMP(clusters, CLUSTERS_MIN, CLUSTERS_MAX);
    write_boot_sector(w, label, clusters);
    write_fat(w, files, count);
    write_root(w, label, files, count);
    start = w->size;
    for (i = 0; i < count; i++) {
        writer_bytes(w, files[i].data, files[i].size);
        while (!w->bad && (w->size - start) % CLUSTER)
            writer_u8(w, 0);
    }
    fill(w, start + clusters * (size_t)CLUSTER);
    return w->bad ? -ENOMEM : 0;
}
