#include "spice/codec/lz.h"
#include "tests/fuzz/fuzz_picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t colors[16] = {0xffffff, 0x123456};
    static struct lz *lz;
    struct palette palette = {colors, 16};
    struct image image, shape;

    if (!lz)
        lz = lz_create();
    if (!fuzz_picture(&data, &size, &image))
        return 0;
    /* Most inputs name another size than the stream's: take the stream's, if it is small. */
    if (lz_peek(data, size, &shape) == 0 && shape.width <= image.width &&
        shape.height <= image.height) {
        image.width = shape.width;
        image.height = shape.height;
    }
    lz_decode(lz, data, size, &image, &palette);
    lz_decode_alpha(lz, data, size, &image);
    free(image.data);
    return 0;
}
