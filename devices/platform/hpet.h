/*
 * hpet.h - the high precision event timer (Intel's IA-PC HPET specification 1.0a) at 0xfed00000: a 64-bit counter of
 * 100 MHz and three comparators, each periodic or not.
 *
 * A comparator interrupts on one of the IOAPIC's pins 16 to 23, or with legacy replacement (LEG_RT_CNF) the first two
 * take the place of the interval timer on IRQ 0 and of the real-time clock on IRQ 8. Periods that a slow guest missed
 * are one interrupt, and none comes sooner than 50 us after the one before.
 */
#ifndef DEVICES_PLATFORM_HPET_H
#define DEVICES_PLATFORM_HPET_H

#include "vmm/device.h"

#define HPET_ADDRESS 0xfed00000u
#define HPET_ID      0x8086a201u /* vendor; 64 bits, legacy replacement, three comparators, revision 1 */

struct device *hpet_create(struct machine *machine);
/* For the real-time clock: IRQ 8 as long as the HPET does not have it. Device lock held. */
struct irq hpet_rtc_irq(struct device *hpet);

#endif
