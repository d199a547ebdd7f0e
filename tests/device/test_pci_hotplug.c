/* test_pci_hotplug.c - hot plug as the methods of the DSDT drive it; and a disk that is ejected while it works. */
#include "devices/platform/pci_hotplug.h"
#include "devices/platform/piix4_pm.h"
#include "devices/virtio/virtio_blk.h"
#include "tests/lib/virtio_driver.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>

enum { UP = 0xae00, DOWN = 0xae04, EJECT = 0xae08, REMOVABLE = 0xae0c, BUS = 0xae10 };
enum { GPE_STATUS = 0xafe0, GPE_ENABLE = 0xafe2, HOTPLUG_GPE = 1 << 1 };

#define SCI       9
#define BIT(slot) (1u << (slot))
#define FIRST     PCI_HOTPLUG_FIRST_SLOT
#define LAST      (PCI_HOTPLUG_FIRST_SLOT + PCI_HOTPLUG_SLOTS - 1)

struct fixture {
    struct fake_machine m;
    struct device *hotplug;
    unsigned ejections[32];
};

static void ejected(void *opaque, unsigned slot)
{
    struct fixture *f = opaque;
    struct pci_device *pci = pci_bus_device(f->m.base.pci, PCI_DEVFN(slot, 0));

    f->ejections[slot]++;
    if (pci)
        pci_unplug(pci);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct pci_hotplug_config config = {.ejected = ejected, .opaque = f};

    assert_int_equal(fake_machine_init(&f->m, MIB(16), true), 0);
    config.pm = piix4_pm_create(&f->m.base);
    f->hotplug = pci_hotplug_create(&f->m.base, &config);
    assert_non_null(f->hotplug);
    fake_machine_reset(&f->m);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    fake_machine_fini(&f->m);
    free(f);
    return 0;
}

static uint32_t in(struct fixture *f, uint16_t port)
{
    return fake_in(&f->m, port, 4);
}

static void out(struct fixture *f, uint16_t port, uint32_t value)
{
    fake_out(&f->m, port, value, 4);
}

static void plugged(struct fixture *f, unsigned slot)
{
    machine_lock(&f->m.base);
    pci_hotplug_plugged(f->hotplug, slot);
    machine_unlock(&f->m.base);
}

static void ask(struct fixture *f, unsigned slot)
{
    machine_lock(&f->m.base);
    pci_hotplug_ask(f->hotplug, slot);
    machine_unlock(&f->m.base);
}

static void a_device_comes(void **state)
{
    struct fixture *f = *state;

    fake_out(&f->m, 0xb2, PIIX4_PM_ACPI_ENABLE, 1);
    assert_int_equal(in(f, UP), 0);
    plugged(f, FIRST);
    assert_int_equal(fake_in(&f->m, GPE_STATUS, 2), HOTPLUG_GPE);
    assert_false(f->m.gsi_level[SCI]); /* nobody listens yet: the event waits */
    fake_out(&f->m, GPE_ENABLE, HOTPLUG_GPE, 2);
    assert_true(f->m.gsi_level[SCI]);
    fake_out(&f->m, GPE_STATUS, HOTPLUG_GPE, 2);
    assert_false(f->m.gsi_level[SCI]);
    plugged(f, LAST);
    assert_true(f->m.gsi_level[SCI]);
    assert_int_equal(in(f, UP), BIT(FIRST) | BIT(LAST));
    assert_int_equal(in(f, UP), 0);
    assert_int_equal(in(f, DOWN), 0);
}

