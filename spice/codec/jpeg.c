#include "spice/codec/jpeg.h"

#include "spice/codec/sink.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
/* after stdio.h */
#include <jpeglib.h>

#define MAX_SCANS      64        /* a small file can ask for very many passes over the picture */
#define ROWS           2         /* read at once; of one the library would keep the other that it makes */
#define MAX_JPEG_BYTES MIB(1024) /* of memory that the library may take */

struct jpeg {
    struct jpeg_error_mgr errors;
    jmp_buf failed;
    struct jpeg_compress_struct out;
    struct jpeg_decompress_struct in;
    struct jpeg_destination_mgr to;
    struct jpeg_source_mgr from;
    struct jpeg_progress_mgr progress;
    struct sink sink;
    struct scratch row;
};

static struct jpeg *owner(j_common_ptr common)
{
    return container_of(common->err, struct jpeg, errors);
}

static NORETURN void on_error(j_common_ptr common)
{
    longjmp(owner(common)->failed, 1);
}

static void ignore_message(j_common_ptr common)
{
    (void)common;
}

/* Warnings are how the library says that data are spoilt and it guesses on. */
static void on_message(j_common_ptr common, int level)
{
    if (level < 0)
        on_error(common);
}

static void on_progress(j_common_ptr common)
{
    struct jpeg *jpeg = owner(common);

    if (common->is_decompressor && jpeg->in.input_scan_number > MAX_SCANS)
        on_error(common);
}

static void sink_start(j_compress_ptr out)
{
    struct jpeg *jpeg = owner((j_common_ptr)out);

    if (!sink_reserve(&jpeg->sink, 1))
        on_error((j_common_ptr)out);
    jpeg->to.next_output_byte = jpeg->sink.p;
    jpeg->to.free_in_buffer = (size_t)(jpeg->sink.end - jpeg->sink.p);
}

static boolean sink_more(j_compress_ptr out)
{
    struct jpeg *jpeg = owner((j_common_ptr)out);

    jpeg->sink.p = jpeg->sink.end; /* the library fills all of it */
    sink_start(out);
    return TRUE;
}

static void sink_end(j_compress_ptr out)
{
    struct jpeg *jpeg = owner((j_common_ptr)out);

    jpeg->sink.p = jpeg->to.next_output_byte;
}

static void source_nothing(j_decompress_ptr in)
{
    (void)in;
}

static boolean source_ends(j_decompress_ptr in)
{
    on_error((j_common_ptr)in);
}

static void source_skip(j_decompress_ptr in, long n)
{
    if (n < 0 || (size_t)n > in->src->bytes_in_buffer)
        on_error((j_common_ptr)in);
    in->src->next_input_byte += n;
    in->src->bytes_in_buffer -= (size_t)n;
}

static bool start_library(struct jpeg *jpeg)
{
    if (setjmp(jpeg->failed))
        return false;
    jpeg_create_compress(&jpeg->out);
    jpeg_create_decompress(&jpeg->in);
    jpeg->in.mem->max_memory_to_use = (long)MAX_JPEG_BYTES;
    return true;
}

struct jpeg *jpeg_codec_create(void)
{
    struct jpeg *jpeg = calloc(1, sizeof(*jpeg));

    if (!jpeg)
        return NULL;
    jpeg->out.err = jpeg->in.err = jpeg_std_error(&jpeg->errors);
    jpeg->errors.error_exit = on_error;
    jpeg->errors.output_message = ignore_message;
    jpeg->errors.emit_message = on_message;
    if (!start_library(jpeg)) {
        jpeg_codec_destroy(jpeg);
        return NULL;
    }
    jpeg->to = (struct jpeg_destination_mgr){.init_destination = sink_start,
                                             .empty_output_buffer = sink_more,
                                             .term_destination = sink_end};
    jpeg->from = (struct jpeg_source_mgr){.init_source = source_nothing,
                                          .fill_input_buffer = source_ends,
                                          .skip_input_data = source_skip,
                                          .resync_to_restart = jpeg_resync_to_restart,
                                          .term_source = source_nothing};
    jpeg->progress.progress_monitor = on_progress;
    jpeg->out.dest = &jpeg->to;
    jpeg->in.src = &jpeg->from;
    jpeg->in.progress = &jpeg->progress;
    return jpeg;
}

void jpeg_codec_destroy(struct jpeg *jpeg)
{
    if (!jpeg)
        return;
    jpeg_destroy_compress(&jpeg->out);
    jpeg_destroy_decompress(&jpeg->in);
    scratch_fini(&jpeg->row);
    free(jpeg);
}

/* The library's name for a format that it takes as it is. */
static J_COLOR_SPACE color_space(uint8_t format)
{
    return format == SPICE_BITMAP_FMT_24BIT ? JCS_EXT_BGR : JCS_EXT_BGRX;
}

static void put_rows(struct jpeg *jpeg, const struct image *image)
{
    for (uint32_t y = 0; y < image->height; y++) {
        JSAMPROW row = image_row(image, y);

        if (image->format == SPICE_BITMAP_FMT_16BIT) {
            image_row_to_rgb32(jpeg->row.data, row, image->format, image->width, NULL);
            row = jpeg->row.data;
        }
        jpeg_write_scanlines(&jpeg->out, &row, 1);
    }
}

