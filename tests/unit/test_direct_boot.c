/* test_direct_boot.c - ELF kernels, PVH and Multiboot, right and wrong; what memory holds when the CPU starts. */
#include "base/error.h"
#include "tests/lib/fake_machine.h"
#include "vmm/direct_boot.h"
#include "vmm/linux_boot.h"

#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#define LOW_TOP MIB(8)
#define SEGMENT MIB(2)
#define SEGMENT_FILE 0x1000 /* where it is in the file */
#define FILE_SIZE 0x1100
#define BSS 0x2000
#define INFO 0x10000

static const struct e820_entry map[] = {{0, 0x9fc00, E820_RAM}, {MIB(1), LOW_TOP - MIB(1), E820_RAM}};

struct kernel {
    uint8_t data[FILE_SIZE];
    Elf64_Ehdr *head;
    Elf64_Phdr *load, *note;
};

/* A file in memory, by the name under which this process finds it. */
static int make_file(const void *data, size_t size, char *path, size_t path_size)
{
    int fd = memfd_create("kernel", 0);

    assert_int_equal(write(fd, data, size), size);
    snprintf(path, path_size, "/proc/self/fd/%d", fd);
    return fd;
}

/* A 64-bit kernel with another note before the entry's, and memory that the file does not fill. */
static void make_pvh(struct kernel *k)
{
    static const uint32_t notes[] = {4, 3, 1, 0x00554e47, 0x00636261, 4, 8, 18, 0x006e6558, SEGMENT + 0x40, 0};

    memset(k, 0, sizeof(*k));
    k->head = (Elf64_Ehdr *)k->data;
    k->load = (Elf64_Phdr *)(k->data + 0x100);
    k->note = k->load + 1;
    *k->head = (Elf64_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
                            .e_type = ET_EXEC,
                            .e_machine = EM_X86_64,
                            .e_phoff = 0x100,
                            .e_phentsize = sizeof(Elf64_Phdr),
                            .e_phnum = 2};
    *k->load = (Elf64_Phdr){.p_type = PT_LOAD,
                            .p_offset = SEGMENT_FILE,
                            .p_vaddr = 0xffffffff81000000,
                            .p_paddr = SEGMENT,
                            .p_filesz = FILE_SIZE - SEGMENT_FILE,
                            .p_memsz = BSS};
    *k->note = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = 0x800, .p_filesz = sizeof(notes), .p_align = 4};
    memcpy(k->data + 0x800, notes, sizeof(notes));
    memset(k->data + SEGMENT_FILE, 0x90, FILE_SIZE - SEGMENT_FILE);
}

static void make_multiboot(uint8_t *data)
{
    static const uint32_t header[] = {0x1badb002, 3, 0u - 0x1badb002 - 3};
    Elf32_Ehdr head = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, 1},
                       .e_type = ET_EXEC,
                       .e_machine = EM_386,
                       .e_entry = SEGMENT + 4,
                       .e_phoff = 0x100,
                       .e_phentsize = sizeof(Elf32_Phdr),
                       .e_phnum = 1};
    Elf32_Phdr load = {.p_type = PT_LOAD,
                       .p_offset = SEGMENT_FILE,
                       .p_paddr = SEGMENT,
                       .p_filesz = FILE_SIZE - SEGMENT_FILE,
                       .p_memsz = BSS};

    memset(data, 0, FILE_SIZE);
    memcpy(data, &head, sizeof(head));
    memcpy(data + 0x100, &load, sizeof(load));
    memcpy(data + SEGMENT_FILE + 0x10, header, sizeof(header));
}

static int open_data(struct direct_boot **boot, const void *data, size_t size, const char *initrd)
{
    char path[32];
    int fd = make_file(data, size, path, sizeof(path));
    int err = direct_boot_open(boot, path, initrd, "console=ttyS0");

    close(fd);
    return err;
}

