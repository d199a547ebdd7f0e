/*
 * char_out.h - bytes that a vCPU writes to a character back end, which only the main loop may touch.
 *
 * They wait in a ring for about a millisecond, so that a guest's line costs one system call and not one for each byte;
 * a half full ring goes at once. When the back end takes no more, the ring fills and the device sees no room until
 * char_out_writable().
 *
 * Thread: put and room under the device lock, from any thread; the rest in the main loop.
 */
#ifndef DEVICES_PLATFORM_CHAR_OUT_H
#define DEVICES_PLATFORM_CHAR_OUT_H

#include "backend/chardev.h"
#include "base/timer.h"
#include "vmm/device.h"

#define CHAR_OUT_SIZE 8192

struct char_out {
    struct machine *machine;
    struct chardev *chardev; /* NULL: what is written is dropped */
    void (*drained)(
        void *opaque); /* the ring was emptied; device lock held. NULL: not interested */
    void *opaque;
    struct timer timer;
    uint8_t ring[CHAR_OUT_SIZE];
    unsigned first, count;
    bool waiting; /* for the back end */
};

int char_out_init(struct char_out *out, struct machine *machine, struct chardev *chardev,
                  void (*drained)(void *opaque), void *opaque);
/* Flushes what the back end takes. */
void char_out_fini(struct char_out *out);
unsigned char_out_room(const struct char_out *out);
/* The byte is dropped if there is no room. */
void char_out_put(struct char_out *out, uint8_t byte);
void char_out_flush(struct char_out *out);
/* For the front's writable(). */
void char_out_writable(struct char_out *out);
void char_out_save(struct char_out *out, struct writer *w);
int char_out_load(struct char_out *out, struct reader *r);

#endif