static void a_device_goes(void **state)
{
    struct fixture *f = *state;

    ask(f, FIRST);
    ask(f, FIRST + 2);
    assert_int_equal(fake_in(&f->m, GPE_STATUS, 2), HOTPLUG_GPE);
    assert_int_equal(in(f, DOWN), BIT(FIRST) | BIT(FIRST + 2));
    assert_int_equal(in(f, DOWN), BIT(FIRST) | BIT(FIRST + 2)); /* until it is ejected */
    out(f, EJECT, BIT(FIRST));
    assert_int_equal(f->ejections[FIRST], 1);
    assert_int_equal(in(f, DOWN), BIT(FIRST + 2));
    plugged(f, LAST);
    out(f, EJECT, BIT(FIRST + 2) | BIT(LAST)); /* the last without being asked */
    assert_int_equal(f->ejections[FIRST + 2], 1);
    assert_int_equal(f->ejections[LAST], 1);
    assert_int_equal(in(f, DOWN) | in(f, UP), 0);
    out(f, EJECT, ~0u);
    assert_int_equal(f->ejections[FIRST - 1] + f->ejections[LAST + 1] + f->ejections[0] + f->ejections[31], 0);
    assert_int_equal(f->ejections[FIRST], 2);
    /* The piix4 is in its place still. */
    assert_int_equal(fake_pci_read(&f->m, PCI_DEVFN(1, 3), 0, 4), 0x71138086);
}

static void registers(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(in(f, EJECT), 0); /* no further features */
    assert_int_equal(in(f, REMOVABLE), BIT(LAST) * 2 - BIT(FIRST));
    plugged(f, FIRST);
    out(f, UP, ~0u); /* read only */
    out(f, DOWN, ~0u);
    out(f, REMOVABLE, 0);
    assert_int_equal(in(f, DOWN), 0);
    out(f, BUS, 1); /* there is none */
    assert_int_equal(in(f, BUS), 1);
    assert_int_equal(in(f, UP) | in(f, REMOVABLE), 0);
    out(f, EJECT, BIT(FIRST));
    assert_int_equal(f->ejections[FIRST], 0);
    out(f, BUS, 0);
    fake_out(&f->m, EJECT + 1, BIT(FIRST) >> 8, 1); /* too narrow to be meant */
    assert_int_equal(f->ejections[FIRST], 0);
    assert_int_equal(in(f, UP), BIT(FIRST));
    assert_int_equal(fake_in(&f->m, PCI_HOTPLUG_PORT + PCI_HOTPLUG_SIZE, 1), 0xff);
}

static void reset_forgets(void **state)
{
    struct fixture *f = *state;

    plugged(f, FIRST);
    ask(f, FIRST + 1);
    out(f, BUS, 7);
    fake_machine_reset(&f->m);
    assert_int_equal(in(f, BUS), 0);
    assert_int_equal(in(f, UP) | in(f, DOWN), 0);
    assert_int_equal(fake_in(&f->m, GPE_STATUS, 2), 0);
}

static void survives_save_and_load(void **state)
{
    struct fixture *f = *state;
    struct device *device = f->hotplug;
    struct writer w;
    struct reader r;
    size_t i;

    writer_init(&w, KIB(4));
    plugged(f, FIRST);
    ask(f, LAST);
    device->ops->save(device, &w);
    fake_machine_reset(&f->m);
    reader_init(&r, w.data, w.size);
    assert_int_equal(device->ops->load(device, &r, 1), 0);
    assert_int_equal(reader_left(&r), 0);
    assert_int_equal(in(f, UP), BIT(FIRST));
    assert_int_equal(in(f, DOWN), BIT(LAST));
    for (i = 0; i < w.size; i++) {
        reader_init(&r, w.data, i);
        assert_int_not_equal(device->ops->load(device, &r, 1), 0);
    }
    writer_fini(&w);
}

/* --- a disk that is ejected while it works --- */

#define DISK_SIZE MIB(4)
#define DEVFN     PCI_DEVFN(FIRST, 0)
#define LINK      ((FIRST - 1) & 3) /* of INTA in that slot */

struct file_disk {
    struct loop *loop;
    struct disk *disk;
    char path[64];
};