/* Boots the file on memory full of rubbish. */
static void boot_data(struct fake_machine *m, const void *data, size_t size, struct vcpu_entry *entry)
{
    const struct boot_machine machine = {m->base.memory, map, ARRAY_SIZE(map), LOW_TOP, 0xf0000};
    struct direct_boot *boot = NULL;
    char initrd[32];
    int fd = make_file("a ramdisk", 9, initrd, sizeof(initrd));

    memset(m->ram.host, 0xcc, m->ram.size);
    assert_int_equal(open_data(&boot, data, size, initrd), 0);
    assert_int_equal(direct_boot_load(boot, &machine, entry), 0);
    direct_boot_close(boot);
    close(fd);
    assert_true(entry->direct);
    assert_int_equal(m->ram.host[SEGMENT - 1], 0xcc);
    assert_int_equal(m->ram.host[SEGMENT + FILE_SIZE - SEGMENT_FILE], 0); /* what the file does not have */
    assert_int_equal(m->ram.host[SEGMENT + BSS - 1], 0);
    assert_int_equal(m->ram.host[SEGMENT + BSS], 0xcc);
    assert_memory_equal(m->ram.host + LOW_TOP - 4096, "a ramdisk", 9);
}

static void check_pvh(struct fake_machine *m, const struct vcpu_entry *entry)
{
    const uint8_t *info = m->ram.host + INFO, *module, *memmap;

    assert_int_equal(entry->eip, SEGMENT + 0x40);
    assert_int_equal(entry->ebx, INFO);
    assert_int_equal(m->ram.host[SEGMENT + 0xff], 0x90);
    assert_int_equal(load_le32(info), 0x336ec578);
    assert_int_equal(load_le32(info + 4), 1);
    assert_int_equal(load_le32(info + 12), 1);
    assert_string_equal(m->ram.host + load_le64(info + 24), "console=ttyS0");
    assert_int_equal(load_le64(info + 32), 0xf0000);
    module = m->ram.host + load_le64(info + 16);
    assert_int_equal(load_le64(module), LOW_TOP - 4096);
    assert_int_equal(load_le64(module + 8), 9);
    memmap = m->ram.host + load_le64(info + 40);
    assert_int_equal(load_le32(info + 48), 2);
    assert_int_equal(load_le64(memmap + 24), MIB(1));
    assert_int_equal(load_le64(memmap + 32), LOW_TOP - MIB(1));
    assert_int_equal(load_le32(memmap + 40), E820_RAM);
}

static void test_pvh(void **state UNUSED)
{
    struct fake_machine m;
    struct vcpu_entry entry;
    struct kernel k;

    fake_machine_init(&m, LOW_TOP, false);
    make_pvh(&k);
    boot_data(&m, k.data, FILE_SIZE, &entry);
    check_pvh(&m, &entry);
    fake_machine_fini(&m);
}

static size_t compress_data(const uint8_t *data, size_t size, uint8_t *to, size_t to_size)
{
    z_stream z = {.next_in = (uint8_t *)data, .avail_in = (uInt)size, .next_out = to, .avail_out = (uInt)to_size};

    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return to_size - z.avail_out;
}

static void test_compressed(void **state UNUSED)
{
    struct direct_boot *boot = NULL;
    struct fake_machine m;
    struct vcpu_entry entry;
    uint8_t packed[FILE_SIZE];
    struct kernel k;
    size_t size;

    fake_machine_init(&m, LOW_TOP, false);
    make_pvh(&k);
    size = compress_data(k.data, FILE_SIZE, packed, sizeof(packed));
    boot_data(&m, packed, size, &entry);
    check_pvh(&m, &entry);
    assert_int_equal(open_data(&boot, packed, size - 9, NULL), -EILSEQ);
    packed[size / 2] ^= 0x55;
    assert_int_equal(open_data(&boot, packed, size, NULL), -EILSEQ);
    fake_machine_fini(&m);
}

static void test_bomb(void **state UNUSED)
{
    struct direct_boot *boot = NULL;
    char path[32];
    int fd = make_file("", 0, path, sizeof(path));
    gzFile gz = gzdopen(dup(fd), "wb9");
    static const uint8_t zeros[MIB(1)];
    unsigned i;

    for (i = 0; i <= DIRECT_BOOT_MAX_UNPACKED >> 20; i++)
        assert_int_equal(gzwrite(gz, zeros, sizeof(zeros)), sizeof(zeros));
    gzclose(gz);
    assert_int_equal(direct_boot_open(&boot, path, NULL, NULL), -EFBIG);
    close(fd);
}

