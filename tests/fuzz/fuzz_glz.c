#include "spice/codec/glz.h"
#include "tests/fuzz/fuzz_picture.h"

#include "base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * The input is a row of pictures for one window: each a length (u16), the five bytes of fuzz_picture() and a stream; an odd
 * height byte means zlib.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct glz_window *window = glz_window_create(100000);

    while (size > 2) {
        size_t part = load_le16(data), left;
        const uint8_t *stream = data + 2;
        struct image image, shape;

        part = MIN(part, size - 2);
        left = part;
        if (fuzz_picture(&stream, &left, &image)) {
            if (glz_peek(stream, left, &shape) == 0 && shape.width <= image.width &&
                shape.height <= image.height && image.format == shape.format) {
                image.width = shape.width;
                image.height = shape.height;
            }
            if (data[5] & 1)
                glz_decode_zlib(window, stream, left, 33 + data[4] * 16u, &image);
            else
                glz_decode(window, stream, left, &image);
            free(image.data);
        }
        data += 2 + part;
        size -= 2 + part;
    }
    glz_window_destroy(window);
    return 0;
}
