/* Frames of a stream from a hostile server. The first byte chooses the codec; each frame has two bytes of length before it. */
#include "spice/codec/video.h"
#include "tests/fuzz/fuzz_picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct video_decoder *d = NULL;
    struct image image;

    if (size)
        d = video_decoder_create(data[0] % SPICE_VIDEO_CODEC_TYPE_ENUM_END);
    if (!d)
        return 0;
    data++;
    size--;
    if (fuzz_picture(&data, &size, &image)) {
        while (size > 2) {
            size_t length = MIN((size_t)(data[0] | data[1] << 8), size - 2);

            video_decode(d, data + 2, length, &image);
            data += 2 + length;
            size -= 2 + length;
        }
        free(image.data);
    }
    video_decoder_destroy(d);
    return 0;
}
