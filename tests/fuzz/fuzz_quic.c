#include "spice/codec/quic_model.h"
#include "tests/fuzz/fuzz_picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct quic *quic;
    struct image image, shape;

    if (!quic)
        quic = quic_create();
    if (!fuzz_picture(&data, &size, &image))
        return 0;
    if (quic_peek(data, size, &shape) == 0 && shape.width <= image.width &&
        shape.height <= image.height) {
        image.width = shape.width;
        image.height = shape.height;
    }
    quic_decode(quic, data, size, &image);
    /* Both sets of loops must be safe; the other one on this processor is the slow one. */
    const struct quic_ops *ops = quic->ops;
    quic->ops = &quic_ops_any;
    quic_decode(quic, data, size, &image);
    quic->ops = ops;
    free(image.data);
    return 0;
}
