#include "devices/disk/fiber.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The sanitizers want to know which stack is in use. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_BYTES KIB(512)
#else
#define STACK_BYTES KIB(128)
#endif
#define GUARD_BYTES KIB(4) /* below the stack: an overflow faults */
#define MAX_IDLE    64

struct fiber {
    void *stack; /* top of what it saved when it stopped */
    char *memory;
    void (*fn)(void *arg);
    void (*finished)(void *arg);
    void *arg;
    struct fibers *set;
    struct fiber *next;
    bool ended;
#ifdef __SANITIZE_ADDRESS__
    void *fake_stack;
#endif
#ifdef __SANITIZE_THREAD__
    void *tsan, *tsan_main;
#endif
};

/* Save what a callee must keep, swap stacks, and return into the other one. */
void fiber_switch(void **save, void *load);
__asm__(".text\n"
        ".type fiber_switch, @function\n"
        "fiber_switch:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size fiber_switch, . - fiber_switch\n");

#define SAVED_REGISTERS 6

static _Thread_local struct fiber *entering;

#ifdef __SANITIZE_ADDRESS__
static _Thread_local const void *main_bottom;
static _Thread_local size_t main_size;

static void before_enter(struct fiber *f, void **keep)
{
    __sanitizer_start_switch_fiber(keep, f->memory + GUARD_BYTES, STACK_BYTES);
}

static void after_enter(struct fiber *f)
{
    __sanitizer_finish_switch_fiber(f->fake_stack, &main_bottom, &main_size);
}

static void before_leave(struct fiber *f)
{
    __sanitizer_start_switch_fiber(&f->fake_stack, main_bottom, main_size);
}

static void after_leave(void *keep)
{
    __sanitizer_finish_switch_fiber(keep, NULL, NULL);
}
#elif defined(__SANITIZE_THREAD__)
static void before_enter(struct fiber *f, void **keep UNUSED)
{
    f->tsan_main = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(f->tsan, 0);
}

static void after_enter(struct fiber *f UNUSED)
{
}

static void before_leave(struct fiber *f)
{
    __tsan_switch_to_fiber(f->tsan_main, 0);
}

static void after_leave(void *keep UNUSED)
{
}
#else
#define before_enter(f, keep) ((void)(keep))
#define after_enter(f)        ((void)(f))
#define before_leave(f)       ((void)(f))
#define after_leave(keep)     ((void)(keep))
#endif

/* The thread's own stack: run the fiber until it waits or ends. */
static void enter(struct fibers *set, struct fiber *f)
{
    void *keep = NULL;

    set->running = f;
    entering = f;
    before_enter(f, &keep);
    fiber_switch(&set->main_stack, f->stack);
    after_leave(keep);
    set->running = NULL;
}

static void leave(struct fiber *f)
{
    before_leave(f);
    fiber_switch(&f->stack, f->set->main_stack);
    after_enter(f);
}

/* One function after the other; between two the fiber lies idle. */
static void fiber_main(void)
{
    struct fiber *f = entering;

    after_enter(f);
    for (;;) {
        f->fn(f->arg);
        f->ended = true;
        leave(f);
    }
}

/* As if fiber_switch() had been called right before fiber_main's first instruction. */
static void prepare_stack(struct fiber *f)
{
    void **top = (void **)(f->memory + GUARD_BYTES + STACK_BYTES);

    *--top = NULL; /* the end of backtraces; it also aligns the stack as a call would have */
    *--top = (void *)fiber_main;
    for (unsigned i = 0; i < SAVED_REGISTERS; i++)
        *--top = NULL;
    f->stack = top;
#ifdef __SANITIZE_THREAD__
    f->tsan = __tsan_create_fiber(0);
#endif
}

