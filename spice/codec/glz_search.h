/*
 * glz_search.h - what of the dictionary a place in the newest picture is like. Included by glz_encode.c alone.
 *
 * Tried are: where the last match from another picture would go on, the pixel before (a run), the places that the table
 * has for the next three pixels, and the row above. The longest is taken that saves most.
 */
#include "spice/codec/glz_dictionary.h"
#include "spice/codec/glz_wire.h"

#include "base/bytes.h"

#include <emmintrin.h>

#define GOOD_LENGTH 32 /* pixels: a match that long is taken without looking for a better one */
#define NOTE_STEP   64 /* every so many pixels of a match are noted */

/* What a pass over the newest picture codes: its colours or its alpha. */
struct kind {
    uint32_t mask;    /* the bits of a word that it is about */
    unsigned literal; /* bytes of one on the wire */
    unsigned bias;    /* taken off a match's length on the wire */
};

#define KIND_COLORS ((struct kind){0x00ffffff, 3, 0})
#define KIND_RGB16  ((struct kind){0x00ffffff, 2, 1})
#define KIND_ALPHA  ((struct kind){0xff000000, 1, 2})

struct pass {
    struct glz_dictionary *d;
    struct kind kind;
    uint32_t first, end; /* the picture's place in the ring */
    uint32_t width;
    uint64_t id;
    uint64_t found;  /* where the last match from another picture was; id if there was none */
    ptrdiff_t ahead; /* from a place to where that match would go on; 0 if there was none */
};

struct match {
    uint32_t length; /* 0: none */
    uint32_t from;   /* place in the ring */
    uint32_t offset, distance;
    int gain; /* bytes saved */
};

/* The bits under the mask that differ between four words here and there. */
static inline __m128i differ4(const uint32_t *a, const uint32_t *b, __m128i mask)
{
    __m128i x = _mm_loadu_si128((const __m128i *)a), y = _mm_loadu_si128((const __m128i *)b);

    return _mm_and_si128(_mm_xor_si128(x, y), mask);
}

/* How many words, `max` at most, are alike from a and b on. */
static inline uint32_t equal_words(const uint32_t *a, const uint32_t *b, uint32_t max,
                                   uint32_t mask)
{
    __m128i masks = _mm_set1_epi32((int)mask), zero = _mm_setzero_si128();
    uint32_t n = 0;

    for (; n + 16 <= max; n += 16) { /* long matches are most of what is to be compared */
        __m128i any = _mm_or_si128(
            _mm_or_si128(differ4(a + n, b + n, masks), differ4(a + n + 4, b + n + 4, masks)),
            _mm_or_si128(differ4(a + n + 8, b + n + 8, masks),
                         differ4(a + n + 12, b + n + 12, masks)));

        if (_mm_movemask_epi8(_mm_cmpeq_epi32(any, zero)) != 0xffff)
            break;
    }
    for (; n + 4 <= max; n += 4) {
        unsigned equal =
            (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi32(differ4(a + n, b + n, masks), zero));

        if (equal != 0xffff)
            return n + (unsigned)__builtin_ctz(~equal) / 4;
    }
    while (n < max && !((a[n] ^ b[n]) & mask))
        n++;
    return n;
}

/* Bytes that a match takes, without those of a long length. */
static inline int match_cost(uint32_t offset, uint32_t distance)
{
    if (offset < 1u << 12)
        return 3 + (distance >= 1u << 6) + (distance >= 1u << 14) + (distance >= 1u << 22);
    return 3 + (distance > 0) + (distance >= 1u << 8) + (distance >= 1u << 16) +
           (offset >= 1u << 17);
}

/* Say where the match is as the stream does; its length becomes the most that it can be. False if no picture has it. */
static inline bool locate(struct pass *pass, uint32_t place, struct match *m)
{
    const struct glz_dictionary *d = pass->d;
    const struct glz_source *s = glz_source(d, pass->found);

    if (m->from - pass->first < place - pass->first) {
        m->offset = place - 1 - m->from;
        m->length = pass->end - place;
        return true;
    }
    if (m->from - s->start >= s->pixels || pass->found == pass->id) {
        pass->found = glz_dictionary_find(d, m->from);
        s = glz_source(d, pass->found);
        if (pass->found >= pass->id) {
            pass->found = pass->id;
            return false;
        }
    }
    if (pass->kind.literal == 1 && !s->alpha)
        return false; /* what a decoder has for the alpha of such a picture is its own affair */
    m->offset = m->from - s->start;
    m->distance = (uint32_t)(pass->id - pass->found);
    m->length = MIN(pass->end - place, s->pixels - m->offset);
    return true;
}

