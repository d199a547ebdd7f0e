#include "vmm/elf_boot.h"

#include "base/bytes.h"
#include "base/error.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#define PROGRAM_HEADERS_MAX 128
#define NOTES_MAX KIB(64)
#define ADDRESS_MAX GIB(4)

#define PVH_NOTE 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
#define PVH_MAGIC 0x336ec578
#define PVH_VERSION 1

#define LOW_KIB 639 /* below the extended BIOS data area */

#define MULTIBOOT_SEARCH 8192
#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_ENTRY_MAGIC 0x2badb002
#define MULTIBOOT_UNKNOWN 0xfff8 /* flags that a loader may not ignore; bit 2, a video mode, is only a wish */

/* Both classes' program headers in one shape. */
struct program_header {
    uint32_t type;
    uint64_t offset, address, file_size, size;
};

struct elf_file {
    const struct file *file;
    bool wide; /* 64 bits */
    uint64_t headers, entry;
    unsigned header_size, count;
};

/* --- the ELF file --- */

static int bad(const struct file *file, const char *what)
{
    return fail(-EINVAL, "kernel '%s' is not an ELF file that can be booted: %s", file->path, what);
}

static int read_header(struct elf_file *elf)
{
    union {
        uint8_t ident[EI_NIDENT];
        Elf32_Ehdr narrow;
        Elf64_Ehdr wide;
    } h = {0};
    unsigned machine, type;
    int err = file_read(elf->file, &h, MIN(sizeof(h), elf->file->size), 0);

    if (err)
        return err;
    elf->wide = h.ident[EI_CLASS] == ELFCLASS64;
    elf->headers = elf->wide ? h.wide.e_phoff : h.narrow.e_phoff;
    elf->entry = elf->wide ? h.wide.e_entry : h.narrow.e_entry;
    elf->count = elf->wide ? h.wide.e_phnum : h.narrow.e_phnum;
    elf->header_size = elf->wide ? h.wide.e_phentsize : h.narrow.e_phentsize;
    machine = elf->wide ? h.wide.e_machine : h.narrow.e_machine;
    type = elf->wide ? h.wide.e_type : h.narrow.e_type;
    if ((h.ident[EI_CLASS] != ELFCLASS32 && !elf->wide) || h.ident[EI_DATA] != ELFDATA2LSB ||
        (machine != EM_386 && machine != EM_X86_64))
        return bad(elf->file, "it is not for x86");
    if (type != ET_EXEC)
        return bad(elf->file, "it has no fixed addresses");
    if (!elf->count || elf->count > PROGRAM_HEADERS_MAX ||
        elf->header_size != (elf->wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
        return bad(elf->file, "its program headers have an unexpected number or size");
    return 0;
}

static bool inside(uint64_t offset, uint64_t size, uint64_t limit)
{
    return offset <= limit && size <= limit - offset;
}

static int read_program_header(const struct elf_file *elf, unsigned n, struct program_header *p)
{
    uint64_t at = elf->headers + n * (uint64_t)elf->header_size;
    union {
        Elf32_Phdr narrow;
        Elf64_Phdr wide;
    } h;
    int err;

    if (elf->headers > elf->file->size || !inside(at, elf->header_size, elf->file->size))
        return bad(elf->file, "it is truncated");
    err = file_read(elf->file, &h, elf->header_size, at);
    if (err)
        return err;
    if (elf->wide)
        *p = (struct program_header){h.wide.p_type, h.wide.p_offset, h.wide.p_paddr, h.wide.p_filesz, h.wide.p_memsz};
    else
        *p = (struct program_header){h.narrow.p_type, h.narrow.p_offset, h.narrow.p_paddr, h.narrow.p_filesz,
                                     h.narrow.p_memsz};
    return 0;
}

static int add_segment(struct elf_kernel *kernel, const struct elf_file *elf, const struct program_header *p)
{
    if (!p->size)
        return 0;
    if (kernel->segment_count == ELF_MAX_SEGMENTS)
        return bad(elf->file, "it has too many segments");
    if (p->file_size > p->size || !inside(p->offset, p->file_size, elf->file->size))
        return bad(elf->file, "it is truncated");
    if (p->address < DIRECT_BOOT_KERNEL || !inside(p->address, p->size, ADDRESS_MAX))
        return bad(elf->file, "it would lie below 1 MiB or above 4 GiB");
    kernel->segments[kernel->segment_count++] =
        (struct elf_segment){p->offset, p->file_size, p->address, p->size};
    return 0;
}

/* --- PVH's note --- */

/* The entry's address in a list of notes, or 0. */
static uint64_t find_pvh_entry(const uint8_t *notes, size_t size)
{
    struct reader r;

    reader_init(&r, notes, size);
    while (reader_left(&r) >= sizeof(Elf32_Nhdr)) {
        uint32_t name_size = reader_u32(&r), value_size = reader_u32(&r), type = reader_u32(&r);
        const uint8_t *name = reader_bytes(&r, ALIGN_UP((uint64_t)name_size, 4ull)), *value = r.p;

        if (!name || value_size > reader_left(&r))
            return 0;
        if (type == PVH_NOTE && name_size == 4 && memcmp(name, "Xen", 4) == 0 && (value_size == 4 || value_size == 8))
            return value_size == 4 ? load_le32(value) : load_le64(value);
        reader_bytes(&r, MIN(ALIGN_UP((uint64_t)value_size, 4ull), reader_left(&r)));
    }
    return 0;
}

static int read_notes(const struct elf_file *elf, const struct program_header *p, uint64_t *entry)
{
    uint8_t notes[NOTES_MAX];
    size_t size = MIN(p->file_size, sizeof(notes));
    int err;

    if (!inside(p->offset, p->file_size, elf->file->size))
        return bad(elf->file, "it is truncated");
    err = file_read(elf->file, notes, size, p->offset);
    if (!err && !*entry)
        *entry = find_pvh_entry(notes, size);
    return err;
}

/* --- Multiboot's header --- */

static bool has_multiboot_header(const struct file *file)
{
    uint8_t head[MULTIBOOT_SEARCH];
    size_t size = MIN(sizeof(head), file->size), i;

    if (file_read(file, head, size, 0))
        return false;
    for (i = 0; i + 12 <= size; i += 4) {
        uint32_t flags = load_le32(head + i + 4);

        if (load_le32(head + i) == MULTIBOOT_MAGIC && load_le32(head + i + 8) + MULTIBOOT_MAGIC + flags == 0)
            return !(flags & MULTIBOOT_UNKNOWN);
    }
    return false;
}

/* --- what it is --- */

static int check_entry(struct elf_kernel *kernel, const struct file *file, uint64_t entry)
{
    unsigned i;

    kernel->entry = (uint32_t)entry;
    for (i = 0; i < kernel->segment_count; i++)
        if (entry >= kernel->segments[i].address && entry - kernel->segments[i].address < kernel->segments[i].size)
            return 0;
    return bad(file, "its entry is outside its segments");
}

int elf_check(struct elf_kernel *kernel, const struct boot_files *files)
{
    struct elf_file elf = {.file = &files->kernel};
    struct program_header p = {0};
    uint64_t pvh = 0;
    int err = read_header(&elf);
    unsigned i;

    for (i = 0; i < elf.count && !err; i++) {
        err = read_program_header(&elf, i, &p);
        if (!err && p.type == PT_LOAD)
            err = add_segment(kernel, &elf, &p);
        else if (!err && p.type == PT_NOTE)
            err = read_notes(&elf, &p, &pvh);
    }
    if (err)
        return err;
    if (pvh)
        return check_entry(kernel, elf.file, pvh);
    kernel->multiboot = !elf.wide && has_multiboot_header(elf.file);
    if (!kernel->multiboot)
        return bad(elf.file, "it has neither a PVH entry (Linux: CONFIG_PVH) nor a Multiboot header");
    return check_entry(kernel, elf.file, elf.entry);
}

/* --- loading --- */

/* Zeroed first: after a reset there is what the guest has left. */
static int clear(struct memory *memory, gpa_t at, uint64_t size)
{
    static const uint8_t zeros[KIB(64)];
    int err = 0;

    for (; size && !err; size -= MIN(size, sizeof(zeros)), at += sizeof(zeros))
        err = memory_write(memory, at, zeros, MIN(size, sizeof(zeros)));
    return err;
}

static int load_segments(const struct elf_kernel *kernel, const struct boot_files *files,
                         const struct boot_machine *machine)
{
    unsigned i;
    int err = 0;

    for (i = 0; i < kernel->segment_count && !err; i++) {
        const struct elf_segment *s = &kernel->segments[i];

        err = boot_load_file(&files->kernel, s->offset, s->file_size, machine->memory, s->address);
        if (!err)
            err = clear(machine->memory, s->address + s->file_size, s->size - s->file_size);
    }
    return err;
}

static uint64_t end_of(const struct elf_kernel *kernel)
{
    uint64_t end = 0;
    unsigned i;

    for (i = 0; i < kernel->segment_count; i++)
        end = MAX(end, kernel->segments[i].address + kernel->segments[i].size);
    return end;
}

/* start_info, its module list and its memory map, one after the other at DIRECT_BOOT_PARAMS. */
static void describe_pvh(struct writer *w, const struct boot_files *files, const struct boot_machine *machine,
                         uint64_t initrd)
{
    const gpa_t modules = DIRECT_BOOT_PARAMS + 56, map = modules + 32;
    unsigned i;

    writer_u32(w, PVH_MAGIC);
    writer_u32(w, PVH_VERSION);
    writer_u32(w, 0); /* flags */
    writer_u32(w, initrd ? 1 : 0);
    writer_u64(w, initrd ? modules : 0);
    writer_u64(w, DIRECT_BOOT_CMDLINE);
    writer_u64(w, machine->rsdp);
    writer_u64(w, map);
    writer_u32(w, machine->e820_count);
    writer_u32(w, 0);
    writer_u64(w, initrd);
    writer_u64(w, files->initrd.size);
    writer_u64(w, 0); /* the module's command line */
    writer_u64(w, 0);
    for (i = 0; i < machine->e820_count; i++) {
        writer_u64(w, machine->e820[i].base);
        writer_u64(w, machine->e820[i].size);
        writer_u32(w, machine->e820[i].type);
        writer_u32(w, 0);
    }
}

/* The information structure, its one module and its memory map, likewise. */
static void describe_multiboot(struct writer *w, const struct boot_files *files, const struct boot_machine *machine,
                               uint64_t initrd)
{
    enum { MEMORY = 1 << 0, CMDLINE = 1 << 2, MODULES = 1 << 3, MAP = 1 << 6 };
    const uint32_t modules = DIRECT_BOOT_PARAMS + 52, map = modules + 16;
    unsigned i;

    writer_u32(w, MEMORY | CMDLINE | MODULES | MAP);
    writer_u32(w, LOW_KIB); /* from 0, and from 1 MiB */
    writer_u32(w, (uint32_t)((machine->low_top - MIB(1)) >> 10));
    writer_u32(w, 0); /* the boot device */
    writer_u32(w, DIRECT_BOOT_CMDLINE);
    writer_u32(w, initrd ? 1 : 0);
    writer_u32(w, modules);
    for (i = 0; i < 4; i++)
        writer_u32(w, 0); /* symbols */
    writer_u32(w, machine->e820_count * 24);
    writer_u32(w, map);
    writer_u32(w, (uint32_t)initrd);
    writer_u32(w, (uint32_t)(initrd + files->initrd.size));
    writer_u32(w, 0); /* the module's string */
    writer_u32(w, 0);
    for (i = 0; i < machine->e820_count; i++) {
        writer_u32(w, 20); /* bytes that follow */
        writer_u64(w, machine->e820[i].base);
        writer_u64(w, machine->e820[i].size);
        writer_u32(w, machine->e820[i].type);
    }
}

/* Multiboot's command line begins with the kernel's name: Xen takes the first word away unseen. */
static int write_named_cmdline(const struct boot_files *files, struct memory *memory)
{
    static const char name[] = "kernel ";
    int err = memory_write(memory, DIRECT_BOOT_CMDLINE, name, strlen(name));

    return err ? err
               : memory_write(memory, DIRECT_BOOT_CMDLINE + strlen(name), files->append, strlen(files->append) + 1);
}

/*
 * A Multiboot kernel may look for what a BIOS leaves behind, since those who load it usually came by one: Xen goes back
 * to real mode, below the memory's end as the BIOS data area tells it, and asks services. Here each says that it failed.
 */
static int leave_bios_data(struct memory *memory)
{
    /* push bp; mov bp, sp; or byte [bp + 6], 1 (carry); pop bp; iret */
    static const uint8_t service[] = {0x55, 0x89, 0xe5, 0x80, 0x4e, 0x06, 0x01, 0x5d, 0xcf};
    uint8_t low[0x500 + sizeof(service)] = {0};
    unsigned vector;

    for (vector = 0; vector < 256; vector++)
        store_le32(low + vector * 4, 0x500); /* 0000:0500 */
    store_le16(low + 0x40e, 0x9fc0);         /* the extended data area's segment */
    store_le16(low + 0x413, LOW_KIB);
    memcpy(low + 0x500, service, sizeof(service));
    return memory_write(memory, 0, low, sizeof(low));
}

int elf_load(const struct elf_kernel *kernel, const struct boot_files *files, const struct boot_machine *machine,
             struct vcpu_entry *entry)
{
    struct writer w;
    uint64_t initrd;
    int err = boot_load_initrd(files, machine, end_of(kernel), ADDRESS_MAX, &initrd);

    if (!err)
        err = load_segments(kernel, files, machine);
    if (!err && kernel->multiboot)
        err = write_named_cmdline(files, machine->memory);
    if (!err && kernel->multiboot)
        err = leave_bios_data(machine->memory);
    if (err)
        return err;
    writer_init(&w, KIB(4));
    if (kernel->multiboot)
        describe_multiboot(&w, files, machine, initrd);
    else
        describe_pvh(&w, files, machine, initrd);
    err = w.bad ? -ENOMEM : memory_write(machine->memory, DIRECT_BOOT_PARAMS, w.data, w.size);
    writer_fini(&w);
    entry->eip = kernel->entry;
    entry->eax = kernel->multiboot ? MULTIBOOT_ENTRY_MAGIC : 0;
    entry->ebx = DIRECT_BOOT_PARAMS;
    return err;
}
