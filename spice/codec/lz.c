#include "spice/codec/lz_wire.h"

#include <errno.h>
#include <stdlib.h>

static const uint8_t formats[LZ_TYPE_END] = {
    [LZ_TYPE_PLT1_LE] = SPICE_BITMAP_FMT_1BIT_LE, [LZ_TYPE_PLT1_BE] = SPICE_BITMAP_FMT_1BIT_BE,
    [LZ_TYPE_PLT4_LE] = SPICE_BITMAP_FMT_4BIT_LE, [LZ_TYPE_PLT4_BE] = SPICE_BITMAP_FMT_4BIT_BE,
    [LZ_TYPE_PLT8] = SPICE_BITMAP_FMT_8BIT,       [LZ_TYPE_RGB16] = SPICE_BITMAP_FMT_16BIT,
    [LZ_TYPE_RGB24] = SPICE_BITMAP_FMT_24BIT,     [LZ_TYPE_RGB32] = SPICE_BITMAP_FMT_32BIT,
    [LZ_TYPE_RGBA] = SPICE_BITMAP_FMT_RGBA,       [LZ_TYPE_XXXA] = SPICE_BITMAP_FMT_RGBA,
    [LZ_TYPE_A8] = SPICE_BITMAP_FMT_8BIT_A,
};

uint8_t lz_format_of(uint32_t type)
{
    return type < LZ_TYPE_END ? formats[type] : SPICE_BITMAP_FMT_INVALID;
}

struct lz *lz_create(void)
{
    return calloc(1, sizeof(struct lz));
}

void lz_destroy(struct lz *lz)
{
    if (!lz)
        return;
    scratch_fini(&lz->pixels);
    scratch_fini(&lz->plane);
    free(lz);
}