static void test_multiboot(void **state UNUSED)
{
    struct fake_machine m;
    struct vcpu_entry entry;
    uint8_t data[FILE_SIZE];
    const uint8_t *info, *module, *memmap;

    fake_machine_init(&m, LOW_TOP, false);
    make_multiboot(data);
    boot_data(&m, data, FILE_SIZE, &entry);
    assert_int_equal(entry.eip, SEGMENT + 4);
    assert_int_equal(entry.eax, 0x2badb002);
    info = m.ram.host + entry.ebx;
    assert_int_equal(load_le32(info), 0x4d); /* memory, command line, modules, map */
    assert_int_equal(load_le32(info + 8), (LOW_TOP - MIB(1)) >> 10);
    assert_string_equal(m.ram.host + load_le32(info + 16), "kernel console=ttyS0");
    assert_int_equal(load_le16(m.ram.host + 0x413), 639);
    assert_int_equal(load_le32(info + 20), 1);
    module = m.ram.host + load_le32(info + 24);
    assert_int_equal(load_le32(module), LOW_TOP - 4096);
    assert_int_equal(load_le32(module + 4), LOW_TOP - 4096 + 9);
    memmap = m.ram.host + load_le32(info + 48);
    assert_int_equal(load_le32(info + 44), 48);
    assert_int_equal(load_le32(memmap + 24), 20);
    assert_int_equal(load_le64(memmap + 28), MIB(1));
    fake_machine_fini(&m);
}

/* The smallest bzImage: a sector of set-up code, and a byte that runs. */
static struct setup_header *make_linux(uint8_t *data, size_t size)
{
    static const struct setup_header header = {.header = 0x53726448,
                                               .version = 0x020f,
                                               .setup_sects = 1,
                                               .loadflags = LOADED_HIGH,
                                               .code32_start = DIRECT_BOOT_KERNEL,
                                               .cmdline_size = 255,
                                               .initrd_addr_max = 0x7fffffff,
                                               .init_size = 0x1000};

    memset(data, 0x90, size);
    return memcpy(data + offsetof(struct boot_params, hdr), &header, sizeof(header));
}

/* A kernel of an older protocol has something else where newer ones say how much memory they need. */
static void test_old_linux(void **state UNUSED)
{
    struct boot_machine machine = {.e820 = map, .e820_count = ARRAY_SIZE(map), .low_top = LOW_TOP};
    struct direct_boot *boot = NULL;
    uint8_t data[3 * 512 + 64];
    struct setup_header *header = make_linux(data, sizeof(data));
    struct fake_machine m;
    struct vcpu_entry entry;

    fake_machine_init(&m, LOW_TOP, false);
    machine.memory = m.base.memory;
    header->init_size = 0x352d3538;
    assert_int_equal(open_data(&boot, data, sizeof(data), NULL), 0);
    assert_int_equal(direct_boot_load(boot, &machine, &entry), -ENOMEM);
    direct_boot_close(boot);
    header->version = 0x0207;
    assert_int_equal(open_data(&boot, data, sizeof(data), NULL), 0);
    assert_int_equal(direct_boot_load(boot, &machine, &entry), 0);
    direct_boot_close(boot);
    header->code32_start = 0; /* iPXE's */
    assert_int_equal(open_data(&boot, data, sizeof(data), NULL), -ENOTSUP);
    assert_non_null(strstr(fail_text(), "needs a BIOS"));
    fake_machine_fini(&m);
}

