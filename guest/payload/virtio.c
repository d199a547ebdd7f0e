/* One real request to a virtio device (virtio 1.x, entropy), and its interrupt by MSI-X and by the PCI line. */
#include "payload.h"

#define VIRTIO     0x1af4
#define RNG        0x1005
#define RNG_1_0    0x1044
#define QUEUE_SIZE 8
#define BYTES      64

enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3 };

/* Common configuration. */
enum {
    DEVICE_FEATURE_SELECT = 0x00,
    DEVICE_FEATURE = 0x04,
    DRIVER_FEATURE_SELECT = 0x08,
    DRIVER_FEATURE = 0x0c,
    CONFIG_VECTOR = 0x10,
    STATUS = 0x14,
    QUEUE_SELECT = 0x16,
    QUEUE_LENGTH = 0x18,
    QUEUE_VECTOR = 0x1a,
    QUEUE_ENABLE = 0x1c,
    QUEUE_NOTIFY = 0x1e,
    QUEUE_DESC = 0x20,
    QUEUE_DRIVER = 0x28,
    QUEUE_DEVICE = 0x30,
};

struct descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
};

static struct {
    struct descriptor desc[QUEUE_SIZE];
    volatile uint16_t avail_flags, avail_index, avail[QUEUE_SIZE], unused;
    volatile uint16_t used_flags __attribute__((aligned(4))), used_index;
    volatile struct {
        uint32_t id, length;
    } used[QUEUE_SIZE];
} ring __attribute__((aligned(4096)));

static uint8_t buffer[BYTES];
static unsigned devfn;
static uint64_t common, notify, isr;
static uint32_t notify_multiplier;
static volatile uint32_t isr_reads;

static uint64_t region(unsigned cap)
{
    return pci_bar(devfn, pci_read(devfn, cap + 4, 1)) + pci_read(devfn, cap + 8, 4);
}

static bool find_regions(void)
{
    unsigned cap;

    for (cap = pci_capability(devfn, 9, 0); cap; cap = pci_capability(devfn, 9, cap)) {
        uint8_t type = (uint8_t)pci_read(devfn, cap + 3, 1);

        if (type == CAP_COMMON)
            common = region(cap);
        if (type == CAP_ISR)
            isr = region(cap);
        if (type != CAP_NOTIFY)
            continue;
        notify = region(cap);
        notify_multiplier = pci_read(devfn, cap + 16, 4);
    }
    return common && notify && isr;
}

/* Reset, and through the steps of virtio 1.2, section 3.1.1. */
static void start_device(uint16_t vector)
{
    write8(common + STATUS, 0);
    while (read8(common + STATUS))
        ;
    memset(&ring, 0, sizeof(ring));
    write8(common + STATUS, 1);
    write8(common + STATUS, 3);
    write32(common + DRIVER_FEATURE_SELECT, 0);
    write32(common + DRIVER_FEATURE, 0);
    write32(common + DRIVER_FEATURE_SELECT, 1);
    write32(common + DRIVER_FEATURE, 1); /* VERSION_1 */
    write8(common + STATUS, 11);
    check_equal(read8(common + STATUS), 11, "the device takes the features");
    write16(common + QUEUE_SELECT, 0);
    write16(common + QUEUE_LENGTH, QUEUE_SIZE);
    write16(common + QUEUE_VECTOR, vector);
    check_equal(read16(common + QUEUE_VECTOR), vector, "the queue takes its vector");
    write64(common + QUEUE_DESC, (uint64_t)ring.desc);
    write32(common + QUEUE_DRIVER, (uint32_t)(uint64_t)&ring.avail_flags);
    write32(common + QUEUE_DRIVER + 4, 0);
    write32(common + QUEUE_DEVICE, (uint32_t)(uint64_t)&ring.used_flags);
    write32(common + QUEUE_DEVICE + 4, 0);
    write16(common + QUEUE_ENABLE, 1);
    write8(common + STATUS, 15);
}