static void open_file(void *arg)
{
    struct file_disk *d = arg;

    assert_int_equal(disk_open(&d->disk, d->loop, &(struct disk_options){.path = d->path, .format = "raw"}), 0);
}

static void close_file(void *arg)
{
    assert_int_equal(disk_close(((struct file_disk *)arg)->disk), 0);
}

static void make_disk(struct file_disk *d, struct loop *loop)
{
    int fd;

    *d = (struct file_disk){.loop = loop, .path = "/tmp/minivm-hotplug-XXXXXX"};
    fd = mkstemp(d->path);
    assert_int_equal(ftruncate(fd, DISK_SIZE), 0);
    close(fd);
    loop_call_wait(loop, open_file, d);
}

static void drop_disk(struct file_disk *d)
{
    loop_call_wait(d->loop, close_file, d);
    unlink(d->path);
}

static struct device *plug(struct fixture *f, struct file_disk *d)
{
    const struct virtio_blk_options options = {.disk = d->disk, .loop = d->loop, .queues = 2};
    struct device *device;

    machine_lock(&f->m.base);
    assert_int_equal(virtio_blk_create(&f->m.base, DEVFN, &options), 0);
    device = &pci_bus_device(f->m.base.pci, DEVFN)->base;
    pci_hotplug_plugged(f->hotplug, FIRST);
    machine_unlock(&f->m.base);
    return device;
}

/* What a CPU does with the disk, over and over. */
struct cpu {
    struct fixture *f;
    struct driver d;
    struct driver_queue q;
    gpa_t memory;
    bool stop;           /* atomic */
    unsigned done, asks; /* atomic: requests, register accesses */
    pthread_t writer, prober;
};

static void start_disk(struct cpu *cpu, enum driver_interface interface, bool msix)
{
    const struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_OUT, .sector = 8};

    driver_init(&cpu->d, &cpu->f->m, DEVFN, interface, msix);
    assert_true(driver_negotiate(&cpu->d, ~(1ULL << VIRTIO_RING_F_INDIRECT_DESC)));
    driver_setup_queue(&cpu->d, &cpu->q, 0, 256);
    cpu->memory = driver_alloc(&cpu->d, KIB(16));
    memcpy(driver_pointer(&cpu->d, cpu->memory), &header, sizeof(header));
    driver_ok(&cpu->d);
}

/* All requests have the same header, which is written once. */
static void submit(struct cpu *cpu)
{
    const struct driver_buffer buffers[] = {{cpu->memory, sizeof(struct virtio_blk_outhdr), false},
                                            {cpu->memory + 4096, 4096, false},
                                            {cpu->memory + 8192 + cpu->q.free_head, 1, true}};

    driver_add(&cpu->q, buffers, ARRAY_SIZE(buffers), 0);
}

static void *write_forever(void *arg)
{
    struct cpu *cpu = arg;
    uint16_t head;

    while (!__atomic_load_n(&cpu->stop, __ATOMIC_ACQUIRE)) {
        while (driver_take_used(&cpu->q, &head, NULL))
            __atomic_add_fetch(&cpu->done, 1, __ATOMIC_RELEASE);
        if (cpu->q.free_count >= 3)
            submit(cpu);
        driver_enable_interrupt(&cpu->q);
        driver_kick(&cpu->q);
    }
    return NULL;
}

/* Beside the writer, whose queue it is. */
static void notify_too(struct cpu *cpu)
{
    if (cpu->d.interface == DRIVER_LEGACY)
        fake_out(&cpu->f->m, cpu->d.port + VIRTIO_PCI_QUEUE_NOTIFY, 0, 2);
    else
        fake_mmio_write(&cpu->f->m, cpu->q.notify_addr, 0, 2);
}

