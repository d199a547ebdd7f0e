/*
 * quic_model.h - the parts that QUIC's encoder and decoder share: codes, learning, buffers.
 *
 * A picture is coded in passes over each row: its colours (three channels, one after the other in each pixel), and for
 * RGBA then its alpha (one channel). Each pass learns on its own.
 */
#ifndef SPICE_CODEC_QUIC_MODEL_H
#define SPICE_CODEC_QUIC_MODEL_H

#include "spice/codec/quic.h"
#include "spice/codec/sink.h"

#define QUIC_MAGIC        0x43495551u
#define QUIC_HEADER_WORDS 5
#define QUIC_CODES        8
#define QUIC_CHANNELS     3
#define QUIC_MAX_CODE     26   /* bits of the longest code */
#define QUIC_STEP_SYMBOLS 2048 /* pixels until the model is updated half as often */
#define QUIC_LAST_STEP    6    /* at last once in 2^6 pixels at most, 2^5 on average */
#define QUIC_ROW_BITS     160  /* at most for one pixel in both passes, its runs included */
#define QUIC_SLACK        64 /* bytes that vector loads and bit refills may touch past a row or a stream */

/*
 * The eight Golomb-Rice codes for samples of `bits` bits. Code l has l low bits plain and the rest in unary. Words that
 * would be too long escape: a plain number follows a prefix that no other word has.
 */
struct quic_codes {
    unsigned bits;
    uint32_t word[QUIC_CODES][256]; /* the code word; its length in the upper 6 bits */
    /* The lengths, code bits-1 first; 65535 for codes that do not exist. */
    uint16_t length[256][QUIC_CODES];
    /* Words that, left-aligned in 64 bits, are below this escape; of the last code, all are taken so... */
    uint64_t escape_below[QUIC_CODES];
    uint8_t escape_length[QUIC_CODES]; /* ...are this long, */
    uint8_t suffix_bits[QUIC_CODES];   /* end in as many plain bits */
    uint8_t escape_base[QUIC_CODES];   /* and mean those plus this. */
};

#define QUIC_WORD_LENGTH(w) ((w) >> 26)
#define QUIC_WORD_BITS(w)   ((w)&0x3ffffff)

/* What a channel has learnt. Samples of similar size share a bucket of counters. */
struct quic_channel {
    /* Per bucket: the bits that each code would have cost. */
    _Alignas(16) uint16_t counter[QUIC_CODES][QUIC_CODES];
    uint8_t best[256]; /* after a sample of this value: the code */
};

struct quic_pass {
    const struct quic_codes *codes;
    struct quic_channel channel[QUIC_CHANNELS];
    unsigned channels;
    uint32_t wait; /* pixels until the model is updated */
    uint32_t seed, step, step_left, trigger;
    uint32_t run_state;
    /*
     * The encoder's rows: [0] the one being coded, [1] the one above. `folded` has the samples as coded; where a run
     * covers a place it keeps what was coded there last. [-1] is what comes before the row.
     */
    uint8_t *plane[2][QUIC_CHANNELS], *folded[2][QUIC_CHANNELS];
    uint64_t *same[2]; /* bit x: pixel x is the same as the one to its left */
    /* The decoder's rows, one word for a pixel: 0x00rrggbb, or one sample. `coded` is as `folded`. */
    uint32_t *pixels[2], *coded;
};

struct quic_bit_writer {
    uint64_t bits; /* the low `count` are yet to be stored */
    unsigned count;
    uint8_t *p;
};

struct quic_bit_reader {
    uint64_t bits; /* the high `count` are sure; what follows is in the stream too */
    unsigned count;
    const uint8_t *p; /* big-endian bytes */
};

struct quic_ops;

struct quic {
    struct quic_codes codes8, codes5;
    struct quic_pass pass[2]; /* colours or grey, alpha */
    const struct quic_ops *ops;
    struct quic_bit_writer out;
    struct quic_bit_reader in;
    struct scratch rows, stream;
};

/* The inner loops, built once for any x86-64 and once for newer processors. All rows are `width` pixels. */
struct quic_ops {
    /* Code pass->plane[0] with pass->plane[1] above (unless first). */
    void (*encode_row)(struct quic_pass *pass, struct quic_bit_writer *out, uint32_t width,
                       bool first);
    /* Decode into cur with `above` above (unless first). False for a run that leaves the row. */
    bool (*decode_row)(struct quic_pass *pass, struct quic_bit_reader *in, const uint32_t *above,
                       uint32_t *cur, uint32_t width, bool first);
};

extern const struct quic_ops quic_ops_any, quic_ops_v3;

extern const uint8_t quic_random[256];
extern const uint8_t quic_run_bits[32];
extern const uint16_t quic_triggers[QUIC_LAST_STEP + 1];

struct quic_form {
    uint8_t format;         /* SPICE_BITMAP_FMT_* */
    uint8_t channels, bits; /* of the first pass */
    bool alpha;             /* there is a second */
};

extern const struct quic_form quic_forms[QUIC_TYPE_END];

/* Forget what was learnt and take memory for rows of `width`. -ENOMEM. */
int quic_begin(struct quic *quic, const struct quic_form *form, uint32_t width);

#endif
