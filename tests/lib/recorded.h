/*
 * recorded.h - pictures that another implementation encoded (tests/data/codec, made by tests/reference/record.c).
 *
 * A file is records: type u8, format u8, content u8, 0, width u16, height u16, seed u32, extra u32, hash u64, size u32,
 * then the stream. The hash is of the pixels drawn (recorded_hash()), 0 for a lossy type.
 */
#ifndef TESTS_LIB_RECORDED_H
#define TESTS_LIB_RECORDED_H

#include "base/bytes.h"
#include "tests/lib/pictures.h"

struct recorded {
    uint8_t type;    /* SPICE_IMAGE_TYPE_* */
    uint8_t format;  /* of the picture that was drawn */
    uint8_t content; /* what was drawn: picture_draw(content, seed) */
    uint16_t width, height;
    uint32_t seed;
    uint32_t extra; /* JPEG_ALPHA: bytes of the JPEG; ZLIB_GLZ_RGB: bytes of the GLZ stream */
    uint64_t hash;
    uint32_t size;
    const uint8_t *data;
};

/* FNV-1a over the rows without padding and without ignored bits. */
uint64_t recorded_hash(const struct image *image);
void recorded_write(struct writer *w, const struct recorded *record);
/* The whole file, on the heap; ends the program if it cannot be read. */
uint8_t *recorded_load(const char *path, struct reader *r);
/* The next record; false at the end. `data` points into the reader's. */
bool recorded_next(struct reader *r, struct recorded *record);

#endif
