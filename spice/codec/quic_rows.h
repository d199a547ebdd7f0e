/*
 * quic_rows.h - QUIC's inner loops. Included by quic_any.c and quic_v3.c alone, which differ in compiler flags.
 *
 * Each loop is one function with constant parameters (the number of channels, whether a row is the first), so that the
 * compiler makes a straight one for each case.
 */
#include "spice/codec/quic_model.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

INLINE uint32_t random_wait(struct quic_pass *pass, uint32_t mask)
{
    return quic_random[++pass->seed & 255] & mask;
}

/* Buckets hold 1, 2, 4, ... values; the last takes the rest. */
INLINE unsigned bucket_of(unsigned value, unsigned bits)
{
    return MIN(31 - (unsigned)__builtin_clz(value + 1), bits - 1);
}

static void set_best(struct quic_channel *channel, unsigned bits, unsigned bucket, unsigned best)
{
    unsigned from = (1u << bucket) - 1;
    unsigned size = bucket == bits - 1 ? 256 - from : 1u << bucket;

    memset(channel->best + from, (int)best, size);
}

#ifdef __SSE4_1__
/* Add what each code would have cost; returns the place of the least, and halves all if that passes the trigger. */
INLINE unsigned count_costs(uint16_t *counter, const uint16_t *length, unsigned trigger)
{
    __m128i sum = _mm_adds_epu16(_mm_load_si128((const __m128i *)counter),
                                 _mm_loadu_si128((const __m128i *)length));
    unsigned least = (unsigned)_mm_cvtsi128_si32(_mm_minpos_epu16(sum));

    if ((least & 0xffff) > trigger)
        sum = _mm_srli_epi16(sum, 1);
    _mm_store_si128((__m128i *)counter, sum);
    return least >> 16;
}
#else
INLINE unsigned count_costs(uint16_t *counter, const uint16_t *length, unsigned trigger)
{
    unsigned least = 0;

    for (unsigned i = 0; i < QUIC_CODES; i++) {
        counter[i] = (uint16_t)MIN(counter[i] + length[i], 65535);
        if (counter[i] < counter[least])
            least = i;
    }
    if (counter[least] > trigger)
        for (unsigned i = 0; i < QUIC_CODES; i++)
            counter[i] >>= 1;
    return least;
}
#endif

/*
 * Learn from a sample and the one before it. Counters are kept with the longest code first, so that of equal costs its
 * place wins. They stay below 65535: a counter grows by 26 at most while the least grows by 1 at least, and all are halved
 * when the least passes 900.
 */
INLINE void learn(struct quic_pass *pass, unsigned c, unsigned before, unsigned value,
                  unsigned bits)
{
    struct quic_channel *channel = &pass->channel[c];
    unsigned bucket = bucket_of(before, bits), best;

    best =
        bits - 1 - count_costs(channel->counter[bucket], pass->codes->length[value], pass->trigger);
    if (channel->best[before] != best)
        set_best(channel, bits, bucket, best);
}

/*
 * A row is coded in parts that end where the model's pace changes. Returns the end of the part that begins at x, or x
 * after stepping the pace.
 */
INLINE uint32_t next_part(struct quic_pass *pass, uint32_t x, uint32_t width)
{
    if (pass->step == QUIC_LAST_STEP)
        return width;
    if (pass->step_left > width - x) {
        pass->step_left -= width - x;
        return width;
    }
    x += pass->step_left;
    pass->step_left = 0;
    return x;
}

INLINE void step_pace(struct quic_pass *pass)
{
    if (pass->step_left || pass->step == QUIC_LAST_STEP)
        return;
    pass->trigger = quic_triggers[++pass->step];
    pass->step_left = QUIC_STEP_SYMBOLS;
}

/* ---- encoder ---- */

/* At most 32 bits, which have no others set above them. */
INLINE void put_bits(struct quic_bit_writer *out, uint64_t bits, unsigned length)
{
    out->bits = out->bits << length | bits;
    out->count += length;
    /* Always store; step only when a word was full. */
    store_le32(out->p, (uint32_t)(out->bits >> ((out->count - 32) & 63)));
    out->p += out->count >> 5 << 2;
    out->count &= 31;
}

