/* vga_card.c - a plain VGA with Bochs' DISPI: PCI 1234:1111, as Bochs' and QEMU's "standard VGA" without its MMIO bar. */
#include "base/error.h"
#include "devices/qxl/head.h"
#include "devices/qxl/qxl.h"

#include <errno.h>
#include <stdlib.h>

#define DEFAULT_MEMORY MIB(16)
#define MAX_MEMORY     MIB(256)

struct vga_card {
    struct pci_device pci;
    struct ram ram;
    struct head head;
};

static struct vga_card *from_device(struct device *device)
{
    return container_of(device, struct vga_card, pci.base);
}

static void watched(void *device, bool on)
{
    head_watched(&((struct vga_card *)device)->head, on);
}

static void update(void *device)
{
    head_update(&((struct vga_card *)device)->head);
}

static const struct display_device_ops display_ops = {.watched = watched, .update = update};

static void reset(struct device *device)
{
    vga_reset(&from_device(device)->head.vga);
}

static void save(struct device *device, struct writer *w)
{
    struct vga_card *card = from_device(device);

    pci_save(&card->pci, w);
    vga_save(&card->head.vga, w);
    writer_bytes(w, card->ram.host, card->ram.size);
}

static int load(struct device *device, struct reader *r, uint32_t version UNUSED)
{
    struct vga_card *card = from_device(device);
    const uint8_t *memory;
    int err = pci_load(&card->pci, r);

    if (!err)
        err = vga_load(&card->head.vga, r);
    if (err)
        return err;
    memory = reader_bytes(r, card->ram.size);
    if (!memory)
        return fail(-EINVAL, "the saved state of the VGA lacks its memory");
    memcpy(card->ram.host, memory, card->ram.size);
    return 0;
}

static void destroy(struct device *device)
{
    struct vga_card *card = from_device(device);

    head_stop(&card->head);
    head_fini(&card->head);
    pci_fini(&card->pci);
    ram_fini(&card->ram);
    free(card);
}

static const struct device_ops vga_card_ops = {
    .name = "vga",
    .version = 1,
    .reset = reset,
    .save = save,
    .load = load,
    .destroy = destroy,
};

static const struct pci_ids ids = {0x1234,       0x1111, 0x1af4, 0x1100, .class = 0x030000,
                                   .revision = 2};

static uint64_t memory_size(const struct qxl_config *config)
{
    uint64_t wanted = config->vgamem ? config->vgamem : DEFAULT_MEMORY, size = MIB(1);

    while (size < wanted && size < MAX_MEMORY)
        size *= 2;
    return size;
}

int vga_create(struct machine *machine, uint8_t devfn, const struct qxl_config *config,
               struct display **display)
{
    struct vga_card *card = calloc(1, sizeof(*card));
    struct head *head;
    int err;

    if (!card)
        return -ENOMEM;
    head = &card->head;
    err = ram_init(&card->ram, "vga memory", memory_size(config), RAM_LOG_DIRTY);
    if (err)
        goto fail_ram;
    err = head_init(head, machine, &card->ram, card->ram.size, config->id, &display_ops, card);
    if (err)
        goto fail_ram;
    head_set_address(head, devfn);
    err = pci_init(&card->pci, &vga_card_ops, machine, devfn, &ids);
    if (err)
        goto fail_head;
    *display = &head->display;
    /* From here on the device is in the machine's list, which takes care of it. */
    pci_add_ram_bar(&card->pci, 0, PCI_BAR_MEM_PREFETCH, &card->ram);
    err = pci_add_rom(&card->pci, config->rom ? config->rom : VGA_ROM_FILE);
    if (!err)
        err = vga_map(&head->vga);
    return err ? err : head_start(head);

fail_head:
    head_fini(head);
fail_ram:
    ram_fini(&card->ram);
    free(card);
    return err;
}
