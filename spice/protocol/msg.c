#include "spice/protocol/msg.h"

#include <errno.h>

uint64_t msg_ref_get(const void *base, struct msg_ref ref)
{
    uint64_t v = 0;

    memcpy(&v, (const uint8_t *)base + ref.offset, ref.size);
    return v;
}

void msg_ref_set(void *base, struct msg_ref ref, uint64_t value)
{
    memcpy((uint8_t *)base + ref.offset, &value, ref.size);
}

bool msg_when_holds(const struct msg_when *when, const void *base)
{
    uint64_t v = when->test ? msg_ref_get(base, when->ref) : 0;

    switch (when->test) {
    case MSG_EQUAL:
        return v == when->value;
    case MSG_NOT_EQUAL:
        return v != when->value;
    case MSG_ANY_BIT:
        return v & when->value;
    case MSG_NO_BIT:
        return !(v & when->value);
    default:
        return true;
    }
}

uint64_t msg_count_get(const struct msg_count *count, const void *base)
{
    uint64_t a = msg_ref_get(base, count->a), n;

    if (!count->a.size)
        return count->fixed;
    if (!count->b.size)
        return a + msg_ref_get(base, count->plus);
    /* Members are u32 at most and bits 32 at most, so only the second product can wrap. */
    if (__builtin_mul_overflow(DIV_ROUND_UP(a * count->bits, 8), msg_ref_get(base, count->b), &n))
        return UINT64_MAX;
    return n;
}

/* --- decoding --- */

struct decoder {
    const uint8_t *body;
    size_t size, pos;
    struct msg_arena *arena;
    unsigned depth;
};

static int decode_fields(struct decoder *d, const struct msg_type *type, void *base);

static int take(struct decoder *d, size_t n, const uint8_t **p)
{
    if (n > d->size - d->pos)
        return -EBADMSG;
    *p = d->body + d->pos;
    d->pos += n;
    return 0;
}

static void load_scalar(const struct msg_field *f, const uint8_t *wire, void *member)
{
    uint64_t v = 0;

    memcpy(&v, wire, f->wire);
    if (f->is_signed && f->wire < 8)
        v = (uint64_t)((int64_t)(v << (64 - 8 * f->wire)) >> (64 - 8 * f->wire));
    memcpy(member, &v, f->mem);
}

static bool is_known(const struct msg_name *names, uint64_t value)
{
    for (; names->name; names++)
        if (names->value == value)
            return true;
    return false;
}

static int decode_scalars(struct decoder *d, const struct msg_field *f, uint8_t *member, size_t n)
{
    const uint8_t *wire;
    int err = take(d, n * f->wire, &wire);

    if (err)
        return err;
    for (size_t i = 0; i < n; i++)
        load_scalar(f, wire + i * f->wire, member + i * f->mem);
    if (f->known && !is_known(f->names, msg_ref_get(member, (struct msg_ref){0, f->mem})))
        return -EBADMSG;
    return 0;
}

static int check_count(const struct decoder *d, const struct msg_field *f, const void *base,
                       size_t *n)
{
    uint64_t count = msg_count_get(&f->count, base);

    if (f->count.max && count > f->count.max)
        return -E2BIG;
    /* Every element takes a byte at least: what cannot be there is refused before memory is taken for it. */
    if (count > d->size - d->pos)
        return -EBADMSG;
    *n = count;
    return 0;
}

static int decode_structs(struct decoder *d, const struct msg_field *f, size_t n, void **out)
{
    uint8_t *p = msg_arena_alloc(d->arena, n * f->type->size);
    int err = p ? 0 : -ENOMEM;

    for (size_t i = 0; i < n && !err; i++)
        err = decode_fields(d, f->type, p + i * f->type->size);
    *out = p;
    return err;
}

static int decode_array(struct decoder *d, const struct msg_field *f, void *base, void *member)
{
    const uint8_t *bytes;
    void *p = NULL;
    size_t n;
    int err = check_count(d, f, base, &n);

    if (err)
        return err;
    if (f->type) {
        err = decode_structs(d, f, n, &p);
    } else if (f->wire == 1) {
        err = take(d, n, &bytes);
        p = (void *)bytes;
    } else {
        p = msg_arena_alloc(d->arena, n * f->mem);
        err = p ? decode_scalars(d, f, p, n) : -ENOMEM;
    }
    if (!err)
        memcpy(member, &p, sizeof(p));
    return err;
}

static int decode_rest(struct decoder *d, const struct msg_field *f, void *base, void *member)
{
    size_t n = d->size - d->pos;
    const uint8_t *bytes;

    take(d, n, &bytes);
    memcpy(member, &bytes, sizeof(bytes));
    msg_ref_set(base, f->count.a, n);
    return 0;
}

/* Go to where the pointer points, decode there, and come back. */
static int decode_pointer(struct decoder *d, const struct msg_field *f, void *base, void *member)
{
    const uint8_t *wire;
    size_t back;
    void *p;
    uint32_t offset;
    int err = take(d, 4, &wire);

    if (err)
        return err;
    offset = load_le32(wire);
    if (!offset) /* what is counted must be somewhere */
        return f->nonnull || (f->kind == MSG_POINTER_ARRAY && msg_count_get(&f->count, base)) ? -EBADMSG : 0;
    if (offset > d->size)
        return -EBADMSG;
    back = d->pos;
    d->pos = offset;
    if (f->kind == MSG_POINTER_ARRAY) {
        err = decode_array(d, f, base, member);
    } else {
        err = decode_structs(d, f, 1, &p);
        memcpy(member, &p, sizeof(p));
    }
    d->pos = back;
    return err;
}

