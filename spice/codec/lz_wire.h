/* lz_wire.h - what LZ's encoder and decoder share; GLZ streams begin with the same magic and version. */
#ifndef SPICE_CODEC_LZ_WIRE_H
#define SPICE_CODEC_LZ_WIRE_H

#include "spice/codec/lz.h"
#include "spice/codec/sink.h"

#define LZ_MAGIC        0x20205a4cu
#define LZ_VERSION      0x00010001u
#define LZ_HEADER_BYTES 28
#define LZ_MAX_LITERALS 32
#define LZ_LONG_LENGTH  7
#define LZ_FAR          8191 /* distance - 1 from which on two more bytes say it */
#define LZ_MAX_DISTANCE (LZ_FAR + 65535 + 1)

#define LZ_HASH_BITS 14

struct lz {
    uint32_t table[1 << LZ_HASH_BITS]; /* hash of the next pixels -> epoch + position */
    uint32_t epoch;                    /* places below it belong to earlier pictures */
    struct scratch pixels, plane;
};

/* How the pixels of one pass are kept in memory and written. */
struct lz_kind {
    unsigned element; /* bytes of a pixel in memory */
    unsigned literal; /* bytes of one on the wire */
    unsigned bias;    /* added to a match's length on the wire */
};

#define LZ_BYTES  ((struct lz_kind){1, 1, 2})
#define LZ_WORDS  ((struct lz_kind){2, 2, 1})
#define LZ_COLORS ((struct lz_kind){4, 3, 0})

/* The format that a type's pixels have in memory; XXXA counts as RGBA. SPICE_BITMAP_FMT_INVALID for none. */
uint8_t lz_format_of(uint32_t type);

#endif
