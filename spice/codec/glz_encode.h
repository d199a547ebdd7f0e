/*
 * glz_encode.h - making GLZ pictures (the stream: glz.h) for the display channels of a session.
 *
 * The encoder keeps a dictionary: copies of the pictures encoded last, within the window that the client told
 * (SPICE_MSGC_DISPLAY_INIT) and GLZ_ENCODER_MAX_PIXELS, whichever is less. Pictures get ids from 0 on in the order in
 * which they are encoded, and may refer to any picture before them that is still kept.
 *
 * What the caller owes the client, which keeps the same pictures by what the streams say:
 *
 *   - One encoder for each session: a client that connects anew knows no picture, and its ids begin at 0. It lives until
 *     the session's last display channel is gone, and is thrown away or reset then. A session that goes on at another
 *     server has a new encoder there, whose ids go on: so the client lets go of the pictures from before.
 *   - Every stream is sent, on any one display channel of that session; those of one channel in the order of their ids.
 *     A client holds what refers to a picture that another channel has yet to bring, and keeps all pictures after a
 *     missing id for good.
 *   - A stream that will not be sent is withdrawn before another one is made. Where that is too late, it is sent after
 *     all, for instance in a DRAW_COPY that is clipped away.
 *   - Messages that make the client forget images (INVAL_ALL_PIXMAPS, RESET) do not concern its dictionary.
 *
 * Safe from any thread: one picture is encoded at a time, which is what makes the ids of a failure or of a stream
 * withdrawn free again.
 */
#ifndef SPICE_CODEC_GLZ_ENCODE_H
#define SPICE_CODEC_GLZ_ENCODE_H

#include "base/bytes.h"
#include "spice/codec/image.h"

#define GLZ_ENCODER_MAX_PIXELS (4u << 20) /* kept at most; four bytes each */

struct glz_encoder;

/* window: pixels, as the client told; 0 where it keeps none (then each picture is -E2BIG). NULL without memory. */
struct glz_encoder *glz_encoder_create(uint32_t window);
void glz_encoder_destroy(struct glz_encoder *encoder);

/* The id that the next picture gets. */
uint64_t glz_encoder_next(const struct glz_encoder *encoder);
/* Of an encoder that has made no picture: the first one gets this id. */
void glz_encoder_go_on(struct glz_encoder *encoder, uint64_t next);

/* As if it were new; the window stays. */
void glz_encoder_reset(struct glz_encoder *encoder);

/*
 * Append the stream of a picture; *id is its number. 16BIT, 24BIT, 32BIT or RGBA. -E2BIG: it does not fit into the window
 * (LZ takes it). After an error it is as if the picture had not been tried.
 */
int glz_encode(struct glz_encoder *encoder, struct writer *w, const struct image *image,
               uint64_t *id);
/* The stream with this id is not going to be sent. -EBUSY: there is a later one, which may refer to it. */
int glz_withdraw(struct glz_encoder *encoder, uint64_t id);

#endif
