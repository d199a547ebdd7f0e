#include "spice/server/strips.h"

#include <errno.h>
#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

#define PRIME   ((1ull << 61) - 1)
#define VISIBLE 0xffffff /* the fourth byte of a pixel shows nowhere */

/* A number below 2^63 to below PRIME. */
static uint64_t reduce(uint64_t v)
{
    v = (v & PRIME) + (v >> 61);
    return v >= PRIME ? v - PRIME : v;
}

static uint64_t multiply(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;

    return reduce(((uint64_t)product & PRIME) + (uint64_t)(product >> 61));
}

void strip_key_init(struct strip_key *key, uint64_t secret)
{
    uint64_t power = 1;

    key->point = secret % (PRIME - 2) + 2;
    key->ones = 0;
    for (int i = STRIP; i-- > 0; power = multiply(power, key->point)) {
        key->low[i] = (uint32_t)power;
        key->high[i] = power >> 32;
        key->ones = reduce(key->ones + power);
    }
    key->out = power;
}

/* low: below 2^60; high: below 2^57, and stands for 2^32 times as much. */
static uint64_t join(uint64_t low, uint64_t high)
{
    return reduce(low + ((high & ((1u << 29) - 1)) << 32) + (high >> 29));
}

uint64_t strip_hash_part(const struct strip_key *key, const uint32_t *pixels, uint32_t from,
                         uint32_t to)
{
    uint64_t low = 0, high = 0;

    for (uint32_t i = from; i < to; i++) {
        uint32_t p = pixels[i] & VISIBLE;

        low += (uint64_t)p * key->low[i];
        high += (uint64_t)p * key->high[i];
    }
    return join(low, high);
}

uint64_t strip_hash(const struct strip_key *key, const uint32_t *pixels)
{
    return strip_hash_part(key, pixels, 0, STRIP);
}

uint64_t strip_without(uint64_t whole, uint64_t part)
{
    return whole >= part ? whole - part : whole + PRIME - part;
}

/* A multiplication takes the even elements; `odd` has the others in their place. */
struct powers {
    __m256i even, odd;
};

__attribute__((target("avx2"))) static inline struct powers powers_of(const uint32_t *powers)
{
    __m256i even = _mm256_loadu_si256((const __m256i *)powers);

    return (struct powers){even, _mm256_srli_epi64(even, 32)};
}

__attribute__((target("avx2"))) static inline __m256i times(__m256i even, __m256i odd,
                                                            const struct powers *k)
{
    return _mm256_add_epi64(_mm256_mul_epu32(even, k->even), _mm256_mul_epu32(odd, k->odd));
}

/* The four sums of each of four strips. */
struct four {
    __m256i of[4];
};

/* [a0 + a1 + a2 + a3, b0 + ..., c0 + ..., d0 + ...] */
__attribute__((target("avx2"))) static inline __m256i add_up(const struct four *f)
{
    __m256i ab = _mm256_add_epi64(_mm256_unpacklo_epi64(f->of[0], f->of[1]),
                                  _mm256_unpackhi_epi64(f->of[0], f->of[1]));
    __m256i cd = _mm256_add_epi64(_mm256_unpacklo_epi64(f->of[2], f->of[3]),
                                  _mm256_unpackhi_epi64(f->of[2], f->of[3]));

    return _mm256_add_epi64(_mm256_permute2x128_si256(ab, cd, 0x20),
                            _mm256_permute2x128_si256(ab, cd, 0x31));
}

/* join() of four. */
__attribute__((target("avx2"))) static inline __m256i join_four(__m256i low, __m256i high)
{
    const __m256i prime = _mm256_set1_epi64x(PRIME);
    __m256i middle = _mm256_and_si256(high, _mm256_set1_epi64x((1 << 29) - 1)), v, over;

    v = _mm256_add_epi64(_mm256_add_epi64(low, _mm256_slli_epi64(middle, 32)),
                         _mm256_srli_epi64(high, 29));
    v = _mm256_add_epi64(_mm256_and_si256(v, prime), _mm256_srli_epi64(v, 61));
    over = _mm256_cmpgt_epi64(v, _mm256_set1_epi64x(PRIME - 1));
    return _mm256_sub_epi64(v, _mm256_and_si256(over, prime));
}