/* Another CPU reads and writes its registers. */
static void *probe_forever(void *arg)
{
    struct cpu *cpu = arg;

    while (!__atomic_load_n(&cpu->stop, __ATOMIC_ACQUIRE)) {
        driver_status(&cpu->d);
        driver_config(&cpu->d, 0, 4);
        notify_too(cpu);
        __atomic_add_fetch(&cpu->asks, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

static bool is_busy(void *arg)
{
    struct cpu *cpu = arg;

    return __atomic_load_n(&cpu->done, __ATOMIC_ACQUIRE) > 50 && __atomic_load_n(&cpu->asks, __ATOMIC_ACQUIRE) > 50;
}

static void check_gone(struct cpu *cpu)
{
    struct fixture *f = cpu->f;

    assert_int_equal(f->ejections[FIRST], 1);
    assert_int_equal(fake_pci_read(&f->m, DEVFN, 0, 4), 0xffffffff);
    assert_int_equal(driver_status(&cpu->d), 0xff);
    fake_machine_run(&f->m, 20); /* what it had in flight ends, and interrupts nobody */
    assert_false(f->m.link_level[LINK]);
    for (unsigned i = 0; i < FAKE_ROUTES; i++)
        assert_int_equal(f->m.routes[i].fd, -1);
}

static void check_works(struct fixture *f)
{
    struct cpu cpu = {.f = f};
    uint16_t head;

    start_disk(&cpu, DRIVER_MODERN, true);
    submit(&cpu);
    driver_kick(&cpu.q);
    assert_true(driver_wait_used(&cpu.q, &head, NULL));
    assert_int_equal(*(uint8_t *)driver_pointer(&cpu.d, cpu.memory + 8192 + head), VIRTIO_BLK_S_OK);
}

/* Two CPUs use a disk, a third ejects it; another takes the slot before the first is destroyed. */
static void eject_under_load(struct fixture *f, enum driver_interface interface, bool msix)
{
    struct cpu *cpu = calloc(1, sizeof(*cpu));
    struct file_disk disks[2];
    struct device *device;
    struct loop loop;

    assert_int_equal(loop_init(&loop), 0);
    assert_int_equal(loop_start(&loop, "disk"), 0);
    make_disk(&disks[0], &loop);
    make_disk(&disks[1], &loop);
    f->ejections[FIRST] = 0;
    device = plug(f, &disks[0]);
    cpu->f = f;
    start_disk(cpu, interface, msix);
    pthread_create(&cpu->writer, NULL, write_forever, cpu);
    pthread_create(&cpu->prober, NULL, probe_forever, cpu);
    assert_true(fake_machine_wait(&f->m, is_busy, cpu, 20000));
    out(f, EJECT, BIT(FIRST));
    check_gone(cpu);
    plug(f, &disks[1]);

    /* As the board stops them before it destroys what was ejected. */
    __atomic_store_n(&cpu->stop, true, __ATOMIC_RELEASE);
    pthread_join(cpu->writer, NULL);
    pthread_join(cpu->prober, NULL);
    machine_lock(&f->m.base);
    device_destroy(device);
    machine_unlock(&f->m.base);
    drop_disk(&disks[0]);
    check_works(f);

    device = &pci_bus_device(f->m.base.pci, DEVFN)->base;
    out(f, EJECT, BIT(FIRST));
    machine_lock(&f->m.base);
    device_destroy(device);
    machine_unlock(&f->m.base);
    drop_disk(&disks[1]);
    loop_stop(&loop);
    loop_join(&loop);
    loop_fini(&loop);
    free(cpu);
}

static void a_disk_goes_under_load(void **state)
{
    struct fixture *f = *state;
    unsigned i;

    for (i = 0; i < 5; i++) {
        eject_under_load(f, DRIVER_MODERN, true);
        eject_under_load(f, DRIVER_MODERN, false);
        eject_under_load(f, DRIVER_LEGACY, false);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_device_comes), TEST(a_device_goes),          TEST(registers),
        TEST(reset_forgets),  TEST(survives_save_and_load), TEST(a_disk_goes_under_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
