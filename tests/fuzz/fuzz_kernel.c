/* fuzz_kernel.c - a hostile kernel file: bzImage, ELF, or either compressed, opened and loaded into a small machine. */
#include "vmm/direct_boot.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEMORY MIB(16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct memory *make_memory(void)
{
    static struct ram ram;
    struct memory *memory = memory_create(NULL, NULL);

    if (!memory || ram_init(&ram, "memory", MEMORY, 0) || memory_map_ram(memory, &ram, 0))
        abort();
    return memory;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct e820_entry map[] = {{0, 0x9fc00, E820_RAM}, {MIB(1), MEMORY - MIB(1), E820_RAM}};
    static struct boot_machine machine = {.e820 = map, .e820_count = 2, .low_top = MEMORY, .rsdp = 0xf0000};
    int fd = memfd_create("kernel", MFD_CLOEXEC);
    struct direct_boot *boot = NULL;
    struct vcpu_entry entry;
    char path[32];

    if (!machine.memory)
        machine.memory = make_memory();
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (direct_boot_open(&boot, path, size & 1 ? path : NULL, "quiet") == 0)
        direct_boot_load(boot, &machine, &entry);
    direct_boot_close(boot);
    close(fd);
    return 0;
}