/* Four strips at a time, `step` pixels and `place` hashes from each to the next; returns how many were done. */
__attribute__((target("avx2"))) static size_t hash_avx2(const struct strip_key *key, const uint32_t *pixels, size_t step,
                                                        size_t count, uint64_t *hashes, size_t place)
{
    const __m256i visible = _mm256_set1_epi32(VISIBLE);
    const struct powers low[2] = {powers_of(key->low), powers_of(key->low + 8)};
    const struct powers high[2] = {powers_of(key->high), powers_of(key->high + 8)};
    size_t done = 0;

    for (; done + 4 <= count; done += 4) {
        struct four l, h;
        uint64_t four[4];

        for (int i = 0; i < 4; i++, pixels += step) {
            __m256i a = _mm256_loadu_si256((const __m256i *)pixels), a_odd;
            __m256i b = _mm256_loadu_si256((const __m256i *)(pixels + 8)), b_odd;

            a = _mm256_and_si256(a, visible);
            b = _mm256_and_si256(b, visible);
            a_odd = _mm256_srli_epi64(a, 32);
            b_odd = _mm256_srli_epi64(b, 32);
            l.of[i] = _mm256_add_epi64(times(a, a_odd, &low[0]), times(b, b_odd, &low[1]));
            h.of[i] = _mm256_add_epi64(times(a, a_odd, &high[0]), times(b, b_odd, &high[1]));
        }
        _mm256_storeu_si256((__m256i *)four, join_four(add_up(&l), add_up(&h)));
        for (int i = 0; i < 4; i++)
            hashes[(done + i) * place] = four[i];
    }
    return done;
}

static void hash_some(const struct strip_key *key, const uint32_t *pixels, size_t step, size_t count, uint64_t *hashes,
                      size_t place)
{
    size_t i = __builtin_cpu_supports("avx2") ? hash_avx2(key, pixels, step, count, hashes, place) : 0;

    for (; i < count; i++)
        hashes[i * place] = strip_hash(key, pixels + i * step);
}

void strip_hash_many(const struct strip_key *key, const uint32_t *pixels, size_t count, uint64_t *hashes)
{
    hash_some(key, pixels, STRIP, count, hashes, 1);
}

void strip_hash_column(const struct strip_key *key, const uint32_t *pixels, size_t stride, size_t count, uint64_t *hashes,
                       size_t place)
{
    hash_some(key, pixels, stride, count, hashes, place);
}

struct strip_key strip_key_of_part(const struct strip_key *key, uint32_t from, uint32_t to)
{
    struct strip_key part = *key;

    for (uint32_t i = 0; i < STRIP; i++)
        if (i < from || i >= to)
            part.low[i] = part.high[i] = 0;
    return part;
}

uint64_t strip_roll(const struct strip_key *key, uint64_t hash, uint32_t out, uint32_t in)
{
    __uint128_t sum = (__uint128_t)hash * key->point +
                      (__uint128_t)(PRIME - key->out) * (out & VISIBLE) + (in & VISIBLE);

    return reduce(((uint64_t)sum & PRIME) + (uint64_t)(sum >> 61));
}

uint64_t strip_flat(const struct strip_key *key, uint32_t colour)
{
    return multiply(key->ones, colour & VISIBLE);
}

__attribute__((target("avx2"))) static uint64_t equal_avx2(const uint64_t *a, const uint64_t *b,
                                                           uint32_t count)
{
    uint64_t bits = 0;

    for (uint32_t i = 0; i + 4 <= count; i += 4) {
        __m256i same = _mm256_cmpeq_epi64(_mm256_loadu_si256((const __m256i *)(a + i)),
                                          _mm256_loadu_si256((const __m256i *)(b + i)));

        bits |= (uint64_t)_mm256_movemask_pd(_mm256_castsi256_pd(same)) << i;
    }
    return bits;
}

uint64_t strip_equal(const uint64_t *a, const uint64_t *b, uint32_t count)
{
    bool fours = __builtin_cpu_supports("avx2");
    uint64_t bits = fours ? equal_avx2(a, b, count) : 0;

    for (uint32_t i = fours ? ALIGN_DOWN(count, 4) : 0; i < count; i++)
        bits |= (uint64_t)(a[i] == b[i]) << i;
    return bits;
}

uint64_t strip_combine(const struct strip_key *key, uint64_t sum, uint64_t hash)
{
    return reduce(multiply(sum, key->point) + hash);
}

int strip_map_init(struct strip_map *map, uint32_t width, uint32_t height)
{
    size_t size;

    *map = (struct strip_map){width, height, DIV_ROUND_UP(width, STRIP)};
    size = (size_t)map->columns * height * sizeof(*map->hash);
    map->hash = malloc(size);
    if (!map->hash)
        return -ENOMEM;
    memset(map->hash, 0xff, size);
    return 0;
}

void strip_map_fini(struct strip_map *map)
{
    free(map->hash);
    *map = (struct strip_map){0};
}
