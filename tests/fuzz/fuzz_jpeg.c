#include "base/bytes.h"
#include "spice/codec/jpeg.h"
#include "tests/fuzz/fuzz_picture.h"

/* A picture's stream, and in the last two bytes where its alpha begins if it has any. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct jpeg *jpeg;
    static struct lz *lz;
    struct image image, shape;

    if (!jpeg) {
        jpeg = jpeg_codec_create();
        lz = lz_create();
    }
    if (!fuzz_picture(&data, &size, &image))
        return 0;
    if (jpeg_peek(jpeg, data, size, &shape) == 0 && shape.width && shape.width <= image.width &&
        shape.height && shape.height <= image.height) {
        image.width = shape.width;
        image.height = shape.height;
    }
    jpeg_decode(jpeg, data, size, &image);
    if (size >= 2)
        jpeg_alpha_decode(jpeg, lz, data, size - 2, load_le16(data + size - 2), &image);
    free(image.data);
    return 0;
}