static inline bool pair_differs(const uint32_t *a, const uint32_t *b, uint32_t mask)
{
    return (load_le64(a) ^ load_le64(b)) & (mask | (uint64_t)mask << 32);
}

/* The match of `place` with `from`; no length if it does not pay. */
static inline struct match try_place(struct pass *pass, uint32_t place, uint32_t from)
{
    const uint32_t *ring = pass->d->ring, mask = pass->kind.mask;
    struct match m = {.from = from};

    if (from >= pass->d->size || pair_differs(ring + from, ring + place, mask))
        return m;
    if (!locate(pass, place, &m))
        return m;
    m.length = equal_words(ring + from, ring + place, m.length, mask);
    m.gain =
        (int)(m.length * pass->kind.literal) - match_cost(m.offset, m.distance) - (m.length >= 7);
    if (m.gain <= 1 || m.length <= pass->kind.bias)
        m.length = 0;
    return m;
}

static inline void take_better(struct match *best, struct match other)
{
    if (other.length && (!best->length || other.gain > best->gain))
        *best = other;
}

/* Where the table has the places with the same three words as this one, the newest first, and what marks them there. */
struct entry {
    uint32_t *bucket, tag;
};

static inline struct entry entry_of(const struct pass *pass, uint32_t place)
{
    const uint32_t *here = pass->d->ring + place, mask = pass->kind.mask;
    uint64_t key = (load_le64(here) & (mask | (uint64_t)mask << 32)) * 0x9e3779b97f4a7c15u;

    key ^= (here[2] & mask) * 0xc2b2ae3d27d4eb4fu;
    return (struct entry){pass->d->table[key >> (64 - GLZ_HASH_BITS)], (uint32_t)(key >> 16)
                                                                           << GLZ_PLACE_BITS};
}

static inline void note(struct entry entry, uint32_t place)
{
    static_assert(GLZ_WAYS == 2, "the older goes");
    entry.bucket[1] = entry.bucket[0];
    entry.bucket[0] = entry.tag | place;
}

static inline void note_at(struct pass *pass, uint32_t place)
{
    note(entry_of(pass, place), place);
}

/* The best match for the words at `place`. */
static inline struct match find_match(struct pass *pass, uint32_t place)
{
    struct glz_dictionary *d = pass->d;
    const uint32_t *here = d->ring + place;
    struct match best = {0};
    struct entry entry;
    uint32_t earlier[GLZ_WAYS];

    if (pass->ahead) {
        best = try_place(pass, place, (uint32_t)(place + pass->ahead));
        if (best.length >= GOOD_LENGTH)
            return best;
    }
    if (place > pass->first && !pair_differs(here, here - 1, pass->kind.mask)) {
        take_better(&best, try_place(pass, place, place - 1));
        return best;
    }
    entry = entry_of(pass, place);
    for (int i = 0; i < GLZ_WAYS; i++)
        earlier[i] = entry.bucket[i] ^ entry.tag;
    note(entry, place);
    /* The tags of most others differ, which saves a look at memory far away. */
    for (int i = 0; i < GLZ_WAYS; i++)
        if (!(earlier[i] >> GLZ_PLACE_BITS))
            take_better(&best, try_place(pass, place, earlier[i]));
    if (place >= pass->first + pass->width)
        take_better(&best, try_place(pass, place, place - pass->width));
    return best;
}

/* Pixels before the match, from `start` on, may be like those before what it found: places are not all noted. */
static inline uint32_t extend_back(const struct pass *pass, struct match *m, uint32_t at,
                                   uint32_t start)
{
    const uint32_t *ring = pass->d->ring;
    uint32_t most = m->distance ? m->offset : m->from - pass->first;

    most = MIN(most, at - start);
    for (; most && !((ring[m->from - 1] ^ ring[at - 1]) & pass->kind.mask); most--, at--) {
        m->from--;
        m->length++;
        m->offset -= m->distance != 0;
    }
    return at;
}

/* What is in a long match must be found when the picture it is from has gone. Runs are found anyway. */
static inline void note_match(struct pass *pass, uint32_t at, uint32_t end)
{
    for (uint32_t place = at + NOTE_STEP; place + 1 < end; place += NOTE_STEP)
        if (pair_differs(pass->d->ring + place, pass->d->ring + place + 1, pass->kind.mask))
            note_at(pass, place);
    if (end < pass->end - 1)
        note_at(pass, end - 1);
}
