#include "spice/codec/quic_model.h"

#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>

/* The low six bits of the format's table of random numbers: no more are ever used. */
const uint8_t quic_random[256] = {
    2,  23, 19, 21, 7,  18, 40, 14, 12, 32, 47, 44, 36, 6,  18, 11, 4,  19, 42, 29, 16, 63, 57, 51,
    16, 3,  5,  14, 15, 30, 20, 9,  36, 45, 3,  57, 61, 0,  8,  5,  41, 14, 43, 27, 43, 59, 31, 35,
    39, 60, 42, 38, 13, 54, 62, 1,  26, 3,  11, 61, 52, 34, 7,  48, 4,  59, 22, 12, 22, 8,  50, 4,
    10, 6,  44, 8,  11, 46, 31, 51, 53, 17, 1,  43, 46, 60, 36, 54, 10, 27, 39, 44, 22, 41, 23, 2,
    44, 0,  40, 53, 40, 48, 16, 43, 32, 28, 33, 12, 20, 2,  56, 62, 55, 58, 18, 20, 13, 55, 38, 29,
    57, 19, 49, 33, 47, 63, 59, 0,  35, 61, 19, 25, 46, 38, 60, 4,  35, 1,  26, 40, 28, 10, 5,  14,
    25, 18, 48, 49, 20, 59, 62, 34, 46, 7,  33, 52, 34, 58, 9,  29, 8,  55, 62, 60, 37, 36, 37, 50,
    6,  3,  10, 28, 48, 24, 26, 61, 57, 30, 11, 54, 2,  6,  50, 47, 7,  17, 35, 53, 32, 12, 23, 17,
    5,  21, 49, 55, 51, 45, 52, 27, 39, 25, 39, 63, 22, 24, 42, 52, 56, 38, 41, 41, 56, 32, 13, 24,
    26, 51, 27, 56, 58, 37, 24, 42, 15, 28, 17, 30, 31, 15, 16, 23, 25, 54, 33, 34, 1,  29, 31, 50,
    53, 21, 49, 15, 47, 9,  0,  58, 37, 45, 30, 13, 9,  45, 63, 21,
};

/* A run's length is said in steps of 2^quic_run_bits[state]. */
const uint8_t quic_run_bits[32] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,  2,  3,  3,  3,  3,
                                   4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* Counters are halved when the best passes this; by step. */
const uint16_t quic_triggers[QUIC_LAST_STEP + 1] = {110, 550, 900, 800, 550, 400, 350};

const struct quic_form quic_forms[QUIC_TYPE_END] = {
    [QUIC_GRAY] = {SPICE_BITMAP_FMT_8BIT_A, 1, 8, false},
    [QUIC_RGB16] = {SPICE_BITMAP_FMT_16BIT, 3, 5, false},
    [QUIC_RGB24] = {SPICE_BITMAP_FMT_24BIT, 3, 8, false},
    [QUIC_RGB32] = {SPICE_BITMAP_FMT_32BIT, 3, 8, false},
    [QUIC_RGBA] = {SPICE_BITMAP_FMT_RGBA, 3, 8, true},
};

static unsigned ceil_log2(unsigned v)
{
    return v <= 1 ? 0 : 32 - (unsigned)__builtin_clz(v - 1);
}

/* Codes whose words would pass QUIC_MAX_CODE escape to a plain number instead. */
static void make_code(struct quic_codes *codes, unsigned l)
{
    unsigned values = 1u << codes->bits;
    unsigned limit = MIN(QUIC_MAX_CODE - codes->bits, (values >> l) - 1);
    unsigned plain = limit << l, suffix = ceil_log2(values - plain);

    codes->escape_below[l] = l == codes->bits - 1 ? UINT64_MAX : 1ull << (64 - limit);
    codes->suffix_bits[l] = (uint8_t)suffix;
    codes->escape_length[l] = (uint8_t)(limit + suffix);
    codes->escape_base[l] = (uint8_t)plain;
    for (unsigned v = 0; v < values; v++) {
        unsigned length = v < plain ? (v >> l) + 1 + l : limit + suffix;
        unsigned word = v < plain ? 1u << l | (v & ((1u << l) - 1)) : v - plain;

        codes->word[l][v] = length << 26 | word;
        codes->length[v][codes->bits - 1 - l] = (uint16_t)length;
    }
}

static void make_codes(struct quic_codes *codes, unsigned bits)
{
    codes->bits = bits;
    memset(codes->length, 0xff, sizeof(codes->length));
    for (unsigned l = 0; l < bits; l++)
        make_code(codes, l);
}

static bool has_v3(void)
{
    unsigned a, b, c, d;

    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2") && __get_cpuid(0x80000001, &a, &b, &c, &d) &&
           (c & bit_LZCNT);
}

struct quic *quic_create(void)
{
    struct quic *quic = calloc(1, sizeof(*quic));

    if (!quic)
        return NULL;
    make_codes(&quic->codes8, 8);
    make_codes(&quic->codes5, 5);
    quic->ops = has_v3() ? &quic_ops_v3 : &quic_ops_any;
    return quic;
}

void quic_destroy(struct quic *quic)
{
    if (!quic)
        return;
    scratch_fini(&quic->rows);
    scratch_fini(&quic->stream);
    free(quic);
}

static void reset_pass(struct quic_pass *pass, const struct quic_codes *codes, unsigned channels)
{
    pass->codes = codes;
    pass->channels = channels;
    pass->wait = 0;
    pass->seed = 255;
    pass->step = 0;
    pass->step_left = QUIC_STEP_SYMBOLS;
    pass->trigger = quic_triggers[0];
    pass->run_state = 0;
    for (unsigned c = 0; c < channels; c++) {
        memset(pass->channel[c].counter, 0, sizeof(pass->channel[c].counter));
        memset(pass->channel[c].best, (int)codes->bits - 1, sizeof(pass->channel[c].best));
    }
}

/* How many rows of bytes place_rows() gives out. */
#define BYTE_ROWS (4 * QUIC_CHANNELS + 2 * 5 + 4)

/* Give each row its place; `size` is a multiple of 64, slack on both sides included. Returns the end. */
static uint8_t *place_rows(struct quic_pass *pass, uint8_t *at, size_t size)
{
    for (unsigned c = 0; c < QUIC_CHANNELS; c++)
        for (unsigned i = 0; i < 2; i++, at += 2 * size) {
            pass->plane[i][c] = at + QUIC_SLACK;
            pass->folded[i][c] = at + size + QUIC_SLACK;
        }
    for (unsigned i = 0; i < 2; i++, at += 5 * size) {
        pass->pixels[i] = (uint32_t *)at;
        pass->same[i] = (uint64_t *)(at + 4 * size);
    }
    pass->coded = (uint32_t *)(at + QUIC_SLACK);
    return at + 4 * size;
}

int quic_begin(struct quic *quic, const struct quic_form *form, uint32_t width)
{
    size_t size = ALIGN_UP((size_t)width, 64) + 2 * QUIC_SLACK, all = 2 * BYTE_ROWS * size;
    bool grown = all > quic->rows.size;
    uint8_t *at = scratch_get(&quic->rows, all);

    if (!at)
        return -ENOMEM;
    if (grown) /* vector loads take what lies around the rows: it must not matter, but it must be defined */
        memset(at, 0, all);
    at = place_rows(&quic->pass[0], at, size);
    place_rows(&quic->pass[1], at, size);
    reset_pass(&quic->pass[0], form->bits == 8 ? &quic->codes8 : &quic->codes5, form->channels);
    reset_pass(&quic->pass[1], &quic->codes8, 1);
    return 0;
}