static void request(void)
{
    uint64_t where = notify + read16(common + QUEUE_NOTIFY) * (uint64_t)notify_multiplier;
    uint16_t index = ring.avail_index;

    memset(buffer, 0, sizeof(buffer));
    ring.desc[0] = (struct descriptor){(uint64_t)buffer, BYTES, 2, 0};
    ring.avail[index % QUEUE_SIZE] = 0;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    ring.avail_index = (uint16_t)(index + 1);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    write16(where, 0);
}

static bool buffer_has_data(void)
{
    uint8_t any = 0;
    unsigned i;

    for (i = 0; i < BYTES; i++)
        any |= buffer[i];
    return any != 0;
}

static void check_answer(void)
{
    uint16_t index = (uint16_t)(ring.used_index - 1);

    check(ring.used_index == ring.avail_index && ring.used[index % QUEUE_SIZE].length > 0,
          "the used ring tells it");
    check(buffer_has_data(), "the buffer is filled");
}

static void test_msix(void)
{
    unsigned cap = pci_capability(devfn, 0x11, 0);
    uint64_t table = pci_bar(devfn, pci_read(devfn, cap + 4, 4) & 7);

    pci_write(devfn, cap + 2, 0x8000, 2);
    write32(table + 16, 0xfee00000 | lapic_read(LAPIC_ID) >> 24 << 12);
    write32(table + 20, 0);
    write32(table + 24, MSI_VECTOR);
    write32(table + 28, 0);
    start_device(1);
    request();
    check(wait_for(&interrupts[MSI_VECTOR], 1, 5000), "an MSI-X vector fires");
    check_answer();
    write32(table + 28, 1); /* masked: it must wait */
    request();
    delay_ms(50);
    check_equal(interrupts[MSI_VECTOR], 1, "a masked vector is silent");
    write32(table + 28, 0);
    check(wait_for(&interrupts[MSI_VECTOR], 2, 5000), "and fires when it is unmasked");
    pci_write(devfn, cap + 2, 0, 2);
}

/* Reading the device's interrupt status takes the line down. */
static void take_interrupt(unsigned vector)
{
    if ((vector == PIC_VECTOR(10) || vector == PIC_VECTOR(11) || vector == IOAPIC_VECTOR(10) ||
         vector == IOAPIC_VECTOR(11)) &&
        (read8(isr) & 1))
        isr_reads++;
}

static void test_line(void)
{
    uint8_t line = (uint8_t)pci_read(devfn, 0x3c, 1);

    check(line == 10 || line == 11, "the device has an interrupt line");
    outb(0x4d1, 0x0c);
    interrupt_hook = take_interrupt;
    start_device(0xffff);
    pic_unmask(line);
    request();
    check(wait_for(&isr_reads, 1, 5000), "its line interrupts by the PIC");
    check_answer();
    delay_ms(20);
    check_equal(interrupts[PIC_VECTOR(line)], 1, "once for one request");
    pic_mask_all();
    ioapic_route(line, IOAPIC_VECTOR(line), true);
    request();
    check(wait_for(&isr_reads, 2, 5000), "its line interrupts by the IOAPIC");
    delay_ms(20);
    /* Some KVMs deliver a level once more although it has fallen; a storm would be the device's fault. */
    check(interrupts[IOAPIC_VECTOR(line)] <= 2 && isr_reads == 2, "with one cause for one request");
    ioapic_mask(line);
}

int main(void)
{
    int found = pci_find(VIRTIO, RNG);

    if (found < 0)
        found = pci_find(VIRTIO, RNG_1_0);
    check(found >= 0, "there is an entropy device");
    if (found < 0)
        return 0;
    devfn = (unsigned)found;
    pci_write(devfn, 4, pci_read(devfn, 4, 2) | 6, 2);
    check(find_regions(), "it tells where its registers are");
    if (!common || !notify || !isr)
        return 0;
    pic_init();
    lapic_enable();
    interrupts_on();
    test_msix();
    test_line();
    write8(common + STATUS, 0);
    return 0;
}
