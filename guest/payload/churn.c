/*
 * Everything that a saved machine must bring back, in motion until a byte comes over the serial port: counters that must
 * not go back, timers that must go on ticking, memory that must keep its content, requests to a disk and to the network
 * that are under way, a screen.
 */
#include "legacy_virtio.h"

#define PIT_HZ         1193182
#define TICKS_HZ       100
#define PAGES          4096
#define MEMORY         0x1000000 /* above all that the payload uses */
#define UART_LSR       0x3fd
#define LSR_READY      1
#define LAPIC_PERIODIC (1 << 17)
#define TIMER_GSI      2
/* Of the PM timer between two looks: a machine that is held up for so long has a jump, not a pause. */
#define PM_JUMP (PM_TIMER_HZ * 2)

#define DISK_RING   0x2000000
#define DISK_OUT    0x2010000
#define DISK_IN     0x2020000
#define DISK_BYTES  0x1000
#define DISK_PLACES 1024      /* of so many bytes */
#define NET_RING    0x2030000 /* two queues */
#define FRAME_BYTES 42
#define RECEIVED    0x2050000
#define ANSWER_MS   2000
#define TRIES       5

static unsigned tsc_back, pm_jumps, wrong_pages, stalls, disk_errors, unanswered, wrong_lines;

static uint32_t value_at(uint32_t page, uint32_t round)
{
    return (page * 2654435761u) ^ (round * 0x9e3779b9u);
}

static void start_timers(void)
{
    uint16_t divider = PIT_HZ / TICKS_HZ;

    ioapic_route(TIMER_GSI, IOAPIC_VECTOR(TIMER_GSI), false);
    outb(0x43, 0x34); /* channel 0, rate generator */
    outb(0x40, (uint8_t)divider);
    outb(0x40, (uint8_t)(divider >> 8));
    lapic_write(LAPIC_TIMER_DIVIDE, 3); /* by 16 */
    lapic_write(LAPIC_LVT_TIMER, LAPIC_TIMER_VECTOR | LAPIC_PERIODIC);
    lapic_write(LAPIC_TIMER_INITIAL, 1000000);
}

static void look_at_clocks(void)
{
    static uint64_t tsc;
    static uint32_t pm;
    static bool started;
    uint64_t now = read_tsc();

    tsc_back += started && now < tsc;
    pm_jumps += started && pm_ticks_since(pm) > PM_JUMP;
    tsc = now;
    pm = inl(PM_TIMER);
    started = true;
}

/* One pass over the memory: what the last one left is there, and becomes something else. */
static void walk(uint32_t round)
{
    uint32_t i;

    for (i = 0; i < PAGES; i++) {
        volatile uint32_t *word = (volatile uint32_t *)(uintptr_t)(MEMORY + i * 4096);

        wrong_pages += round && *word != value_at(i, round - 1);
        *word = value_at(i, round);
        if (i % 256 == 0)
            look_at_clocks();
    }
}

static void look_at_ticks(unsigned vector)
{
    stalls += !wait_for(&interrupts[vector], interrupts[vector] + 1, 2000);
}

/* --- the disk: a write, then its reading back, each under way while memory is walked through --- */

static struct legacy_virtio disk;
static struct {
    uint32_t type, reserved;
    uint64_t sector;
    volatile uint8_t status;
} header;

static void give_to_disk(uint32_t type, uint32_t round, uint32_t data)
{
    struct virtq_descriptor *desc = disk.queue[0].desc;

    header.type = type;
    header.sector = round % DISK_PLACES * (DISK_BYTES / 512);
    header.status = 0xff;
    desc[0] = (struct virtq_descriptor){(uintptr_t)&header, 16, VIRTQ_NEXT, 1};
    desc[1] = (struct virtq_descriptor){data, DISK_BYTES, VIRTQ_NEXT | (type ? 0 : VIRTQ_WRITE), 2};
    desc[2] = (struct virtq_descriptor){(uintptr_t)&header.status, 1, VIRTQ_WRITE, 0};
    legacy_virtio_give(&disk, 0, 0);
}

static void wait_for_disk(void)
{
    unsigned ms;

    for (ms = 0; ms < ANSWER_MS && !legacy_virtio_done(&disk, 0); ms++)
        delay_ms(1);
    disk_errors += !legacy_virtio_done(&disk, 0) || header.status != 0;
}

static void write_disk(uint32_t round)
{
    uint32_t i;

    for (i = 0; i < DISK_BYTES; i += 512)
        *(volatile uint32_t *)(uintptr_t)(DISK_OUT + i) = value_at(i, round);
    give_to_disk(1, round, DISK_OUT);
}

static void read_disk(uint32_t round)
{
    wait_for_disk();
    memset((void *)DISK_IN, 0, DISK_BYTES);
    give_to_disk(0, round, DISK_IN);
}

static void compare_disk(void)
{
    wait_for_disk();
    disk_errors += memcmp((void *)DISK_IN, (void *)DISK_OUT, DISK_BYTES) != 0;
}

/* --- the network: the gateway is asked for its address --- */

static struct legacy_virtio net;
static uint8_t net_header[10], question[FRAME_BYTES];
static const uint8_t gateway[] = {10, 0, 2, 2}, own_address[] = {10, 0, 2, 15};