INLINE void put_run(struct quic_pass *pass, struct quic_bit_writer *out, uint32_t length)
{
    while (length >= 1u << quic_run_bits[pass->run_state]) {
        length -= 1u << quic_run_bits[pass->run_state];
        pass->run_state = MIN(pass->run_state + 1, 31u);
        put_bits(out, 1, 1);
    }
    put_bits(out, length, quic_run_bits[pass->run_state] + 1u);
    pass->run_state -= pass->run_state != 0;
}

/* Differences of 16 samples, folded so that small ones of either sign are small numbers. */
INLINE __m128i fold(__m128i d, unsigned bits)
{
    if (bits == 5)
        d = _mm_and_si128(_mm_slli_epi16(d, 3), _mm_set1_epi8((char)0xf8));
    d = _mm_xor_si128(_mm_add_epi8(d, d), _mm_cmpgt_epi8(_mm_setzero_si128(), d));
    if (bits == 5)
        d = _mm_and_si128(_mm_srli_epi16(d, 3), _mm_set1_epi8(0x1f));
    return d;
}

INLINE __m128i load16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

/* The mean of the left and the upper sample, rounded down, predicts; the left alone in the first row. */
INLINE void fold_row(uint8_t *to, const uint8_t *cur, const uint8_t *above, uint32_t width,
                     unsigned bits, bool first)
{
    uint8_t corner = first ? cur[0] : (uint8_t)(cur[0] - above[0]);

    for (uint32_t x = 0; x < width; x += 16) {
        __m128i guess = load16(cur + x - 1);

        if (!first) {
            __m128i up = load16(above + x), odd = _mm_xor_si128(guess, up);

            guess = _mm_sub_epi8(_mm_avg_epu8(guess, up), _mm_and_si128(odd, _mm_set1_epi8(1)));
        }
        _mm_storeu_si128((__m128i *)(to + x), fold(_mm_sub_epi8(load16(cur + x), guess), bits));
    }
    to[0] = (uint8_t)_mm_cvtsi128_si32(fold(_mm_cvtsi32_si128(corner), bits));
}

INLINE void mark_same(uint64_t *same, uint8_t *const plane[], uint32_t width, unsigned channels)
{
    for (uint32_t x = 0; x < width; x += 64) {
        uint64_t word = 0;

        for (unsigned part = 0; part < 64; part += 16) {
            __m128i equal = _mm_set1_epi8(-1);

            for (unsigned c = 0; c < channels; c++) {
                const uint8_t *p = plane[c] + x + part;
                equal = _mm_and_si128(equal, _mm_cmpeq_epi8(load16(p), load16(p - 1)));
            }
            word |= (uint64_t)(uint32_t)_mm_movemask_epi8(equal) << part;
        }
        same[x / 64] = word;
    }
}

/* The first place from x on where a run is tried: the row above goes on and this one just did. `end` if none. */
INLINE uint32_t next_run(const struct quic_pass *pass, uint32_t x, uint32_t end)
{
    const uint64_t *cur = pass->same[0], *above = pass->same[1];
    uint64_t from = ~0ull;

    x = MAX(x, 3u);
    from <<= x % 64;
    for (uint32_t i = x / 64; i * 64 < end; i++, from = ~0ull) {
        uint64_t before = cur[i] << 1 | (i ? cur[i - 1] >> 63 : 0),
                 found = above[i] & before & from;

        if (found)
            return MIN(i * 64 + (uint32_t)__builtin_ctzll(found), end);
    }
    return end;
}

INLINE uint32_t run_end(const uint64_t *same, uint32_t x, uint32_t end)
{
    uint64_t from = ~0ull << x % 64;

    for (uint32_t i = x / 64; i * 64 < end; i++, from = ~0ull) {
        uint64_t other = ~same[i] & from;

        if (other)
            return MIN(i * 64 + (uint32_t)__builtin_ctzll(other), end);
    }
    return end;
}

