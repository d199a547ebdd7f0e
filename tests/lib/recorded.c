#include "tests/lib/recorded.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

uint64_t recorded_hash(const struct image *image)
{
    size_t row = image_row_bytes(image->format, image->width);
    uint64_t hash = 0xcbf29ce484222325;

    for (uint32_t y = 0; y < image->height; y++) {
        const uint8_t *p = image_row(image, y);

        for (size_t i = 0; i < row; i++) {
            uint8_t v = p[i];

            if (image->format == SPICE_BITMAP_FMT_32BIT && i % 4 == 3)
                v = 0;
            if (image->format == SPICE_BITMAP_FMT_16BIT && i % 2 == 1)
                v &= 0x7f;
            hash = (hash ^ v) * 0x100000001b3;
        }
    }
    return hash;
}

void recorded_write(struct writer *w, const struct recorded *record)
{
    writer_u8(w, record->type);
    writer_u8(w, record->format);
    writer_u8(w, record->content);
    writer_u8(w, 0);
    writer_u16(w, record->width);
    writer_u16(w, record->height);
    writer_u32(w, record->seed);
    writer_u32(w, record->extra);
    writer_u64(w, record->hash);
    writer_u32(w, record->size);
    writer_bytes(w, record->data, record->size);
}

uint8_t *recorded_load(const char *path, struct reader *r)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data;
    long size;

    if (!f || fseek(f, 0, SEEK_END) || (size = ftell(f)) < 0 || fseek(f, 0, SEEK_SET))
        die("cannot read %s (tests run in the top folder)", path);
    data = malloc((size_t)size + 1);
    if (!data || fread(data, 1, (size_t)size, f) != (size_t)size)
        die("cannot read %s", path);
    fclose(f);
    reader_init(r, data, (size_t)size);
    return data;
}

bool recorded_next(struct reader *r, struct recorded *record)
{
    if (!reader_left(r))
        return false;
    record->type = reader_u8(r);
    record->format = reader_u8(r);
    record->content = reader_u8(r);
    reader_u8(r);
    record->width = reader_u16(r);
    record->height = reader_u16(r);
    record->seed = reader_u32(r);
    record->extra = reader_u32(r);
    record->hash = reader_u64(r);
    record->size = reader_u32(r);
    record->data = reader_bytes(r, record->size);
    return !r->bad;
}
