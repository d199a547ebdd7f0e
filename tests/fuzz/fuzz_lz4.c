#include "spice/codec/lz4.h"
#include "tests/fuzz/fuzz_picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct lz4 *lz4;
    struct image image;

    if (!lz4)
        lz4 = lz4_create();
    if (!fuzz_picture(&data, &size, &image))
        return 0;
    lz4_decode(lz4, data, size, &image);
    free(image.data);
    return 0;
}
