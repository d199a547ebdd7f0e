/*
 * msg.h - messages as data: one table of fields yields the decoder, the encoder, the bounds checks and the trace text.
 *
 * A `struct msg_type` maps a plain C struct to its place on the wire (little-endian, no padding). Offset pointers are u32
 * offsets from the first byte of the message body, 0 for none. The tables are in tables_*.c, the structs in messages.h.
 *
 * Decoded structs and arrays live in an arena; byte arrays are not copied but point into the body, which must outlive
 * them. Nothing here trusts the body: counts have maxima, every access is inside it, the arena bounds memory, unknown
 * values of a discriminator (an image type, say) are refused. Bytes after the last field are ignored, so that a newer
 * peer may add some. No global state: any thread.
 */
#ifndef SPICE_PROTOCOL_MSG_H
#define SPICE_PROTOCOL_MSG_H

#include "base/bytes.h"

#define MSG_MAX_DEPTH    8        /* structs inside structs or behind pointers */
#define MSG_MAX_POINTERS 64       /* that one message may hold */
#define MSG_ARENA_MAX    MIB(4)   /* memory for what one message decodes to */
#define MSG_MAX_SIZE     MIB(128) /* largest body anybody may send: a raw picture of 8192x4096 */

enum msg_kind {
    MSG_SCALAR,        /* an integer */
    MSG_STRUCT,        /* a struct in place */
    MSG_FIXED,         /* count.fixed integers in place */
    MSG_ARRAY,         /* in memory a pointer; on the wire the elements, in place */
    MSG_REST,          /* in memory a pointer and a size; on the wire all bytes that are left */
    MSG_POINTER,       /* in memory a pointer; on the wire the offset of one struct */
    MSG_POINTER_ARRAY, /* in memory a pointer; on the wire the offset of count elements */
};

enum msg_test { MSG_ALWAYS, MSG_EQUAL, MSG_NOT_EQUAL, MSG_ANY_BIT, MSG_NO_BIT };

/* An integer member of the same struct, decoded before; size 0 is none. */
struct msg_ref {
    uint16_t offset;
    uint8_t size;
};

/*
 * How many elements: `a` (+ `plus`), or with `b` the bytes of a picture: (a * bits + 7) / 8 * b, or `fixed`.
 * `max` bounds it.
 */
struct msg_count {
    struct msg_ref a, b, plus;
    uint8_t bits;
    uint32_t fixed, max;
};

/* The field exists only if this holds. */
struct msg_when {
    enum msg_test test;
    struct msg_ref ref;
    uint32_t value;
};

/* Values with names, for the trace; ends with a NULL name. */
struct msg_name {
    uint32_t value;
    const char *name;
};

struct msg_type;

struct msg_field {
    const char *name;
    enum msg_kind kind;
    uint16_t offset;             /* in the C struct */
    uint8_t wire, mem;           /* bytes of the integer (or element) on the wire and in memory */
    bool is_signed;              /* extended with its sign when mem > wire */
    bool nonnull;                /* a pointer that must not be 0 */
    bool known;                  /* values outside `names` are refused */
    const struct msg_type *type; /* of a struct, or of the elements; NULL: integers */
    struct msg_count count;
    struct msg_when when;
    const struct msg_name *names;
};

struct msg_type {
    const char *name;
    size_t size; /* of the C struct */
    const struct msg_field *fields;
    size_t field_count;
};

/* Memory that decoded messages live in; zeroed means empty. */
struct msg_arena {
    struct msg_block *blocks;
    size_t used, max; /* max 0: MSG_ARENA_MAX */
};

/* Forget what was decoded; keeps one small block for the next message. */
void msg_arena_reset(struct msg_arena *arena);
void msg_arena_fini(struct msg_arena *arena);
/* Zeroed, aligned to 8; NULL past the maximum. */
void *msg_arena_alloc(struct msg_arena *arena, size_t size);

/*
 * Decode the body into *out, a struct of the type (valid until the arena is reset; never NULL on success).
 * Errors: -EBADMSG truncated or malformed, -E2BIG a count over its maximum, -ENOMEM the arena is full.
 */
int msg_decode(const struct msg_type *type, const void *body, size_t size, struct msg_arena *arena,
               void **out);
/*
 * Append the body of msg to w; what w held before is no part of the body. msg may be NULL for a type without fields.
 * Errors: -EINVAL a missing pointer or too many of them, -EMSGSIZE the writer's maximum.
 */
int msg_encode(const struct msg_type *type, const void *msg, struct writer *w);
/*
 * The message as one line of text, for --trace: "x=1 clip={type=rects count=2 ...}". Long arrays are cut. Returns buf,
 * always terminated.
 */
char *msg_print(const struct msg_type *type, const void *msg, char *buf, size_t size);

/* For generic users of the tables (tests, fuzzing): the value of an integer member. */
uint64_t msg_ref_get(const void *base, struct msg_ref ref);
void msg_ref_set(void *base, struct msg_ref ref, uint64_t value);
bool msg_when_holds(const struct msg_when *when, const void *base);
/* The element count a struct's members ask for, not yet compared with max. */
uint64_t msg_count_get(const struct msg_count *count, const void *base);

#endif
