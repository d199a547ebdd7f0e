#include "client/stats.h"

#include "client/display_channel.h"
#include "client/playback_channel.h"
#include "client/record_channel.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const image_names[] = {
    [SPICE_IMAGE_TYPE_BITMAP] = "bitmap",
    [SPICE_IMAGE_TYPE_QUIC] = "quic",
    [SPICE_IMAGE_TYPE_LZ_PLT] = "lz-palette",
    [SPICE_IMAGE_TYPE_LZ_RGB] = "lz",
    [SPICE_IMAGE_TYPE_GLZ_RGB] = "glz",
    [SPICE_IMAGE_TYPE_FROM_CACHE] = "from-cache",
    [SPICE_IMAGE_TYPE_JPEG] = "jpeg",
    [SPICE_IMAGE_TYPE_FROM_CACHE_LOSSLESS] = "from-cache-lossless",
    [SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB] = "zlib-glz",
    [SPICE_IMAGE_TYPE_JPEG_ALPHA] = "jpeg-alpha",
    [SPICE_IMAGE_TYPE_LZ4] = "lz4",
};

static double ms(uint64_t ns)
{
    return (double)(ns / 1000) / 1000;
}

static json_t *images(const struct pictures_stats *p)
{
    json_t *o = json_object();

    for (size_t i = 0; i < ARRAY_SIZE(image_names); i++)
        if (image_names[i] && p->count[i])
            json_object_set_new(o, image_names[i], json_integer((json_int_t)p->count[i]));
    return o;
}

static void add_playback(json_t *o, const struct playback_stats *p)
{
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {{"packets", p->packets},
                {"bad_packets", p->bad},
                {"underruns", p->buffer.underruns},
                {"made_up_frames", p->buffer.made_up},
                {"left_out_frames", p->buffer.left_out},
                {"repeated_frames", p->buffer.repeated}};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        json_object_set_new(o, rows[i].name, json_integer((json_int_t)rows[i].value));
    json_object_set_new(o, "delay_ms", json_real(p->delay_ms));
}

static json_t *channel(const struct channel *c)
{
    json_t *o = json_pack(
        "{s:s, s:i, s:I, s:I, s:I, s:I, s:f}", "type", spice_channel_name(c->ops->type), "id",
        c->id, "messages_in", (json_int_t)c->stats.messages_in, "bytes_in",
        (json_int_t)c->stream.bytes_in, "messages_out", (json_int_t)c->stats.messages_out,
        "bytes_out", (json_int_t)c->stream.bytes_out, "handling_ms", ms(c->stats.handling_ns));

    if (o && c->ops->type == SPICE_CHANNEL_DISPLAY) {
        const struct pictures_stats *p = display_channel_stats(c);
        const struct video_stats *v = display_channel_video(c);

        json_object_set_new(o, "images", images(p));
        json_object_set_new(o, "decode_ms", json_real(ms(p->decode_ns)));
        json_object_set_new(o, "decoded_pixels", json_integer((json_int_t)p->decoded_pixels));
        json_object_set_new(o, "video_frames", json_integer((json_int_t)v->shown));
        json_object_set_new(o, "video_late", json_integer((json_int_t)v->late));
    }
    if (o && c->ops->type == SPICE_CHANNEL_PLAYBACK)
        add_playback(o, playback_channel_stats(c));
    if (o && c->ops->type == SPICE_CHANNEL_RECORD) {
        json_object_set_new(o, "packets", json_integer((json_int_t)record_channel_stats(c)->packets));
        json_object_set_new(o, "lost_frames", json_integer((json_int_t)record_channel_stats(c)->lost));
    }
    return o;
}

static json_t *latencies(const struct tempo *p)
{
    if (!p->answered)
        return json_null();
    return json_pack("{s:I, s:f, s:f}", "count", (json_int_t)p->answered, "median", tempo_latency_ms(p, 0.5), "p99",
                     tempo_latency_ms(p, 0.99));
}

int stats_print(struct session *s)
{
    json_t *root = json_object(), *list = json_array();
    const struct tempo *tempo = &s->screen->tempo;
    struct channel *c;
    char *text;

    TAILQ_FOREACH (c, &s->channels, entry)
        json_array_append_new(list, channel(c));
    json_object_set_new(root, "session_ms", json_real(ms(now_ns() - s->started_ns)));
    json_object_set_new(root, "first_picture_ms",
                        s->marked_ns ? json_real(ms(s->marked_ns - s->started_ns)) : json_null());
    json_object_set_new(root, "frames", json_integer((json_int_t)tempo->frames));
    json_object_set_new(root, "frames_per_s", json_real(tempo_rate(tempo)));
    json_object_set_new(root, "input_to_picture_ms", latencies(tempo));
    json_object_set_new(root, "channels", list);
    text = json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
    json_decref(root);
    if (!text)
        return -ENOMEM;
    puts(text);
    free(text);
    return 0;
}
