/*
 * fiber.h - functions that can wait: each fiber has a stack of its own, and gives the thread back while its I/O is
 * under way. Image formats are written with them, so that "read the table, then the cluster" reads like that.
 *
 * Thread: all fibers of a set belong to one thread. They switch only where they wait, so what lies between two waits is
 * atomic for the others. A fiber must not call into devices: what it finishes is told from the thread's own stack.
 */
#ifndef DEVICES_DISK_FIBER_H
#define DEVICES_DISK_FIBER_H

#include "base/base.h"

struct fiber;

struct fiber_list {
    struct fiber *first, **tail;
};

struct fibers {
    struct fiber *running;
    struct fiber_list ready;
    struct fiber *idle; /* stacks kept for the next ones */
    unsigned idle_count;
    void *main_stack; /* where the thread itself stands while a fiber runs */
    bool in_turn;
};

void fibers_init(struct fibers *set);
/* No fiber may be waiting. */
void fibers_fini(struct fibers *set);

/*
 * Run fn(arg) in a fiber, and then finished(arg) on the thread's own stack. Starts at once, unless a fiber is running:
 * then as soon as that waits. -ENOMEM without a stack.
 */
int fiber_start(struct fibers *set, void (*fn)(void *arg), void (*finished)(void *arg), void *arg);
struct fiber *fiber_current(const struct fibers *set); /* NULL outside */
/* Until fiber_wake(), which must be exactly one and may not come before. */
void fiber_wait(struct fibers *set);
void fiber_wake(struct fibers *set, struct fiber *fiber);

/* Those who wait for something to change; they look again when woken. */
void fiber_list_init(struct fiber_list *list);
void fiber_wait_in(struct fibers *set, struct fiber_list *list);
void fiber_wake_all(struct fibers *set, struct fiber_list *list);

/* First come, first served. */
struct fiber_lock {
    struct fiber *owner;
    struct fiber_list waiting;
};

void fiber_lock_init(struct fiber_lock *lock);
void fiber_lock_take(struct fibers *set, struct fiber_lock *lock);
void fiber_lock_release(struct fibers *set, struct fiber_lock *lock);

#endif