static int decode_field(struct decoder *d, const struct msg_field *f, void *base)
{
    uint8_t *member = (uint8_t *)base + f->offset;

    switch (f->kind) {
    case MSG_SCALAR:
        return decode_scalars(d, f, member, 1);
    case MSG_FIXED:
        return decode_scalars(d, f, member, f->count.fixed);
    case MSG_STRUCT:
        return decode_fields(d, f->type, member);
    case MSG_ARRAY:
        return decode_array(d, f, base, member);
    case MSG_REST:
        return decode_rest(d, f, base, member);
    case MSG_POINTER:
    case MSG_POINTER_ARRAY:
        return decode_pointer(d, f, base, member);
    }
    return -EINVAL;
}

static int decode_fields(struct decoder *d, const struct msg_type *type, void *base)
{
    int err = d->depth == MSG_MAX_DEPTH ? -EBADMSG : 0;

    d->depth++;
    for (size_t i = 0; i < type->field_count && !err; i++)
        if (msg_when_holds(&type->fields[i].when, base))
            err = decode_field(d, &type->fields[i], base);
    d->depth--;
    return err;
}

int msg_decode(const struct msg_type *type, const void *body, size_t size, struct msg_arena *arena,
               void **out)
{
    struct decoder d = {.body = body ? body : (const void *)"", .size = size, .arena = arena};
    void *base = msg_arena_alloc(arena, type->size);
    int err = base ? decode_fields(&d, type, base) : -ENOMEM;

    *out = err ? NULL : base;
    return err;
}

/* --- encoding --- */

/* Pointers are written as zeros and remembered; what they point to is appended after what holds them. */
struct pending {
    const struct msg_field *field;
    const void *base;
    size_t at; /* where in the writer the offset goes */
};

struct encoder {
    struct writer *w;
    size_t start;
    struct pending pending[MSG_MAX_POINTERS];
    unsigned count;
};

static int encode_fields(struct encoder *e, const struct msg_type *type, const void *base);

static const void *member_pointer(const struct msg_field *f, const void *base)
{
    const void *p;

    memcpy(&p, (const uint8_t *)base + f->offset, sizeof(p));
    return p;
}

static int encode_scalars(struct encoder *e, const struct msg_field *f, const uint8_t *member,
                          size_t n)
{
    uint8_t *wire = writer_extend(e->w, n * f->wire);

    if (!wire)
        return -EMSGSIZE;
    if (n && f->wire == f->mem) { /* a picture's bytes are many */
        memcpy(wire, member, n * f->wire);
        return 0;
    }
    for (size_t i = 0; i < n; i++)
        memcpy(wire + i * f->wire, member + i * f->mem, MIN(f->wire, f->mem));
    return 0;
}

static int encode_array(struct encoder *e, const struct msg_field *f, const void *base)
{
    uint64_t n = msg_count_get(&f->count, base);
    const uint8_t *p = member_pointer(f, base);
    int err = 0;

    if ((f->count.max && n > f->count.max) || (n && !p))
        return -EINVAL;
    if (!f->type)
        return encode_scalars(e, f, p, n);
    for (size_t i = 0; i < n && !err; i++)
        err = encode_fields(e, f->type, p + i * f->type->size);
    return err;
}

static int encode_rest(struct encoder *e, const struct msg_field *f, const void *base)
{
    uint64_t n = msg_ref_get(base, f->count.a);
    const uint8_t *p = member_pointer(f, base);

    if (n && !p)
        return -EINVAL;
    writer_bytes(e->w, p, n);
    return 0;
}

static int encode_pointer(struct encoder *e, const struct msg_field *f, const void *base)
{
    const void *p = member_pointer(f, base);

    if (!p && f->nonnull)
        return -EINVAL;
    if (p && e->count == MSG_MAX_POINTERS)
        return -EINVAL;
    if (p)
        e->pending[e->count++] = (struct pending){f, base, e->w->size};
    writer_u32(e->w, 0);
    return 0;
}

static int encode_field(struct encoder *e, const struct msg_field *f, const void *base)
{
    const uint8_t *member = (const uint8_t *)base + f->offset;

    switch (f->kind) {
    case MSG_SCALAR:
        return encode_scalars(e, f, member, 1);
    case MSG_FIXED:
        return encode_scalars(e, f, member, f->count.fixed);
    case MSG_STRUCT:
        return encode_fields(e, f->type, member);
    case MSG_ARRAY:
        return encode_array(e, f, base);
    case MSG_REST:
        return encode_rest(e, f, base);
    case MSG_POINTER:
    case MSG_POINTER_ARRAY:
        return encode_pointer(e, f, base);
    }
    return -EINVAL;
}

static int encode_fields(struct encoder *e, const struct msg_type *type, const void *base)
{
    int err = 0;

    for (size_t i = 0; i < type->field_count && !err; i++)
        if (msg_when_holds(&type->fields[i].when, base))
            err = encode_field(e, &type->fields[i], base);
    return err;
}

static int encode_pointee(struct encoder *e, const struct pending *p)
{
    if (e->w->bad)
        return -EMSGSIZE;
    store_le32(e->w->data + p->at, e->w->size - e->start);
    if (p->field->kind == MSG_POINTER_ARRAY)
        return encode_array(e, p->field, p->base);
    return encode_fields(e, p->field->type, member_pointer(p->field, p->base));
}

int msg_encode(const struct msg_type *type, const void *msg, struct writer *w)
{
    struct encoder e;
    int err;

    e.w = w;
    e.start = w->size;
    e.count = 0;
    err = encode_fields(&e, type, msg);
    for (unsigned i = 0; i < e.count && !err; i++) {
        struct pending p = e.pending[i];

        err = encode_pointee(&e, &p);
    }
    return err ? err : w->bad ? -EMSGSIZE : 0;
}