static void make_question(void)
{
    static const uint8_t arp[] = {8, 6, 0, 1, 8, 0, 6, 4, 0, 1};
    unsigned i;

    memset(question, 0xff, 6);
    for (i = 0; i < 6; i++)
        question[6 + i] = question[22 + i] =
            inb((uint16_t)(net.ports + 20 + i)); /* the card's address */
    memcpy(question + 12, arp, sizeof(arp));
    memcpy(question + 28, own_address, sizeof(own_address));
    memcpy(question + 38, gateway, sizeof(gateway));
}

static void expect_frame(void)
{
    net.queue[0].desc[0] =
        (struct virtq_descriptor){RECEIVED, sizeof(net_header), VIRTQ_WRITE | VIRTQ_NEXT, 1};
    net.queue[0].desc[1] =
        (struct virtq_descriptor){RECEIVED + sizeof(net_header), 2048, VIRTQ_WRITE, 0};
    legacy_virtio_give(&net, 0, 0);
}

static void ask(void)
{
    net.queue[1].desc[0] =
        (struct virtq_descriptor){(uintptr_t)net_header, sizeof(net_header), VIRTQ_NEXT, 1};
    net.queue[1].desc[1] = (struct virtq_descriptor){(uintptr_t)question, FRAME_BYTES, 0, 0};
    legacy_virtio_give(&net, 1, 0);
}

/* What came, which is for all to hear at times. */
static bool is_answer(void)
{
    const uint8_t *frame = (const uint8_t *)(RECEIVED + sizeof(net_header));
    bool answer =
        frame[12] == 8 && frame[13] == 6 && frame[21] == 2 && memcmp(frame + 28, gateway, 4) == 0;

    expect_frame();
    return answer;
}

static bool answered(void)
{
    unsigned ms;

    for (ms = 0; ms < ANSWER_MS; ms++) {
        if (legacy_virtio_done(&net, 0) && is_answer())
            return true;
        delay_ms(1);
    }
    return false;
}

/* A frame may be lost, as on any network. */
static void hear(void)
{
    unsigned tries = 1;

    while (!answered() && tries++ < TRIES)
        ask();
    unanswered += tries > TRIES;
}

/* --- the screen --- */

#define DISPI         0x1ce
#define WIDTH         640
#define HEIGHT        480
#define ENABLE_LINEAR 0x41

enum { DISPI_WIDTH = 1, DISPI_HEIGHT = 2, DISPI_DEPTH = 3, DISPI_ENABLE = 4 };

static uint64_t pixels;

static void set_dispi(uint16_t index, uint16_t value)
{
    outw(DISPI, index);
    outw(DISPI + 1, value);
}

static bool start_screen(void)
{
    int devfn = pci_find(0x1b36, 0x0100);

    if (devfn < 0)
        return false;
    pixels = pci_bar((unsigned)devfn, 0);
    pci_write((unsigned)devfn, 4, pci_read((unsigned)devfn, 4, 2) | 3, 2);
    set_dispi(DISPI_ENABLE, 0);
    set_dispi(DISPI_WIDTH, WIDTH);
    set_dispi(DISPI_HEIGHT, HEIGHT);
    set_dispi(DISPI_DEPTH, 32);
    set_dispi(DISPI_ENABLE, ENABLE_LINEAR);
    return true;
}

/* One dot in each line, where the mode's lines are. */
static void draw(uint32_t round)
{
    uint32_t y;

    outw(DISPI, DISPI_WIDTH);
    wrong_lines += inw(DISPI + 1) != WIDTH;
    for (y = 0; y < HEIGHT; y++) {
        uint64_t dot = pixels + (y * WIDTH + y) * 4;

        wrong_lines += round && read32(dot) != value_at(y, round - 1);
        write32(dot, value_at(y, round));
    }
}

static bool start_devices(void)
{
    bool all = legacy_virtio_start(&disk, VIRTIO_BLK, 0) &&
               legacy_virtio_queue(&disk, 0, DISK_RING) &&
               legacy_virtio_start(&net, VIRTIO_NET, 0) && legacy_virtio_queue(&net, 0, NET_RING) &&
               legacy_virtio_queue(&net, 1, NET_RING + LEGACY_QUEUE_ROOM) && start_screen();

    if (!all)
        return false;
    make_question();
    expect_frame();
    return true;
}

/* Half of everything is under way at any moment. */
static void churn(uint32_t round)
{
    write_disk(round);
    ask();
    walk(round);
    read_disk(round);
    draw(round);
    look_at_ticks(LAPIC_TIMER_VECTOR);
    look_at_ticks(IOAPIC_VECTOR(TIMER_GSI));
    compare_disk();
    hear();
}

int main(void)
{
    uint32_t round = 0;

    idt_init();
    pic_init();
    pic_mask_all();
    lapic_enable();
    start_timers();
    interrupts_on();
    if (!start_devices()) {
        check(false, "there are a disk, a network card and a QXL screen");
        return 0;
    }
    put("churning\n");
    while (!(inb(UART_LSR) & LSR_READY))
        churn(round++);
    interrupts_off();
    check(round > 1, "the memory was walked through");
    check_equal(wrong_pages, 0, "it kept its content");
    check_equal(tsc_back, 0, "the time stamp counter never went back");
    check_equal(pm_jumps, 0, "the PM timer never jumped");
    check_equal(stalls, 0, "the timers went on ticking");
    check_equal(disk_errors, 0, "the disk did all that was asked and gave back what was written");
    check_equal(unanswered, 0, "the network answered each question");
    check_equal(wrong_lines, 0, "the screen kept its mode and its content");
    return 0;
}
