#include "spice/protocol/msg.h"

#include <stdlib.h>

#define BLOCK_SIZE (16 * 1024)

struct msg_block {
    struct msg_block *next;
    size_t used, size;
    _Alignas(8) uint8_t data[];
};

static void free_blocks(struct msg_block *block)
{
    while (block) {
        struct msg_block *next = block->next;

        free(block);
        block = next;
    }
}

void msg_arena_reset(struct msg_arena *arena)
{
    struct msg_block *block = arena->blocks;

    arena->used = 0;
    if (!block)
        return;
    if (block->size > BLOCK_SIZE) {
        msg_arena_fini(arena);
        return;
    }
    free_blocks(block->next);
    block->next = NULL;
    block->used = 0;
}

void msg_arena_fini(struct msg_arena *arena)
{
    free_blocks(arena->blocks);
    arena->blocks = NULL;
    arena->used = 0;
}

static struct msg_block *block_create(struct msg_arena *arena, size_t size)
{
    struct msg_block *block = malloc(sizeof(*block) + size);

    if (!block)
        return NULL;
    block->next = arena->blocks;
    block->used = 0;
    block->size = size;
    arena->blocks = block;
    return block;
}

void *msg_arena_alloc(struct msg_arena *arena, size_t size)
{
    size_t max = arena->max ? arena->max : MSG_ARENA_MAX;
    struct msg_block *block = arena->blocks;
    void *p;

    if (size > max)
        return NULL;
    size = ALIGN_UP(MAX(size, 1), 8);
    if (size > max - MIN(arena->used, max))
        return NULL;
    if (!block || size > block->size - block->used)
        block = block_create(arena, MAX(size, BLOCK_SIZE));
    if (!block)
        return NULL;
    p = memset(block->data + block->used, 0, size);
    block->used += size;
    arena->used += size;
    return p;
}