static struct fiber *fiber_create(struct fibers *set)
{
    struct fiber *f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    f->set = set;
    f->memory = mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (f->memory == MAP_FAILED) {
        free(f);
        return NULL;
    }
    mprotect(f->memory, GUARD_BYTES, PROT_NONE);
    prepare_stack(f);
    return f;
}

static void fiber_destroy(struct fiber *f)
{
#ifdef __SANITIZE_THREAD__
    __tsan_destroy_fiber(f->tsan);
#endif
    munmap(f->memory, GUARD_BYTES + STACK_BYTES);
    free(f);
}

static struct fiber *fiber_get(struct fibers *set)
{
    struct fiber *f = set->idle;

    if (!f)
        return fiber_create(set);
    set->idle = f->next;
    set->idle_count--;
    return f;
}

static void fiber_put(struct fibers *set, struct fiber *f)
{
    if (set->idle_count >= MAX_IDLE) {
        fiber_destroy(f);
        return;
    }
    f->next = set->idle;
    set->idle = f;
    set->idle_count++;
}

void fiber_list_init(struct fiber_list *list)
{
    *list = (struct fiber_list){.tail = &list->first};
}

static void list_add(struct fiber_list *list, struct fiber *f)
{
    f->next = NULL;
    *list->tail = f;
    list->tail = &f->next;
}

static struct fiber *list_take(struct fiber_list *list)
{
    struct fiber *f = list->first;

    if (f && !(list->first = f->next))
        list->tail = &list->first;
    return f;
}

void fibers_init(struct fibers *set)
{
    *set = (struct fibers){0};
    fiber_list_init(&set->ready);
}

void fibers_fini(struct fibers *set)
{
    struct fiber *f = set->idle, *next;

    for (; f; f = next) {
        next = f->next;
        fiber_destroy(f);
    }
    set->idle = NULL;
}

/* On the thread's own stack, and only the outermost call: run what is ready. */
static void run_ready(struct fibers *set)
{
    struct fiber *f;

    if (set->in_turn)
        return;
    set->in_turn = true;
    while ((f = list_take(&set->ready))) {
        enter(set, f);
        if (f->ended) {
            void (*finished)(void *arg) = f->finished;
            void *arg = f->arg;

            fiber_put(set, f);
            finished(arg);
        }
    }
    set->in_turn = false;
}

int fiber_start(struct fibers *set, void (*fn)(void *arg), void (*finished)(void *arg), void *arg)
{
    struct fiber *f = fiber_get(set);

    if (!f)
        return -ENOMEM;
    f->fn = fn;
    f->finished = finished;
    f->arg = arg;
    f->ended = false;
    list_add(&set->ready, f);
    run_ready(set);
    return 0;
}

struct fiber *fiber_current(const struct fibers *set)
{
    return set->running;
}

void fiber_wait(struct fibers *set)
{
    leave(set->running);
}

void fiber_wake(struct fibers *set, struct fiber *fiber)
{
    list_add(&set->ready, fiber);
    run_ready(set);
}

void fiber_wait_in(struct fibers *set, struct fiber_list *list)
{
    list_add(list, set->running);
    fiber_wait(set);
}

void fiber_wake_all(struct fibers *set, struct fiber_list *list)
{
    struct fiber *f = list->first, *next;

    fiber_list_init(list);
    for (; f; f = next) {
        next = f->next;
        list_add(&set->ready, f);
    }
    run_ready(set);
}

void fiber_lock_init(struct fiber_lock *lock)
{
    lock->owner = NULL;
    fiber_list_init(&lock->waiting);
}

void fiber_lock_take(struct fibers *set, struct fiber_lock *lock)
{
    if (!lock->owner) {
        lock->owner = set->running;
        return;
    }
    fiber_wait_in(set, &lock->waiting); /* the one who releases makes us the owner */
}

void fiber_lock_release(struct fibers *set, struct fiber_lock *lock)
{
    lock->owner = list_take(&lock->waiting);
    if (lock->owner)
        fiber_wake(set, lock->owner);
}
