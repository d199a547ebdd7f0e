/*
 * rtc.h - the real-time clock and CMOS memory (Motorola MC146818A), ports 0x70 and 0x71, IRQ 8.
 *
 * The date follows the host's clock at the distance that the guest last set; periodic interrupts follow the machine's
 * clock, and those that the guest was too slow for are made up later, at most a second's worth. The memory's contents
 * survive a reset of the machine, as with a battery.
 */
#ifndef DEVICES_PLATFORM_RTC_H
#define DEVICES_PLATFORM_RTC_H

#include "vmm/device.h"

/* What SeaBIOS boots from, CMOS 0x3d and 0x38. */
enum rtc_boot { RTC_BOOT_NONE, RTC_BOOT_FLOPPY, RTC_BOOT_DISK, RTC_BOOT_CDROM, RTC_BOOT_NETWORK };

struct rtc_config {
    uint64_t ram_low, ram_high; /* bytes of RAM below and above 4 GiB */
    unsigned cpus;              /* 1..256 */
    bool local_time;       /* the clock shows local time, as Windows wants it, instead of UTC */
    enum rtc_boot boot[3]; /* in order */
    struct irq irq;        /* its line; none given: IRQ 8 */
};

struct device *rtc_create(struct machine *machine, const struct rtc_config *config);

#endif