static void test_screen(void **state UNUSED)
{
    struct boot_machine machine = {.e820 = map, .e820_count = ARRAY_SIZE(map), .low_top = LOW_TOP};
    const struct boot_screen screen = {800, 600, 3200, 0xfd000000};
    struct direct_boot *boot = NULL;
    const struct screen_info *info;
    uint8_t data[3 * 512 + 64];
    struct fake_machine m;
    struct vcpu_entry entry;

    fake_machine_init(&m, LOW_TOP, false);
    info = &((const struct boot_params *)(m.ram.host + INFO))->screen_info;
    machine.memory = m.base.memory;
    make_linux(data, sizeof(data));
    assert_int_equal(open_data(&boot, data, sizeof(data), NULL), 0);
    assert_int_equal(direct_boot_load(boot, &machine, &entry), 0);
    assert_int_equal(entry.esi, INFO);
    assert_int_equal(info->orig_video_isVGA, 0); /* --video none */
    machine.screen = screen;
    assert_int_equal(direct_boot_load(boot, &machine, &entry), 0);
    assert_int_equal(info->orig_video_isVGA, VIDEO_TYPE_VLFB);
    assert_int_equal(info->lfb_base, screen.address);
    assert_int_equal(info->lfb_linelength, screen.pitch);
    assert_int_equal(info->lfb_size, 30); /* units of 64 KiB */
    assert_int_equal(info->lfb_width * info->lfb_height, 800 * 600);
    assert_int_equal(info->red_pos + info->red_size, 24);
    direct_boot_close(boot);
    fake_machine_fini(&m);
}

static void refuse(struct kernel *k, size_t size, const char *says)
{
    struct direct_boot *boot = NULL;

    assert_int_equal(open_data(&boot, k->data, size, NULL), -EINVAL);
    if (!strstr(fail_text(), says))
        fail_msg("instead of '%s': %s", says, fail_text());
    make_pvh(k);
}

static void test_refusals(void **state UNUSED)
{
    struct kernel k;

    make_pvh(&k);
    k.head->e_machine = EM_AARCH64;
    refuse(&k, FILE_SIZE, "not for x86");
    k.head->e_type = ET_DYN;
    refuse(&k, FILE_SIZE, "no fixed addresses");
    k.head->e_phnum = 129;
    refuse(&k, FILE_SIZE, "program headers");
    k.head->e_phentsize = 1;
    refuse(&k, FILE_SIZE, "program headers");
    k.head->e_phoff = UINT64_MAX - 10;
    refuse(&k, FILE_SIZE, "truncated");
    refuse(&k, FILE_SIZE - 1, "truncated");
    k.load->p_offset = UINT64_MAX - 10;
    refuse(&k, FILE_SIZE, "truncated");
    k.load->p_memsz = 1; /* less than the file has */
    refuse(&k, FILE_SIZE, "truncated");
    k.load->p_paddr = 0xff000;
    refuse(&k, FILE_SIZE, "below 1 MiB");
    k.load->p_paddr = UINT64_MAX - 10;
    refuse(&k, FILE_SIZE, "above 4 GiB");
    k.load->p_memsz = UINT64_MAX - SEGMENT;
    refuse(&k, FILE_SIZE, "above 4 GiB");
    k.note->p_type = PT_NULL;
    refuse(&k, FILE_SIZE, "neither a PVH entry");
    k.note->p_filesz = 30; /* the entry's note is cut off */
    refuse(&k, FILE_SIZE, "neither a PVH entry");
    k.load->p_paddr = MIB(3);
    refuse(&k, FILE_SIZE, "its entry is outside");
    memset(k.data, 0, 4);
    refuse(&k, FILE_SIZE, "neither a bzImage nor an ELF file");
}

static void test_too_little_memory(void **state UNUSED)
{
    struct boot_machine machine = {.e820 = map, .e820_count = ARRAY_SIZE(map), .low_top = MIB(4)};
    struct direct_boot *boot = NULL;
    struct vcpu_entry entry;
    struct fake_machine m;
    struct kernel k;

    fake_machine_init(&m, MIB(4), false);
    machine.memory = m.base.memory;
    make_pvh(&k);
    k.load->p_memsz = MIB(2) + 1;
    assert_int_equal(open_data(&boot, k.data, FILE_SIZE, NULL), 0);
    assert_int_equal(direct_boot_load(boot, &machine, &entry), -ENOMEM);
    direct_boot_close(boot);
    fake_machine_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pvh),       cmocka_unit_test(test_compressed),        cmocka_unit_test(test_bomb),
        cmocka_unit_test(test_multiboot), cmocka_unit_test(test_refusals), cmocka_unit_test(test_too_little_memory),
        cmocka_unit_test(test_screen), cmocka_unit_test(test_old_linux),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
