/*
 * guest_copy.h - reads and writes of memory that the guest may be changing at the same time.
 *
 * Such a race is the guest's own business: whatever comes out is checked after the copy. ThreadSanitizer cannot know that,
 * so in its builds the copies are made by hand, unobserved.
 */
#ifndef DEVICES_QXL_GUEST_COPY_H
#define DEVICES_QXL_GUEST_COPY_H

#include "base/base.h"

#include <string.h>

#ifdef __SANITIZE_THREAD__
__attribute__((no_sanitize("thread"), noinline, unused)) static void
guest_copy(void *to, const void *from, size_t size)
{
    volatile uint8_t *d = to;
    const volatile uint8_t *s = from;

    while (size--)
        *d++ = *s++;
}
#else
static inline void guest_copy(void *to, const void *from, size_t size)
{
    memcpy(to, from, size);
    /* The copy is what is checked: the compiler must not read the original again. */
    __asm__ volatile("" : : : "memory");
}
#endif

#endif
