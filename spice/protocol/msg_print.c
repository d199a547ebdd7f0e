#include "spice/protocol/msg.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define MAX_ELEMENTS 8 /* of an array that are shown */
#define MAX_BYTES    16

struct printer {
    char *buf;
    size_t size, used;
};

static void print_fields(struct printer *p, const struct msg_type *type, const void *base);

static void PRINTF_LIKE(2, 3) put(struct printer *p, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(p->buf + p->used, p->size - p->used, fmt, args);
    va_end(args);
    if (n > 0)
        p->used = MIN(p->used + (size_t)n, p->size - 1);
}

static void print_scalar(struct printer *p, const struct msg_field *f, const void *member)
{
    uint64_t v = msg_ref_get(member, (struct msg_ref){0, f->mem});
    unsigned unused = 64 - 8 * f->mem;

    for (const struct msg_name *n = f->names; n && n->name; n++)
        if (n->value == v) {
            put(p, "%s", n->name);
            return;
        }
    if (f->is_signed)
        put(p, "%" PRId64, (int64_t)(v << unused) >> unused);
    else
        put(p, "%" PRIu64, v);
}

static void print_bytes(struct printer *p, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < MIN(n, MAX_BYTES); i++)
        put(p, "%02x", bytes[i]);
    put(p, n > MAX_BYTES ? "...<%zu bytes>" : "<%zu bytes>", n);
}

static void print_elements(struct printer *p, const struct msg_field *f, const uint8_t *elements,
                           uint64_t n)
{
    size_t size = f->type ? f->type->size : f->mem;

    if (!f->type && f->mem == 1) {
        print_bytes(p, elements, n);
        return;
    }
    put(p, "[");
    for (uint64_t i = 0; i < MIN(n, MAX_ELEMENTS); i++) {
        put(p, i ? " " : "");
        if (f->type)
            print_fields(p, f->type, elements + i * size);
        else
            print_scalar(p, f, elements + i * size);
    }
    put(p, n > MAX_ELEMENTS ? " ...%" PRIu64 "]" : "]", n);
}

static void print_pointee(struct printer *p, const struct msg_field *f, const void *base,
                          const void *pointee)
{
    if (!pointee)
        put(p, "none");
    else if (f->kind == MSG_POINTER)
        print_fields(p, f->type, pointee);
    else if (f->kind == MSG_REST)
        print_bytes(p, pointee, msg_ref_get(base, f->count.a));
    else
        print_elements(p, f, pointee, msg_count_get(&f->count, base));
}

static void print_field(struct printer *p, const struct msg_field *f, const void *base)
{
    const uint8_t *member = (const uint8_t *)base + f->offset;
    const void *pointee;

    put(p, "%s=", f->name);
    switch (f->kind) {
    case MSG_SCALAR:
        print_scalar(p, f, member);
        break;
    case MSG_FIXED:
        print_elements(p, f, member, f->count.fixed);
        break;
    case MSG_STRUCT:
        print_fields(p, f->type, member);
        break;
    default:
        memcpy(&pointee, member, sizeof(pointee));
        print_pointee(p, f, base, pointee);
    }
}

static void print_members(struct printer *p, const struct msg_type *type, const void *base)
{
    const char *space = "";

    for (size_t i = 0; i < type->field_count; i++) {
        if (!msg_when_holds(&type->fields[i].when, base))
            continue;
        put(p, "%s", space);
        print_field(p, &type->fields[i], base);
        space = " ";
    }
}

static void print_fields(struct printer *p, const struct msg_type *type, const void *base)
{
    put(p, "{");
    print_members(p, type, base);
    put(p, "}");
}

char *msg_print(const struct msg_type *type, const void *msg, char *buf, size_t size)
{
    struct printer p = {.buf = buf, .size = size};

    buf[0] = '\0';
    print_members(&p, type, msg);
    return buf;
}
