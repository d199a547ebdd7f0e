/*
 * irq.h - an interrupt line is a value: copy it freely.
 *
 * Lines are levels. Thread: any, as far as the implementation says; KVM's take any thread, PCI's INTx are counted
 * under the device lock.
 */
#ifndef VMM_IRQ_H
#define VMM_IRQ_H

#include "base/base.h"

struct irq {
    void (*set)(void *opaque, unsigned line, bool level);
    void *opaque;
    unsigned line;
};

static inline void irq_set(struct irq irq, bool level)
{
    if (irq.set)
        irq.set(irq.opaque, irq.line, level);
}

static inline void irq_pulse(struct irq irq)
{
    irq_set(irq, true);
    irq_set(irq, false);
}

#endif
