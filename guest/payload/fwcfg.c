/* The firmware configuration device by port and by DMA. */
#include "payload.h"

enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };

struct command {
    uint32_t control, length;
    uint64_t address;
};

static volatile struct command command __attribute__((aligned(16)));

static uint32_t dma(uint32_t control, void *address, uint32_t length)
{
    uint64_t at = (uint64_t)&command;

    command.control = __builtin_bswap32(control);
    command.length = __builtin_bswap32(length);
    command.address = __builtin_bswap64((uint64_t)address);
    outl(0x514, __builtin_bswap32((uint32_t)(at >> 32)));
    outl(0x518, __builtin_bswap32((uint32_t)at));
    return __builtin_bswap32(command.control);
}

int main(void)
{
    static uint8_t by_port[256], by_dma[256];
    uint32_t id, size = 0;
    uint16_t key;

    fw_cfg_read(0, by_port, 4);
    check(memcmp(by_port, "QEMU", 4) == 0, "the signature");
    fw_cfg_read(1, &id, sizeof(id));
    check_equal(id & 3, 3, "it has ports and DMA");
    check_equal(inl(0x514), 0x554d4551, "the DMA register's own signature");
    check(cpu_count() >= 1 && cpu_count() <= 255, "a count of CPUs");
    key = fw_cfg_find("etc/e820", &size);
    check(key >= 0x20 && size >= 20 && size % 20 == 0, "a map of memory");
    size = size < sizeof(by_port) ? size : sizeof(by_port);
    fw_cfg_read(key, by_port, size);
    check_equal(dma((uint32_t)key << 16 | DMA_SELECT | DMA_READ, by_dma, size), 0,
                "a DMA read ends");
    check(memcmp(by_port, by_dma, size) == 0, "it gives what the port gives");
    check_equal(dma((uint32_t)key << 16 | DMA_SELECT | DMA_SKIP, NULL, 8), 0, "a DMA skip ends");
    check_equal(dma(DMA_READ, by_dma, 4), 0, "a DMA read without selecting");
    check(memcmp(by_port + 8, by_dma, 4) == 0, "goes on where the skip ended");
    check_equal(dma((uint32_t)key << 16 | DMA_SELECT | DMA_WRITE, by_dma, 4), DMA_ERROR,
                "a write to what is read only fails");
    fw_cfg_read(0xbfff, by_port, 4);
    check_equal(*(uint32_t *)by_port, 0, "what is not there reads as zeros");
    return 0;
}
