/*
 * io_backend.h - what carries out the parts of I/O operations: the ring, or the threads. Private to io*.c.
 */
#ifndef DEVICES_DISK_IO_BACKEND_H
#define DEVICES_DISK_IO_BACKEND_H

#include "devices/disk/io.h"

struct io_list {
    struct io_op *first, **tail;
};

static inline void io_list_init(struct io_list *list)
{
    *list = (struct io_list){.tail = &list->first};
}

static inline void io_list_add(struct io_list *list, struct io_op *op)
{
    op->next = NULL;
    *list->tail = op;
    list->tail = &op->next;
}

static inline struct io_op *io_list_take(struct io_list *list)
{
    struct io_op *op = list->first;

    if (op && !(list->first = op->next))
        list->tail = &list->first;
    return op;
}

/* A part of op ended with op->result. */
typedef void io_part_done(void *opaque, struct io_op *op);

/* The ring. */
struct io_ring;
int io_ring_create(struct io_ring **ring, struct loop *loop, const struct disk_file *files,
                   unsigned count, io_part_done *done, void *opaque);
void io_ring_destroy(struct io_ring *ring);
/* Pass on as many as fit; what is left stays in the list until others have completed. */
void io_ring_push(struct io_ring *ring, struct io_list *list);
void io_ring_reap(struct io_ring *ring);
int io_ring_fd(const struct io_ring *ring); /* readable when there is something to reap */

/* The threads; they start with the first op. */
struct io_pool;
int io_pool_create(struct io_pool **pool, struct loop *loop, const struct disk_file *files,
                   unsigned count, io_part_done *done, void *opaque);
void io_pool_destroy(struct io_pool *pool);
void io_pool_push(struct io_pool *pool, struct io_list *list);
void io_pool_reap(struct io_pool *pool);
int io_pool_fd(const struct io_pool *pool);

#endif