/* Code the pixels from x up to end. */
INLINE void put_pixels(struct quic_pass *pass, struct quic_bit_writer *out, uint32_t x,
                       uint32_t end, unsigned channels)
{
    const uint32_t(*words)[256] = pass->codes->word;
    const uint8_t *folded[QUIC_CHANNELS];
    unsigned before[QUIC_CHANNELS];

    for (unsigned c = 0; c < channels; c++) {
        folded[c] = pass->folded[0][c];
        before[c] = folded[c][(ptrdiff_t)x - 1];
    }
    for (; x < end; x++) {
        uint32_t word[QUIC_CHANNELS];
        unsigned length = 0;

        for (unsigned c = 0; c < channels; c++) {
            uint8_t code = pass->channel[c].best[before[c]];

            before[c] = folded[c][x];
            word[c] = words[code][before[c]];
            length += QUIC_WORD_LENGTH(word[c]);
        }
        if (__builtin_expect(length <= 32, 1)) {
            uint64_t all = 0;

            for (unsigned c = 0; c < channels; c++)
                all = all << QUIC_WORD_LENGTH(word[c]) | QUIC_WORD_BITS(word[c]);
            put_bits(out, all, length);
        } else {
            for (unsigned c = 0; c < channels; c++)
                put_bits(out, QUIC_WORD_BITS(word[c]), QUIC_WORD_LENGTH(word[c]));
        }
    }
}

/* Pixels from x up to end, learning from each one whose turn it is. `stop` is the next such one. */
INLINE uint32_t put_and_learn(struct quic_pass *pass, struct quic_bit_writer *out, uint32_t x,
                              uint32_t end, uint32_t stop, uint32_t mask, unsigned channels,
                              unsigned bits)
{
    while (stop < end) {
        put_pixels(pass, out, x, stop + 1, channels);
        for (unsigned c = 0; c < channels; c++) {
            const uint8_t *at = pass->folded[0][c] + stop;
            learn(pass, c, at[-1], at[0], bits);
        }
        x = stop + 1;
        stop = x + random_wait(pass, mask);
    }
    put_pixels(pass, out, x, end, channels);
    return stop;
}

INLINE void encode_part(struct quic_pass *pass, struct quic_bit_writer *out, uint32_t x,
                        uint32_t end, unsigned channels, unsigned bits, bool first)
{
    uint32_t mask = (1u << pass->step) - 1, stop = x + pass->wait, tried = 0;

    for (;;) {
        uint32_t run = first ? end : next_run(pass, MAX(x, tried + 1), end);

        stop = put_and_learn(pass, out, x, run, stop, mask, channels, bits);
        pass->wait = stop - run;
        if (run == end)
            return;
        tried = run;
        x = run_end(pass->same[0], run, end);
        put_run(pass, out, x - run);
        for (unsigned c = 0; c < channels; c++)
            memcpy(pass->folded[0][c] + run, pass->folded[1][c] + run, x - run);
        if (x == end)
            return;
        stop = x + pass->wait;
    }
}

INLINE void encode_row(struct quic_pass *pass, struct quic_bit_writer *out, uint32_t width,
                       unsigned channels, unsigned bits, bool first)
{
    struct quic_bit_writer local = *out;

    for (unsigned c = 0; c < channels; c++) {
        fold_row(pass->folded[0][c], pass->plane[0][c], pass->plane[1][c], width, bits, first);
        pass->folded[0][c][-1] = first ? 0 : pass->folded[1][c][0];
    }
    mark_same(pass->same[0], pass->plane[0], width, channels);
    for (uint32_t x = 0, end; x < width; x = end) {
        end = next_part(pass, x, width);
        if (end > x)
            encode_part(pass, &local, x, end, channels, bits, first);
        step_pace(pass);
    }
    *out = local;
}

static void encode_any_row(struct quic_pass *pass, struct quic_bit_writer *out, uint32_t width,
                           bool first)
{
    if (pass->channels == 1)
        encode_row(pass, out, width, 1, 8, first);
    else if (pass->codes->bits == 5)
        encode_row(pass, out, width, 3, 5, first);
    else if (first)
        encode_row(pass, out, width, 3, 8, true);
    else
        encode_row(pass, out, width, 3, 8, false);
}

