/* qxl_rom.c - what the device tells its driver: the ROM, its table of modes, and the header in RAM. */
#include "devices/qxl/qxl_device.h"

static const struct {
    uint16_t width, height;
} resolutions[] = {
    {640, 480},   {720, 480},   {800, 600},   {832, 624},   {960, 640},   {1024, 600},
    {1024, 768},  {1152, 864},  {1152, 870},  {1280, 720},  {1280, 760},  {1280, 768},
    {1280, 800},  {1280, 960},  {1280, 1024}, {1360, 768},  {1366, 768},  {1400, 1050},
    {1440, 900},  {1600, 900},  {1600, 1200}, {1680, 1050}, {1920, 1080}, {1920, 1200},
    {1920, 1440}, {2000, 2000}, {2048, 1536}, {2048, 2048}, {2560, 1440}, {2560, 1600},
    {2560, 2048}, {2800, 2100}, {3200, 2400}, {3840, 2160}, {4096, 2160}, {7680, 4320},
    {8192, 4320},
};

static void add_modes(QXLModes *modes, unsigned index, uint32_t vgamem)
{
    uint32_t width = resolutions[index].width, height = resolutions[index].height;

    if ((uint64_t)width * height * 4 > vgamem)
        return;
    /* Both depths, as they are and turned by a quarter. */
    for (unsigned i = 0; i < 4; i++) {
        uint32_t x = i & 1 ? height : width, y = i & 1 ? width : height, bits = i & 2 ? 32 : 16;

        modes->modes[modes->n_modes] = (QXLMode){.id = modes->n_modes,
                                                 .x_res = x,
                                                 .y_res = y,
                                                 .bits = bits,
                                                 .stride = x * bits / 8,
                                                 .x_mili = x * 254 / 960,
                                                 .y_mili = y * 254 / 960,
                                                 .orientation = i & 1};
        modes->n_modes++;
    }
}

static QXLModes *rom_modes(const struct qxl *q)
{
    static_assert(sizeof(QXLRom) % 4 == 0, "the table follows the ROM header");
    static_assert(sizeof(QXLRom) + 4 + 4 * sizeof(QXLMode) * ARRAY_SIZE(resolutions) <=
                      QXL_ROM_SIZE,
                  "the ROM holds all modes");
    return (QXLModes *)(q->rom_ram.host + sizeof(QXLRom));
}

const QXLMode *qxl_rom_mode(const struct qxl *q, uint32_t id)
{
    const QXLModes *modes = rom_modes(q);

    return id < modes->n_modes ? &modes->modes[id] : NULL;
}

static void init_header(struct qxl *q)
{
    QXLRam header = {.magic = QXL_RAM_MAGIC};

    guest_copy(q->header, &header, sizeof(header));
    qxl_rings_reset(q);
}

static void put_client(struct qxl *q)
{
    if (q->revision < QXL_REVISION_STABLE_V12)
        return;
    q->rom->client_present = q->client_present;
    memcpy(q->rom->client_capabilities, q->client_capabilities, sizeof(q->client_capabilities));
}

void qxl_rom_init(struct qxl *q)
{
    uint32_t header = ALIGN_UP(sizeof(QXLRam), 4096);

    memset(q->rom_ram.host, 0, QXL_ROM_SIZE);
    *q->rom = (QXLRom){
        .magic = QXL_ROM_MAGIC,
        .id = q->head.display.id,
        .modes_offset = sizeof(QXLRom),
        .num_pages = (q->ram.size - header - q->vgamem) / 4096,
        .pages_offset = q->vgamem,
        .surface0_area_size = q->vgamem,
        .ram_header_offset = q->ram.size - header,
        .n_surfaces = QXL_SURFACES,
        .slots_start = 1,
        .slots_end = QXL_SLOTS - 1,
        .slot_gen_bits = 8,
        .slot_id_bits = 8,
    };
    for (unsigned i = 0; i < ARRAY_SIZE(resolutions); i++)
        add_modes(rom_modes(q), i, q->vgamem);
    put_client(q);
    init_header(q);
}

/* As the drivers count it: reflected, starting from 0, not inverted at the end. */
static uint32_t config_crc(const void *data, size_t size)
{
    const uint8_t *p = data;
    uint32_t crc = 0;

    while (size--) {
        crc ^= *p++;
        for (int i = 0; i < 8; i++)
            crc = crc >> 1 ^ (crc & 1 ? CLIENT_MONITORS_CONFIG_CRC32_POLY : 0);
    }
    return crc;
}

/* A mask of all ones is an old driver's, which knows nothing of this interrupt. */
static bool driver_listens(const struct qxl *q, uint32_t mask)
{
    return q->revision >= QXL_REVISION_STABLE_V12 && mask != ~0u && mask & QXL_INTERRUPT_CLIENT_MONITORS_CONFIG;
}

static uint32_t interrupt_mask(const struct qxl *q)
{
    return __atomic_load_n(q->int_mask, __ATOMIC_ACQUIRE);
}

/* A mask of 0 says nothing: there are drivers that have it so while they serve an interrupt. */
void qxl_rom_watch_driver(struct qxl *q)
{
    uint32_t mask = interrupt_mask(q);

    if (mask)
        display_set_takes_heads(&q->head.display, driver_listens(q, mask));
}

bool qxl_rom_set_heads(struct qxl *q, const struct display_head *heads, size_t count)
{
    __typeof__(q->rom->client_monitors_config) config = {.count = MIN(count, q->max_heads)};
    uint32_t crc;

    if (!driver_listens(q, interrupt_mask(q)))
        return false;
    for (unsigned i = 0; i < config.count; i++)
        config.heads[i] = (QXLURect){.left = heads[i].x,
                                     .top = heads[i].y,
                                     .right = heads[i].x + heads[i].width,
                                     .bottom = heads[i].y + heads[i].height};
    crc = config_crc(&config, sizeof(config));
    if (crc == q->rom->client_monitors_config_crc)
        return true;
    /* A driver that reads meanwhile sees that the sum is wrong, and reads again. */
    q->rom->client_monitors_config = config;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    q->rom->client_monitors_config_crc = crc;
    qxl_interrupt(q, QXL_INTERRUPT_CLIENT_MONITORS_CONFIG);
    return true;
}

void qxl_rom_set_capabilities(struct qxl *q, bool present, const uint8_t caps[58])
{
    q->client_present = present;
    memcpy(q->client_capabilities, caps, sizeof(q->client_capabilities));
    if (q->revision < QXL_REVISION_STABLE_V12)
        return;
    put_client(q);
    qxl_interrupt(q, QXL_INTERRUPT_CLIENT);
}

void qxl_rom_loaded(struct qxl *q)
{
    bool same = q->rom->client_present == q->client_present &&
                memcmp(q->rom->client_capabilities, q->client_capabilities, sizeof(q->client_capabilities)) == 0;

    if (q->revision < QXL_REVISION_STABLE_V12 || same)
        return;
    put_client(q);
    qxl_interrupt(q, QXL_INTERRUPT_CLIENT);
}
