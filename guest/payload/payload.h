/*
 * payload.h - what the freestanding test guests share.
 *
 * A payload is one C file with a main() that calls check() for each thing it tried. It runs in 64-bit mode on one CPU with
 * interrupts off, the first 4 GiB mapped one to one, no SSE. Results go to the serial port as TAP; after main() the
 * machine is switched off through ACPI.
 */
#ifndef PAYLOAD_H
#define PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* --- the CPU --- */

#define DEFINE_PORT(type, suffix, reg)                                                             \
    static inline type in##suffix(uint16_t port)                                                   \
    {                                                                                              \
        type value;                                                                                \
        asm volatile("in" #suffix " %1, %" reg "0" : "=a"(value) : "Nd"(port));                    \
        return value;                                                                              \
    }                                                                                              \
    static inline void out##suffix(uint16_t port, type value)                                      \
    {                                                                                              \
        asm volatile("out" #suffix " %" reg "0, %1" ::"a"(value), "Nd"(port) : "memory");          \
    }

DEFINE_PORT(uint8_t, b, "b")
DEFINE_PORT(uint16_t, w, "w")
DEFINE_PORT(uint32_t, l, "k")

/* Memory that is a register; each access is one instruction of that width. */
#define DEFINE_MMIO(bits, insn, reg)                                                               \
    static inline uint##bits##_t read##bits(uint64_t addr)                                         \
    {                                                                                              \
        uint##bits##_t value;                                                                      \
        asm volatile(insn " (%1), %0" : "=" reg(value) : "r"(addr) : "memory");                    \
        return value;                                                                              \
    }                                                                                              \
    static inline void write##bits(uint64_t addr, uint##bits##_t value)                            \
    {                                                                                              \
        asm volatile(insn " %0, (%1)" ::reg(value), "r"(addr) : "memory");                         \
    }

DEFINE_MMIO(8, "movb", "q")
DEFINE_MMIO(16, "movw", "r")
DEFINE_MMIO(32, "movl", "r")
DEFINE_MMIO(64, "movq", "r")

static inline uint64_t read_tsc(void)
{
    uint32_t low, high;

    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static inline void interrupts_on(void)
{
    asm volatile("sti" ::: "memory");
}

static inline void interrupts_off(void)
{
    asm volatile("cli" ::: "memory");
}

/* --- results --- */

void put_char(char c);
void put(const char *text);
void put_hex(uint64_t value);
/* Prints "ok N - what" or "not ok N - what". */
void check(bool passed, const char *what);
/* The same for two numbers, which are shown if they differ. */
void check_equal(uint64_t value, uint64_t expected, const char *what);
/* Prints the plan and switches the machine off. */
void finish(void);
extern unsigned checks_done;

/* --- time, by the PM timer --- */

#define PM_BASE     0x600
#define PM_TIMER    (PM_BASE + 8)
#define PM_TIMER_HZ 3579545u

/* Ticks of a span of less than 4 s. */
static inline uint32_t pm_ticks_since(uint32_t start)
{
    return (inl(PM_TIMER) - start) & 0xffffff;
}

void delay_ms(unsigned ms);
/* True as soon as *counter is at least value, false after ms without. */
bool wait_for(const volatile uint32_t *counter, uint32_t value, unsigned ms);

/* --- interrupts --- */

#define PIC_VECTOR(irq)    (0x20 + (irq))
#define IOAPIC_VECTOR(gsi) (0x40 + (gsi))
#define MSI_VECTOR         0x60
#define LAPIC_TIMER_VECTOR 0x70
#define IPI_VECTOR         0x71
#define SPURIOUS_VECTOR    0xff

extern volatile uint32_t interrupts[256]; /* how many came at each vector */
/* Called with the vector before the end of interrupt, to quiet the device; may be NULL. */
extern void (*interrupt_hook)(unsigned vector);

void idt_init(void);
void pic_init(void);
void pic_unmask(unsigned irq);
void pic_mask_all(void);
void lapic_enable(void);
uint32_t lapic_read(unsigned reg);
void lapic_write(unsigned reg, uint32_t value);
/* Level and active high as PCI on this board, or edge. */
void ioapic_route(unsigned gsi, unsigned vector, bool level);
void ioapic_mask(unsigned gsi);

enum {
    LAPIC_ID = 0x20,
    LAPIC_VERSION = 0x30,
    LAPIC_EOI = 0xb0,
    LAPIC_SPURIOUS = 0xf0,
    LAPIC_ICR = 0x300,
    LAPIC_ICR_HIGH = 0x310,
    LAPIC_LVT_TIMER = 0x320,
    LAPIC_TIMER_INITIAL = 0x380,
    LAPIC_TIMER_CURRENT = 0x390,
    LAPIC_TIMER_DIVIDE = 0x3e0,
};

/* --- PCI and fw_cfg --- */

uint32_t pci_read(unsigned devfn, unsigned offset, unsigned width);
void pci_write(unsigned devfn, unsigned offset, uint32_t value, unsigned width);
/* The first function with these ids, -1: none. */
int pci_find(uint16_t vendor, uint16_t device);
/* Offset of the next capability of that id after `after` (0: from the start), 0: none. */
unsigned pci_capability(unsigned devfn, uint8_t id, unsigned after);
uint64_t pci_bar(unsigned devfn, unsigned n);

void fw_cfg_read(uint16_t key, void *data, size_t size);
/* Key and size of a file; 0: none of that name. */
uint16_t fw_cfg_find(const char *name, uint32_t *size);
unsigned cpu_count(void);

/* --- the rest --- */

uint8_t rtc_read(uint8_t index);
void rtc_write(uint8_t index, uint8_t value);

void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
int strcmp(const char *a, const char *b);

#endif