/* ---- decoder ---- */

/* Have 56 bits or more. */
INLINE void refill(struct quic_bit_reader *in)
{
    in->bits |= load_be64(in->p) >> in->count;
    in->p += (63 - in->count) >> 3;
    in->count |= 56;
}

INLINE void drop_bits(struct quic_bit_reader *in, unsigned n)
{
    in->bits <<= n;
    in->count -= n;
}

/* A word that is not Golomb-Rice, or of the last code: there all words have as many bits as a sample. */
INLINE unsigned take_escape(struct quic_bit_reader *in, const struct quic_codes *codes, unsigned l,
                            unsigned bits)
{
    unsigned length, value;

    if (l == bits - 1) {
        length = bits;
        value = (unsigned)(in->bits >> (64 - bits)) ^ 1u << (bits - 1);
    } else {
        length = codes->escape_length[l];
        value = (unsigned)(in->bits >> (64 - length)) & ((1u << codes->suffix_bits[l]) - 1);
        value = (value + codes->escape_base[l]) & ((1u << bits) - 1);
    }
    drop_bits(in, length);
    return value;
}

/* One sample in code l; 26 bits must be there. */
INLINE unsigned take_sample(struct quic_bit_reader *in, const struct quic_codes *codes, unsigned l,
                            unsigned bits)
{
    unsigned zeros, length, value;

    if (__builtin_expect(in->bits < codes->escape_below[l], 0))
        return take_escape(in, codes, l, bits);
    zeros = (unsigned)__builtin_clzll(in->bits);
    length = zeros + 1 + l;
    value = zeros << l | (unsigned)(in->bits >> (64 - length) & ((1u << l) - 1));
    drop_bits(in, length);
    return value;
}

/* A run's length; more than `most` if it is wrong. Afterwards the bits are refilled. */
INLINE uint32_t take_run(struct quic_pass *pass, struct quic_bit_reader *in, uint32_t most)
{
    uint32_t length = 0;
    unsigned tail;

    refill(in);
    while (in->bits >> 63 && length <= most) {
        length += 1u << quic_run_bits[pass->run_state];
        pass->run_state = MIN(pass->run_state + 1, 31u);
        drop_bits(in, 1);
        refill(in);
    }
    tail = quic_run_bits[pass->run_state];
    length += (uint32_t)(in->bits >> (63 - tail)); /* the highest bit is 0, or the run too long */
    drop_bits(in, tail + 1);
    refill(in);
    pass->run_state -= pass->run_state != 0;
    return length;
}

/* The same in each byte of a word: unfold what was folded, the mean rounded down, the sum in `bits` bits. */
INLINE uint32_t unfold(uint32_t v)
{
    return (v >> 1 & 0x7f7f7f) ^ (v & 0x010101) * 0xff;
}

INLINE uint32_t mean(uint32_t a, uint32_t b)
{
    return (a & b) + ((a ^ b) >> 1 & 0x7f7f7f);
}

INLINE uint32_t sum(uint32_t a, uint32_t b, unsigned bits)
{
    if (bits == 5)
        return (a + (b & 0x1f1f1f)) & 0x1f1f1f;
    return ((a & 0x7f7f7f) + (b & 0x7f7f7f)) ^ ((a ^ b) & 0x808080);
}

/* What decoding carries from pixel to pixel. */
struct place {
    uint32_t left,
        left2; /* the pixels to the left; in the first column of a row, the one above counts as left */
    uint32_t corner; /* the one above the left one */
    uint32_t before; /* the left one as coded */
};

INLINE struct place place_at(const struct quic_pass *pass, const uint32_t *above,
                             const uint32_t *cur, uint32_t x, bool first)
{
    struct place at = {.before = pass->coded[(ptrdiff_t)x - 1]};

    if (x)
        at.left = cur[x - 1];
    else if (!first)
        at.left = above[0];
    if (x > 1)
        at.left2 = cur[x - 2];
    if (x && !first)
        at.corner = above[x - 1];
    return at;
}