static int encode(struct jpeg *jpeg, const struct image *image, int quality)
{
    struct jpeg_compress_struct *out = &jpeg->out;

    if (setjmp(jpeg->failed)) {
        jpeg_abort_compress(out);
        return -ENOSPC;
    }
    out->image_width = image->width;
    out->image_height = image->height;
    out->in_color_space = color_space(image->format);
    out->input_components = image->format == SPICE_BITMAP_FMT_24BIT ? 3 : 4;
    jpeg_set_defaults(out);
    jpeg_set_quality(out, quality, TRUE);
    jpeg_start_compress(out, TRUE);
    put_rows(jpeg, image);
    jpeg_finish_compress(out);
    return 0;
}

int jpeg_encode(struct jpeg *jpeg, struct writer *w, const struct image *image, int quality)
{
    int err;

    if (image_check(image) || image->format < SPICE_BITMAP_FMT_16BIT ||
        image->format > SPICE_BITMAP_FMT_RGBA || quality < 1 || quality > 100)
        return -EINVAL;
    if (!scratch_get(&jpeg->row, 4 * (size_t)image->width))
        return -ENOMEM;
    sink_begin(&jpeg->sink, w);
    err = encode(jpeg, image, quality);
    if (err)
        sink_abort(&jpeg->sink);
    else
        sink_commit(&jpeg->sink);
    return err;
}

static void read_header(struct jpeg *jpeg, const void *data, size_t size)
{
    jpeg->from.next_input_byte = data;
    jpeg->from.bytes_in_buffer = size;
    if (jpeg_read_header(&jpeg->in, TRUE) != JPEG_HEADER_OK)
        on_error((j_common_ptr)&jpeg->in);
}

static void take_rows(struct jpeg *jpeg, const struct image *image, bool smooth)
{
    struct jpeg_decompress_struct *in = &jpeg->in;

    if (in->image_width != image->width || in->image_height != image->height)
        on_error((j_common_ptr)in);
    in->out_color_space = JCS_EXT_BGRX;
    in->do_fancy_upsampling = smooth;
    jpeg_start_decompress(in);
    while (in->output_scanline < in->output_height) {
        uint32_t y = in->output_scanline;
        JSAMPROW rows[ROWS] = {image_row(image, y), image_row(image, MIN(y + 1, image->height - 1))};

        if (jpeg_read_scanlines(in, rows, MIN(ROWS, in->output_height - y)) < 1)
            on_error((j_common_ptr)in);
    }
    jpeg_finish_decompress(in);
}

/* The library leaves 255 in the fourth byte. */
static void clear_fourth(const struct image *image)
{
    for (uint32_t y = 0; y < image->height; y++)
        image_row_to_rgb32(image_row(image, y), image_row(image, y), image->format, image->width,
                           NULL);
}

static int decode(struct jpeg *jpeg, const void *data, size_t size, const struct image *image, bool smooth)
{
    if (setjmp(jpeg->failed)) {
        jpeg_abort_decompress(&jpeg->in);
        return -EBADMSG;
    }
    read_header(jpeg, data, size);
    take_rows(jpeg, image, smooth);
    return 0;
}

int jpeg_decode(struct jpeg *jpeg, const void *data, size_t size, const struct image *image)
{
    int err;

    if (image_check(image) ||
        (image->format != SPICE_BITMAP_FMT_32BIT && image->format != SPICE_BITMAP_FMT_RGBA))
        return -EINVAL;
    err = decode(jpeg, data, size, image, true);
    if (!err && image->format == SPICE_BITMAP_FMT_32BIT)
        clear_fourth(image);
    return err;
}

int jpeg_decode_frame(struct jpeg *jpeg, const void *data, size_t size, const struct image *image)
{
    if (image_check(image) || image->format != SPICE_BITMAP_FMT_32BIT)
        return -EINVAL;
    return decode(jpeg, data, size, image, false);
}

int jpeg_peek(struct jpeg *jpeg, const void *data, size_t size, struct image *shape)
{
    if (setjmp(jpeg->failed)) {
        jpeg_abort_decompress(&jpeg->in);
        return -EBADMSG;
    }
    read_header(jpeg, data, size);
    shape->width = jpeg->in.image_width;
    shape->height = jpeg->in.image_height;
    shape->format = SPICE_BITMAP_FMT_32BIT;
    jpeg_abort_decompress(&jpeg->in);
    return shape->width <= IMAGE_MAX_SIDE && shape->height <= IMAGE_MAX_SIDE ? 0 : -EBADMSG;
}

int jpeg_alpha_encode(struct jpeg *jpeg, struct lz *lz, struct writer *w, const struct image *image,
                      int quality, size_t *jpeg_size)
{
    size_t start = w->size;
    int err;

    if (image->format != SPICE_BITMAP_FMT_RGBA)
        return -EINVAL;
    err = jpeg_encode(jpeg, w, image, quality);
    if (err)
        return err;
    *jpeg_size = w->size - start;
    err = lz_encode_alpha(lz, w, image);
    if (err)
        w->size = start;
    return err;
}

int jpeg_alpha_decode(struct jpeg *jpeg, struct lz *lz, const void *data, size_t size,
                      size_t jpeg_size, const struct image *image)
{
    int err;

    if (image->format != SPICE_BITMAP_FMT_RGBA)
        return -EINVAL;
    if (jpeg_size > size)
        return -EBADMSG;
    err = jpeg_decode(jpeg, data, jpeg_size, image);
    if (err)
        return err;
    return lz_decode_alpha(lz, (const uint8_t *)data + jpeg_size, size - jpeg_size, image);
}
