#include "tests/lib/spice_peer.h"

#include "spice/codec/glz.h"
#include "spice/codec/jpeg.h"
#include "spice/codec/lz.h"
#include "spice/codec/lz4.h"
#include "spice/codec/quic.h"
#include "spice/codec/video.h"
#include "tests/lib/pictures.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* --- bytes --- */

int peer_connect(int port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

static void *run_tunnel(void *arg)
{
    struct peer_tunnel *t = arg;
    struct pollfd p[2] = {{.fd = t->socket, .events = POLLIN}, {.fd = t->clear, .events = POLLIN}};
    bool goes_on = true;

    while (goes_on && poll(p, 2, -1) > 0)
        goes_on = (!p[0].revents || t->bring(t)) && (!p[1].revents || t->take(t));
    close(t->socket);
    close(t->clear);
    t->end(t);
    return NULL;
}

int peer_tunnel_start(struct peer_tunnel *t)
{
    pthread_attr_t attr;
    pthread_t thread;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    t->clear = pair[1];
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_create(&thread, &attr, run_tunnel, t);
    pthread_attr_destroy(&attr);
    return pair[0];
}

bool peer_write(int fd, const void *data, size_t size)
{
    return send(fd, data, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static bool wait_readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, timeout_ms) == 1;
}

static bool read_within(int fd, void *data, size_t size, int timeout_ms)
{
    uint8_t *p = data;

    while (size) {
        ssize_t n = wait_readable(fd, timeout_ms) ? recv(fd, p, size, 0) : 0;

        if (n <= 0)
            return false;
        p += n;
        size -= n;
    }
    return true;
}

bool peer_read_bytes(int fd, void *data, size_t size)
{
    return read_within(fd, data, size, PEER_TIMEOUT_MS);
}

bool peer_closed(int fd, int timeout_ms)
{
    char c[256];
    ssize_t n = 1;

    while (n > 0 && wait_readable(fd, timeout_ms))
        n = recv(fd, c, sizeof(c), 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

/* --- link --- */

void peer_link_message(const struct peer *p, unsigned id, uint32_t connection, struct writer *w)
{
    uint32_t caps[2] = {(p->no_selection ? 0 : 1u << SPICE_COMMON_CAP_PROTOCOL_AUTH_SELECTION) |
                            1u << SPICE_COMMON_CAP_AUTH_SPICE |
                            (p->full_header ? 0 : 1u << SPICE_COMMON_CAP_MINI_HEADER),
                        p->caps};
    struct spice_link_mess mess = {connection, p->channel, id, 1, 1, caps};
    struct spice_link_header header = {SPICE_MAGIC, SPICE_VERSION_MAJOR, SPICE_VERSION_MINOR,
                                       18 + 8};

    assert_int_equal(msg_encode(&spice_link_header_type, &header, w), 0);
    assert_int_equal(msg_encode(&spice_link_mess_type, &mess, w), 0);
}

bool peer_hear_reply(int fd, struct spice_link_reply *reply)
{
    struct msg_arena arena = {0};
    uint8_t bytes[SPICE_LINK_MAX_SIZE];
    uint32_t size;
    void *msg;

    if (!peer_read_bytes(fd, bytes, 16))
        return false;
    assert_int_equal(load_le32(bytes), SPICE_MAGIC);
    size = load_le32(bytes + 12);
    assert_in_range(size, sizeof(SpiceLinkReply), sizeof(bytes));
    if (!peer_read_bytes(fd, bytes, size))
        return false;
    assert_int_equal(msg_decode(&spice_link_reply_type, bytes, size, &arena, &msg), 0);
    *reply = *(struct spice_link_reply *)msg;
    reply->caps = NULL;
    msg_arena_fini(&arena);
    return true;
}

unsigned peer_read_reply(int fd, struct spice_link_reply *reply)
{
    assert_true(peer_hear_reply(fd, reply));
    return reply->error;
}

void peer_encrypt(const struct spice_link_reply *reply, const char *password, uint8_t ticket[128])
{
    const uint8_t *der = reply->pub_key;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &der, sizeof(reply->pub_key));
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    size_t size = 128;

    assert_non_null(ctx);
    assert_int_equal(EVP_PKEY_encrypt_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING), 1);
    assert_int_equal(
        EVP_PKEY_encrypt(ctx, ticket, &size, (const uint8_t *)password, strlen(password) + 1), 1);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
}

unsigned peer_link(struct peer *p, int port, unsigned channel, unsigned id, uint32_t connection,
                   const char *password)
{
    struct spice_link_reply reply;
    uint8_t ticket[128], mechanism[4];
    struct writer w;

    p->channel = channel;
    p->fd = (p->connect ? p->connect : peer_connect)(port);
    writer_init(&w, 1000);
    peer_link_message(p, id, connection, &w);
    assert_true(peer_write(p->fd, w.data, w.size));
    writer_fini(&w);
    if (peer_read_reply(p->fd, &reply))
        return reply.error;
    peer_encrypt(&reply, password, ticket);
    store_le32(mechanism, SPICE_COMMON_CAP_AUTH_SPICE);
    if (!p->no_selection)
        assert_true(peer_write(p->fd, mechanism, 4));
    assert_true(peer_write(p->fd, ticket, sizeof(ticket)));
    assert_true(peer_read_bytes(p->fd, mechanism, 4));
    return load_le32(mechanism);
}

void peer_close(struct peer *p)
{
    if (p->fd >= 0)
        close(p->fd);
    free(p->body);
    msg_arena_fini(&p->arena);
    *p = (struct peer){.fd = -1};
}

/* --- messages --- */

void peer_message(struct peer *p, unsigned id, const void *msg, struct writer *w)
{
    const struct spice_msg_info *info = spice_msg_find(p->channel, SPICE_TO_SERVER, id);
    struct spice_header header = {.serial = ++p->serial, .type = id};
    struct writer body;

    assert_non_null(info);
    writer_init(&body, MIB(1));
    assert_int_equal(msg_encode(info->type, msg, &body), 0);
    header.size = body.size;
    msg_encode(p->full_header ? &spice_header_type : &spice_mini_header_type, &header, w);
    writer_bytes(w, body.data, body.size);
    writer_fini(&body);
}

void peer_send(struct peer *p, unsigned id, const void *msg)
{
    struct writer w;

    writer_init(&w, MIB(1) + 100);
    peer_message(p, id, msg, &w);
    peer_write(p->fd, w.data, w.size);
    writer_fini(&w);
}

static void acknowledge(struct peer *p, const struct spice_msg_info *info, const void *msg)
{
    if (info->id == SPICE_MSG_SET_ACK) {
        const struct spice_msg_set_ack *set = msg;

        p->ack_window = p->ack_count = set->window;
        peer_send(p, SPICE_MSGC_ACK_SYNC, &(struct spice_msgc_ack_sync){set->generation});
    } else if (p->ack_window && --p->ack_count == 0) {
        p->ack_count = p->ack_window;
        peer_send(p, SPICE_MSGC_ACK, NULL);
    }
    if (info->id == SPICE_MSG_PING && p->channel != SPICE_CHANNEL_MAIN) {
        const struct spice_msg_ping *ping = msg;

        peer_send(p, SPICE_MSGC_PONG, &(struct spice_msgc_pong){ping->id, ping->timestamp});
    }
}

const struct spice_msg_info *peer_receive(struct peer *p, void **msg, int timeout_ms)
{
    uint8_t header[SPICE_HEADER_SIZE];
    size_t header_size = p->full_header ? SPICE_HEADER_SIZE : SPICE_MINI_HEADER_SIZE;
    const uint8_t *h = p->full_header ? header + 8 : header;
    const struct spice_msg_info *info;
    uint32_t size;

    if (!read_within(p->fd, header, header_size, timeout_ms))
        return NULL;
    if (p->full_header)
        assert_int_equal(load_le64(header), p->messages + 1);
    size = load_le32(h + 2);
    assert_true(size <= MSG_MAX_SIZE);
    free(p->body);
    p->body = malloc(size + 1);
    assert_true(peer_read_bytes(p->fd, p->body, size));
    info = spice_msg_find(p->channel, SPICE_TO_CLIENT, load_le16(h));
    assert_non_null(info);
    msg_arena_reset(&p->arena);
    assert_int_equal(msg_decode(info->type, p->body, size, &p->arena, msg), 0);
    p->bytes += header_size + size;
    p->messages++;
    acknowledge(p, info, *msg);
    return info;
}

void *peer_expect(struct peer *p, unsigned id)
{
    const struct spice_msg_info *info;
    void *msg;

    do {
        info = peer_receive(p, &msg, PEER_TIMEOUT_MS);
        if (!info)
            fail_msg("message %u did not come", id);
    } while (info->id != id);
    return msg;
}

/* --- pictures --- */

static void decode_image(struct peer_screen *s, const struct spice_image *from, struct image *to)
{
    struct jpeg *jpeg = jpeg_codec_create();
    struct quic *quic = quic_create();
    struct lz4 *lz4 = lz4_create();
    struct lz *lz = lz_create();

    if (!s->glz)
        s->glz = glz_window_create(PEER_GLZ_PIXELS);
    s->types |= 1ull << from->type % 64;
    switch (from->type) {
    case SPICE_IMAGE_TYPE_GLZ_RGB:
        assert_int_equal(glz_decode(s->glz, from->data.data, from->data.size, to), 0);
        break;
    case SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB:
        assert_int_equal(glz_decode_zlib(s->glz, from->zlib_glz.data, from->zlib_glz.size,
                                         from->zlib_glz.glz_size, to),
                         0);
        break;
    case SPICE_IMAGE_TYPE_BITMAP:
        assert_int_equal(from->bitmap.format, SPICE_BITMAP_FMT_32BIT);
        assert_int_equal(from->bitmap.flags, SPICE_BITMAP_FLAGS_TOP_DOWN);
        image_copy_rows(to, from->bitmap.data, from->bitmap.stride);
        break;
    case SPICE_IMAGE_TYPE_LZ_RGB:
        assert_int_equal(lz_decode(lz, from->data.data, from->data.size, to, NULL), 0);
        break;
    case SPICE_IMAGE_TYPE_LZ4:
        assert_int_equal(lz4_decode(lz4, from->data.data, from->data.size, to), 0);
        break;
    case SPICE_IMAGE_TYPE_QUIC:
        assert_int_equal(quic_decode(quic, from->data.data, from->data.size, to), 0);
        break;
    case SPICE_IMAGE_TYPE_JPEG:
        assert_int_equal(jpeg_decode(jpeg, from->data.data, from->data.size, to), 0);
        break;
    default:
        fail_msg("image type %u", from->type);
    }
    jpeg_codec_destroy(jpeg);
    quic_destroy(quic);
    lz4_destroy(lz4);
    lz_destroy(lz);
}

/* --- the cache --- */

static size_t kept_at(const struct peer_screen *s, uint64_t id)
{
    size_t i = 0;

    while (i < PEER_KEPT && (!s->kept[i].data || s->kept_ids[i] != id))
        i++;
    return i;
}

static void forget(struct peer_screen *s, size_t i)
{
    s->kept_pixels -= (uint64_t)s->kept[i].width * s->kept[i].height;
    picture_free(&s->kept[i]);
    s->kept[i].data = NULL;
}

static void keep(struct peer_screen *s, uint64_t id, const struct image *image)
{
    size_t i = 0;

    assert_int_equal(kept_at(s, id), PEER_KEPT);
    while (i < PEER_KEPT && s->kept[i].data)
        i++;
    assert_true(i < PEER_KEPT);
    s->kept_ids[i] = id;
    s->kept[i] = picture_new(SPICE_BITMAP_FMT_32BIT, image->width, image->height, 0);
    image_copy_rows(&s->kept[i], image->data, image->stride);
    s->kept_pixels += (uint64_t)image->width * image->height;
    assert_true(s->kept_pixels <= PEER_CACHE_PIXELS);
}

static void forget_list(struct peer_screen *s, const struct spice_msg_display_inval_list *m)
{
    for (uint32_t i = 0; i < m->count; i++) {
        size_t at = kept_at(s, m->resources[i].id);

        assert_int_equal(m->resources[i].type, SPICE_RES_TYPE_PIXMAP);
        assert_true(at < PEER_KEPT);
        forget(s, at);
        s->forgotten++;
    }
}

static void draw_kept(struct peer_screen *s, uint64_t id, const struct image *to)
{
    size_t at = kept_at(s, id);

    assert_true(at < PEER_KEPT);
    assert_int_equal(s->kept[at].width, to->width);
    assert_int_equal(s->kept[at].height, to->height);
    image_copy_rows(to, s->kept[at].data, s->kept[at].stride);
    s->reused++;
}

static bool is_inside(const struct peer_screen *s, const struct rect *r)
{
    return r->left >= 0 && r->top >= 0 && r->left < r->right && r->top < r->bottom &&
           r->right <= (int32_t)s->width && r->bottom <= (int32_t)s->height;
}

static void draw_copy(struct peer_screen *s, const struct spice_msg_display_draw_copy *m)
{
    const struct rect *box = &m->base.box;
    struct image to = {
        .data = s->pixels + ((size_t)box->top * s->width + box->left) * 4,
        .width = m->src->width,
        .height = m->src->height,
        .stride = s->width * 4,
        .format = SPICE_BITMAP_FMT_32BIT,
    };

    assert_non_null(s->pixels);
    assert_int_equal(m->rop, SPICE_ROPD_OP_PUT);
    assert_true(is_inside(s, box));
    assert_int_equal(box->right - box->left, m->src->width);
    assert_int_equal(box->bottom - box->top, m->src->height);
    if (m->src->type == SPICE_IMAGE_TYPE_FROM_CACHE) {
        draw_kept(s, m->src->id, &to);
        return;
    }
    decode_image(s, m->src, &to);
    if (m->src->flags & SPICE_IMAGE_FLAGS_CACHE_ME)
        keep(s, m->src->id, &to);
    s->draws++;
    s->drawn += (uint64_t)to.width * to.height;
}

static void draw_fill(struct peer_screen *s, const struct spice_msg_display_draw_fill *m)
{
    const struct rect *box = &m->base.box;

    assert_non_null(s->pixels);
    assert_int_equal(m->rop, SPICE_ROPD_OP_PUT);
    assert_int_equal(m->brush.type, SPICE_BRUSH_TYPE_SOLID);
    assert_int_equal(m->base.clip.type, SPICE_CLIP_TYPE_NONE);
    assert_true(is_inside(s, box));
    for (int32_t y = box->top; y < box->bottom; y++)
        for (int32_t x = box->left; x < box->right; x++)
            store_le32(s->pixels + ((size_t)y * s->width + x) * 4, m->brush.color & 0xffffff);
    s->fills++;
}

/* All pixels come from where they were before. */
static void copy_bits(struct peer_screen *s, const struct spice_msg_display_copy_bits *m)
{
    const struct spice_clip *clip = &m->base.clip;
    const struct rect *rects = clip->type == SPICE_CLIP_TYPE_RECTS ? clip->rects : &m->base.box;
    uint32_t count = clip->type == SPICE_CLIP_TYPE_RECTS ? clip->count : 1;
    int32_t dx = m->base.box.left - m->src_pos.x, dy = m->base.box.top - m->src_pos.y;
    size_t size = (size_t)s->width * s->height * 4;
    uint8_t *before = malloc(size);

    assert_non_null(s->pixels);
    memcpy(before, s->pixels, size);
    for (uint32_t i = 0; i < count; i++) {
        struct rect r = rect_intersect(&rects[i], &m->base.box);
        struct rect from = {r.left - dx, r.top - dy, r.right - dx, r.bottom - dy};

        assert_true(is_inside(s, &r) && is_inside(s, &from));
        for (int32_t y = r.top; y < r.bottom; y++)
            memcpy(s->pixels + ((size_t)y * s->width + r.left) * 4,
                   before + ((size_t)(y - dy) * s->width + from.left) * 4,
                   (r.right - r.left) * 4);
    }
    free(before);
    s->copies++;
}

/* --- video --- */

static struct peer_stream *stream_of(struct peer_screen *s, uint32_t id)
{
    assert_true(id < PEER_STREAMS && s->streams[id].decoder);
    return &s->streams[id];
}

static void set_clip(struct peer_stream *stream, const struct spice_clip *clip)
{
    free(stream->clip);
    stream->clipped = clip->type == SPICE_CLIP_TYPE_RECTS;
    stream->clip_count = stream->clipped ? clip->count : 0;
    stream->clip = calloc(stream->clip_count + 1, sizeof(*stream->clip));
    if (stream->clip_count)
        memcpy(stream->clip, clip->rects, stream->clip_count * sizeof(*stream->clip));
}

static void begin_stream(struct peer_screen *s, const struct spice_msg_display_stream_create *m)
{
    struct peer_stream *stream;

    assert_true(m->id < PEER_STREAMS && !s->streams[m->id].decoder);
    assert_true(is_inside(s, &m->dest));
    assert_int_equal(m->stream_width, m->dest.right - m->dest.left);
    assert_int_equal(m->stream_height, m->dest.bottom - m->dest.top);
    assert_int_equal(m->flags, SPICE_STREAM_FLAGS_TOP_DOWN);
    stream = &s->streams[m->id];
    stream->decoder = video_decoder_create(m->codec_type);
    assert_non_null(stream->decoder);
    stream->codec = m->codec_type;
    stream->dest = m->dest;
    set_clip(stream, &m->clip);
    s->streams_begun++;
}

static void end_stream(struct peer_stream *stream)
{
    video_decoder_destroy(stream->decoder);
    free(stream->clip);
    *stream = (struct peer_stream){0};
}

static void show_part(struct peer_screen *s, const struct rect *dest, const struct image *frame, const struct rect *part)
{
    struct rect r = rect_intersect(part, dest);

    for (int32_t y = r.top; y < r.bottom && r.left < r.right; y++)
        memcpy(s->pixels + ((size_t)y * s->width + r.left) * 4,
               image_row(frame, y - dest->top) + (r.left - dest->left) * 4, (r.right - r.left) * 4);
}

static void show_frame(struct peer_screen *s, const struct spice_msg_display_stream_data *m, const struct rect *dest)
{
    struct peer_stream *stream = stream_of(s, m->id);
    struct image frame = picture_new(SPICE_BITMAP_FMT_32BIT, dest->right - dest->left, dest->bottom - dest->top, 0);

    assert_int_equal(video_decode(stream->decoder, m->data, m->data_size, &frame), 0);
    assert_true(!stream->frames || (int32_t)(m->multi_media_time - stream->last_time) > 0);
    stream->last_time = m->multi_media_time;
    stream->frames++;
    s->frames++;
    s->keys += stream->codec == SPICE_VIDEO_CODEC_TYPE_VP8 && !(m->data[0] & 1); /* RFC 6386, 9.1 */
    if (!stream->clipped)
        show_part(s, dest, &frame, dest);
    for (uint32_t i = 0; i < stream->clip_count; i++)
        show_part(s, dest, &frame, &stream->clip[i]);
    picture_free(&frame);
}

static void show_sized_frame(struct peer_screen *s, const struct spice_msg_display_stream_data *m)
{
    assert_int_equal(m->width, m->dest.right - m->dest.left);
    assert_int_equal(m->height, m->dest.bottom - m->dest.top);
    show_frame(s, m, &m->dest);
    s->sized = rect_union(&s->sized, &m->dest);
    s->sized_frames++;
}

const struct peer_stream *peer_only_stream(const struct peer_screen *s)
{
    const struct peer_stream *found = NULL;

    for (size_t i = 0; i < PEER_STREAMS; i++)
        if (s->streams[i].decoder) {
            if (found)
                return NULL;
            found = &s->streams[i];
        }
    return found;
}

static void create_surface(struct peer_screen *s, const struct spice_msg_display_surface_create *m)
{
    assert_null(s->pixels);
    assert_int_equal(m->format, SPICE_SURFACE_FMT_32_xRGB);
    assert_int_equal(m->flags, SPICE_SURFACE_FLAGS_PRIMARY);
    s->width = m->width;
    s->height = m->height;
    s->pixels = calloc((size_t)m->width * m->height, 4);
    s->marked = false;
}

void peer_screen_fini(struct peer_screen *s)
{
    for (size_t i = 0; i < PEER_KEPT; i++)
        if (s->kept[i].data)
            forget(s, i);
    for (size_t i = 0; i < PEER_STREAMS; i++)
        end_stream(&s->streams[i]);
    glz_window_destroy(s->glz);
    free(s->pixels);
    *s = (struct peer_screen){0};
}

void peer_screen_apply(struct peer_screen *s, const struct spice_msg_info *info, const void *msg)
{
    switch (info->id) {
    case SPICE_MSG_SET_ACK:
    case SPICE_MSG_PING:
    case SPICE_MSG_DISPLAY_MONITORS_CONFIG:
        break;
    case SPICE_MSG_DISPLAY_SURFACE_CREATE:
        create_surface(s, msg);
        break;
    case SPICE_MSG_DISPLAY_SURFACE_DESTROY:
        assert_non_null(s->pixels);
        free(s->pixels);
        s->pixels = NULL;
        break;
    case SPICE_MSG_DISPLAY_MARK:
        s->marked = true;
        break;
    case SPICE_MSG_DISPLAY_DRAW_COPY:
        draw_copy(s, msg);
        break;
    case SPICE_MSG_DISPLAY_INVAL_LIST:
        forget_list(s, msg);
        break;
    case SPICE_MSG_DISPLAY_INVAL_ALL_PIXMAPS:
        for (size_t i = 0; i < PEER_KEPT; i++)
            if (s->kept[i].data)
                forget(s, i);
        break;
    case SPICE_MSG_DISPLAY_DRAW_FILL:
        draw_fill(s, msg);
        break;
    case SPICE_MSG_DISPLAY_COPY_BITS:
        copy_bits(s, msg);
        break;
    case SPICE_MSG_DISPLAY_STREAM_CREATE:
        begin_stream(s, msg);
        break;
    case SPICE_MSG_DISPLAY_STREAM_DATA:
        show_frame(s, msg, &stream_of(s, ((const struct spice_msg_display_stream_data *)msg)->id)->dest);
        break;
    case SPICE_MSG_DISPLAY_STREAM_DATA_SIZED:
        show_sized_frame(s, msg);
        break;
    case SPICE_MSG_DISPLAY_STREAM_CLIP:
        set_clip(stream_of(s, ((const struct spice_msg_display_stream_clip *)msg)->id),
                 &((const struct spice_msg_display_stream_clip *)msg)->clip);
        break;
    case SPICE_MSG_DISPLAY_STREAM_ACTIVATE_REPORT: {
        const struct spice_msg_display_stream_activate_report *m = msg;

        stream_of(s, m->stream_id)->unique_id = m->unique_id;
        break;
    }
    case SPICE_MSG_DISPLAY_STREAM_DESTROY:
        end_stream(stream_of(s, ((const struct spice_msg_display_stream_destroy *)msg)->id));
        break;
    default:
        fail_msg("display message %s", info->name);
    }
}