INLINE void take_pixel(struct quic_pass *pass, const struct quic_codes *codes,
                       struct quic_bit_reader *in, struct place *at, uint32_t *cur, uint32_t x,
                       uint32_t up, unsigned channels, unsigned bits, bool first)
{
    uint32_t coded = 0;

    refill(in);
    for (unsigned c = 0; c < channels; c++) {
        unsigned shift = 8 * (channels - 1 - c);
        unsigned l = pass->channel[c].best[at->before >> shift & 0xff];

        if (c == 2 && __builtin_expect(in->count < QUIC_MAX_CODE, 0))
            refill(in);
        coded = coded << 8 | take_sample(in, codes, l, bits);
    }
    pass->coded[x] = at->before = coded;
    at->left2 = at->left;
    at->left = sum(first ? at->left : mean(at->left, up), unfold(coded), bits);
    at->corner = up;
    cur[x] = at->left;
}

INLINE void learn_at(struct quic_pass *pass, uint32_t x, unsigned channels, unsigned bits)
{
    const uint32_t *coded = pass->coded + x;

    for (unsigned c = 0; c < channels; c++) {
        unsigned shift = 8 * (channels - 1 - c);
        learn(pass, c, coded[-1] >> shift & 0xff, coded[0] >> shift & 0xff, bits);
    }
}

/* As encode_part(). False for a run past the end. */
INLINE bool decode_part(struct quic_pass *pass, struct quic_bit_reader *in, const uint32_t *above,
                        uint32_t *cur, uint32_t x, uint32_t end, unsigned channels, unsigned bits,
                        bool first)
{
    const struct quic_codes *codes = pass->codes;
    uint32_t mask = (1u << pass->step) - 1, stop = x + pass->wait, tried = 0, length;
    struct place at = place_at(pass, above, cur, x, first);

    for (;;) {
        for (uint32_t until = MIN(stop + 1, end); x < until; x++) {
            uint32_t up = first ? 0 : above[x];

            if (!first && up == at.corner && at.left == at.left2 && x > 2 && x != tried)
                goto run;
            take_pixel(pass, codes, in, &at, cur, x, up, channels, bits, first);
        }
        if (stop >= end) {
            pass->wait = stop - end;
            return true;
        }
        learn_at(pass, stop, channels, bits);
        stop = x + random_wait(pass, mask);
        continue;
    run:
        length = take_run(pass, in, end - x);
        if (length > end - x)
            return false;
        pass->wait = stop - x;
        tried = x;
        for (uint32_t to = x + length; x < to; x++)
            cur[x] = at.left;
        if (x == end)
            return true;
        stop = x + pass->wait;
        at = place_at(pass, above, cur, x, first);
    }
}

INLINE bool decode_row(struct quic_pass *pass, struct quic_bit_reader *in, const uint32_t *above,
                       uint32_t *cur, uint32_t width, unsigned channels, unsigned bits, bool first)
{
    struct quic_bit_reader local = *in;
    bool sound = true;

    pass->coded[-1] = first ? 0 : pass->coded[0];
    for (uint32_t x = 0, end; x < width && sound; x = end) {
        end = next_part(pass, x, width);
        if (end > x)
            sound = decode_part(pass, &local, above, cur, x, end, channels, bits, first);
        step_pace(pass);
    }
    *in = local;
    return sound;
}

static bool decode_any_row(struct quic_pass *pass, struct quic_bit_reader *in,
                           const uint32_t *above, uint32_t *cur, uint32_t width, bool first)
{
    if (pass->channels == 1)
        return decode_row(pass, in, above, cur, width, 1, 8, first);
    if (pass->codes->bits == 5)
        return decode_row(pass, in, above, cur, width, 3, 5, first);
    return first ? decode_row(pass, in, above, cur, width, 3, 8, true)
                 : decode_row(pass, in, above, cur, width, 3, 8, false);
}

const struct quic_ops QUIC_OPS = {.encode_row = encode_any_row, .decode_row = decode_any_row};
