#include "devices/platform/i440fx.h"

#include "base/error.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define PAM          0x59
#define PAM_COUNT    7
#define SMRAM        0x72
#define SEGMENT_SIZE 0x4000
/* The F segment is four of these 16 KiB segments with one setting. */
#define SEGMENTS     (I440FX_SHADOW_SIZE / SEGMENT_SIZE)
#define BIOS_SEGMENT ((I440FX_BIOS_BASE - I440FX_SHADOW_BASE) / SEGMENT_SIZE)

enum { PAM_READ = 1, PAM_WRITE = 2, PAM_OPEN = 0x33 };
enum { SMRAM_DEFAULT = 0x02, SMRAM_LOCK = 0x10, SMRAM_OPEN = 0x40, SMRAM_WRITABLE = 0x7c };

/* What the CPU finds in a segment. Writing alone enabled cannot be mapped: it counts as disabled. */
enum view { VIEW_NOTHING, VIEW_BIOS, VIEW_RAM_READ_ONLY, VIEW_RAM };

struct i440fx {
    struct pci_device pci;
    struct i440fx_config config;
    enum view views[SEGMENTS];
    struct ram blocks
        [SEGMENTS]; /* blocks[n] begins at segment n; it is mapped if a run of equal views does */
};

static struct i440fx *of_device(struct device *device)
{
    return container_of(device, struct i440fx, pci.base);
}

/* PAM0's high half is the F segment; PAM1..6 hold two segments each, the lower one in the low half. */
static unsigned segment_bits(const struct i440fx *bridge, unsigned segment)
{
    const uint8_t *pam = bridge->pci.config + PAM;

    if (segment >= 2 * (PAM_COUNT - 1))
        return pam[0] >> 4 & 3;
    return pam[1 + segment / 2] >> 4 * (segment % 2) & 3;
}

static enum view segment_view(const struct i440fx *bridge, unsigned segment)
{
    unsigned bits = segment_bits(bridge, segment);

    if (bits & PAM_READ)
        return bits & PAM_WRITE ? VIEW_RAM : VIEW_RAM_READ_ONLY;
    return segment >= BIOS_SEGMENT && bridge->config.bios ? VIEW_BIOS : VIEW_NOTHING;
}

static uint8_t *segment_memory(const struct i440fx *bridge, unsigned segment, enum view view)
{
    if (view == VIEW_BIOS)
        return bridge->config.bios + (segment - BIOS_SEGMENT) * SEGMENT_SIZE;
    return bridge->config.shadow + segment * SEGMENT_SIZE;
}

static void map_run(struct i440fx *bridge, unsigned first, unsigned count)
{
    enum view view = bridge->views[first];
    struct ram *ram = &bridge->blocks[first];

    if (view == VIEW_NOTHING)
        return;
    *ram = (struct ram){
        .name = view == VIEW_BIOS ? "bios" : "shadow ram",
        .host = segment_memory(bridge, first, view),
        .size = (size_t)count * SEGMENT_SIZE,
        .flags = view == VIEW_RAM ? 0 : RAM_READ_ONLY,
    };
    if (memory_map_ram(bridge->pci.base.machine->memory, ram,
                       I440FX_SHADOW_BASE + first * SEGMENT_SIZE))
        log_error("i440fx: cannot map %s: %s", ram->name, fail_text());
}

static void unmap_all(struct i440fx *bridge)
{
    unsigned i;

    for (i = 0; i < SEGMENTS; i++)
        memory_unmap_ram(bridge->pci.base.machine->memory, &bridge->blocks[i]);
}

static void update_views(struct i440fx *bridge)
{
    enum view views[SEGMENTS];
    unsigned i, first = 0;

    for (i = 0; i < SEGMENTS; i++)
        views[i] = segment_view(bridge, i);
    if (memcmp(views, bridge->views, sizeof(views)) == 0)
        return;
    unmap_all(bridge);
    memcpy(bridge->views, views, sizeof(views));
    for (i = 1; i <= SEGMENTS; i++)
        if (i == SEGMENTS || views[i] != views[first]) {
            map_run(bridge, first, i - first);
            first = i;
        }
}

/* There is no SMM; the register behaves, and the lock closes it until reset. */
static void update_smram(struct i440fx *bridge)
{
    uint8_t *smram = &bridge->pci.config[SMRAM];

    if (!(*smram & SMRAM_LOCK))
        return;
    *smram &= ~SMRAM_OPEN;
    bridge->pci.writable[SMRAM] = 0;
}

static void config_written(struct pci_device *pci, unsigned offset UNUSED, unsigned size UNUSED)
{
    struct i440fx *bridge = container_of(pci, struct i440fx, pci);

    update_smram(bridge);
    update_views(bridge);
}

static void i440fx_reset(struct device *device)
{
    struct i440fx *bridge = of_device(device);

    memset(bridge->pci.config + PAM, bridge->config.bios ? 0 : PAM_OPEN, PAM_COUNT);
    bridge->pci.config[SMRAM] = SMRAM_DEFAULT;
    bridge->pci.writable[SMRAM] = SMRAM_WRITABLE;
    update_views(bridge);
}

/* The shadow RAM's content is the owner's to save. */
static void i440fx_save(struct device *device, struct writer *w)
{
    pci_save(&of_device(device)->pci, w);
}

static int i440fx_load(struct device *device, struct reader *r, uint32_t version UNUSED)
{
    struct i440fx *bridge = of_device(device);
    int err;

    bridge->pci.writable[SMRAM] = SMRAM_WRITABLE;
    err = pci_load(&bridge->pci, r);
    if (err)
        return err;
    update_smram(bridge);
    update_views(bridge);
    return 0;
}

static void i440fx_destroy(struct device *device)
{
    struct i440fx *bridge = of_device(device);

    unmap_all(bridge);
    pci_fini(&bridge->pci);
    free(bridge);
}

static const struct device_ops i440fx_ops = {
    .name = "i440fx",
    .version = 1,
    .reset = i440fx_reset,
    .save = i440fx_save,
    .load = i440fx_load,
    .destroy = i440fx_destroy,
};

struct pci_device *i440fx_create(struct machine *machine, const struct i440fx_config *config)
{
    static const struct pci_ids ids = {
        .vendor = 0x8086,
        .device = 0x1237,
        .subvendor = 0x1af4, /* by this SeaBIOS knows a machine that has fw_cfg */
        .subdevice = 0x1100,
        .class = 0x060000,
        .revision = 2,
    };
    struct i440fx *bridge = calloc(1, sizeof(*bridge));

    if (!bridge || pci_init(&bridge->pci, &i440fx_ops, machine, PCI_DEVFN(0, 0), &ids)) {
        free(bridge);
        return NULL;
    }
    bridge->config = *config;
    bridge->pci.config_written = config_written;
    memset(bridge->pci.writable + PAM, PAM_OPEN, PAM_COUNT);
    i440fx_reset(&bridge->pci.base);
    return &bridge->pci;
}
