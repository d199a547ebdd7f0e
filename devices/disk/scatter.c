#include "devices/disk/scatter.h"

#include <string.h>

/* Walks the pieces of a range. */
struct walk {
    const struct iovec *iov, *end;
    size_t skip, left;
    struct iovec piece;
};

static struct walk walk_start(const struct scatter *s, size_t bytes)
{
    return (struct walk){.iov = s->iov, .end = s->iov + s->count, .skip = s->skip, .left = bytes};
}

static bool walk_next(struct walk *w)
{
    while (w->iov < w->end && w->skip >= w->iov->iov_len) {
        w->skip -= w->iov->iov_len;
        w->iov++;
    }
    if (w->iov == w->end || !w->left)
        return false;
    w->piece.iov_base = (char *)w->iov->iov_base + w->skip;
    w->piece.iov_len = MIN(w->left, w->iov->iov_len - w->skip);
    w->skip += w->piece.iov_len;
    w->left -= w->piece.iov_len;
    return true;
}

void scatter_read(const struct scatter *from, void *to, size_t bytes)
{
    struct walk w = walk_start(from, bytes);

    while (walk_next(&w)) {
        memcpy(to, w.piece.iov_base, w.piece.iov_len);
        to = (char *)to + w.piece.iov_len;
    }
}

void scatter_write(const struct scatter *to, const void *from, size_t bytes)
{
    struct walk w = walk_start(to, bytes);

    while (walk_next(&w)) {
        memcpy(w.piece.iov_base, from, w.piece.iov_len);
        from = (const char *)from + w.piece.iov_len;
    }
}

void scatter_zero(const struct scatter *to, size_t bytes)
{
    struct walk w = walk_start(to, bytes);

    while (walk_next(&w))
        memset(w.piece.iov_base, 0, w.piece.iov_len);
}

unsigned scatter_slice(const struct scatter *s, size_t bytes, struct iovec *out)
{
    struct walk w = walk_start(s, bytes);
    unsigned count = 0;

    while (walk_next(&w))
        out[count++] = w.piece;
    return count;
}

bool scatter_aligned(const struct scatter *s, size_t bytes, size_t align)
{
    struct walk w = walk_start(s, bytes);

    while (walk_next(&w))
        if (!IS_ALIGNED((uintptr_t)w.piece.iov_base | w.piece.iov_len, align))
            return false;
    return true;
}
