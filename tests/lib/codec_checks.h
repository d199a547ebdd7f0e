/* codec_checks.h - what every lossless picture codec must do. A failure ends the running cmocka test. */
#ifndef TESTS_LIB_CODEC_CHECKS_H
#define TESTS_LIB_CODEC_CHECKS_H

#include "base/bytes.h"
#include "tests/lib/pictures.h"

struct codec_under_test {
    const uint8_t *formats; /* that it takes */
    size_t format_count;
    int (*encode)(struct writer *w, const struct image *from);
    int (*peek)(const void *data, size_t size, struct image *shape);
    int (*decode)(void *to, const uint8_t *data, size_t size); /* to: struct image */
};

/* Encode a picture whose rows are `pad` bytes apart, look at the stream's head, decode it, compare. */
void codec_round_trip(const struct codec_under_test *codec, uint8_t format, uint32_t width, uint32_t height,
                      uint32_t pad, enum picture_content content);
/* Widths of 1 to 70 in all formats and contents. */
void codec_all_sizes(const struct codec_under_test *codec);
/* A writer with `room` bytes, too few for noise of width x height: the encoder says so and takes back what it wrote. */
void codec_writer_too_small(const struct codec_under_test *codec, uint32_t width, uint32_t height, size_t room);
/* Spoilt streams (picture_spoil): at most `whole` of the cut ones may decode. */
void codec_spoilt(const struct codec_under_test *codec, size_t whole);

#endif
