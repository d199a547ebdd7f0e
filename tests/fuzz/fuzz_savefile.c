/*
 * A saved machine's file that was made to do harm: its sums are right. The first byte says whether the rest is the whole state
 * or changes to a good one: groups of a place (two bytes) and a value. The machine is one of a few devices, without CPUs.
 */
#include "base/log.h"
#include "devices/platform/hpet.h"
#include "devices/platform/piix3.h"
#include "devices/platform/pvpanic.h"
#include "devices/platform/rtc.h"
#include "tests/lib/fake_machine.h"
#include "vmm/cpu_state.h"
#include "vmm/kvm.h"
#include "vmm/save.h"
#include "vmm/savefile.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM_SIZE KIB(64)

/* The header's fields, as savefile.h's reader has them; the hash is its last. */
enum { STATE_SIZE = 16, FILE_SIZE = 24, HASH = 32, HEADER = 64 };

/* --- what goes to KVM --- */

int kvm_save(struct kvm *kvm UNUSED, struct writer *w UNUSED)
{
    return 0;
}

int kvm_load(struct kvm *kvm UNUSED, struct reader *r UNUSED, uint64_t elapsed UNUSED)
{
    return 0;
}

#define XSAVE_SIZE 4096

/* A CPU's state is read as ever, and then goes nowhere. */
static const struct cpu_state cpu = {
    .xsave = (void *)(const uint8_t[XSAVE_SIZE]){0}, .xsave_size = XSAVE_SIZE, .msrs = &(struct kvm_msrs){0}};

int vcpus_save(struct vcpus *vcpus UNUSED, struct writer *w)
{
    cpu_state_save(&cpu, w);
    return 0;
}

int vcpus_load(struct vcpus *vcpus UNUSED, struct reader *r, uint64_t elapsed UNUSED)
{
    struct cpu_state state;
    int err = cpu_state_load(&state, &cpu, r);

    cpu_state_fini(&state);
    return err;
}

/* --- the machine --- */

static struct fake_machine machine;
static struct ram none;
static struct vm_config config = {.memory = RAM_SIZE, .cpus = 1, .disks = {{.path = "/dev/null"}}, .disk_count = 1};

static const struct disk_options *plugged_disk(void *opaque UNUSED, unsigned n UNUSED)
{
    return NULL;
}

static void save_plugged(void *opaque UNUSED, struct writer *w)
{
    writer_u32(w, 0);
}

static int load_plugged(void *opaque UNUSED, struct reader *r)
{
    return reader_u32(r) ? -1 : 0;
}

static const struct save_machine lent = {
    .machine = &machine.base,
    .config = &config,
    .rams = {&machine.ram, &none, &none},
    .plugged_disk = plugged_disk,
    .save_plugged = save_plugged,
    .load_plugged = load_plugged,
};

/* --- its file --- */

static uint8_t *good;
static size_t good_size;

static void read_good(const char *path)
{
    FILE *file = fopen(path, "r");

    if (!file || fseek(file, 0, SEEK_END))
        abort();
    good_size = (size_t)ftell(file);
    good = malloc(good_size);
    rewind(file);
    if (fread(good, 1, good_size, file) != good_size)
        abort();
    fclose(file);
}

static void set_up(void)
{
    char folder[] = "/tmp/fuzz-savefile-XXXXXX", path[64];
    struct rtc_config rtc = {.ram_low = MIB(64), .cpus = 1};
    struct save *save;

    log_set_level(LOG_ERROR);
    if (fake_machine_init(&machine, RAM_SIZE, false) || !mkdtemp(folder))
        abort();
    piix3_create(&machine.base);
    rtc.irq = hpet_rtc_irq(hpet_create(&machine.base));
    rtc_create(&machine.base, &rtc);
    pvpanic_create(&machine.base);
    fake_machine_reset(&machine);
    machine.ram.host[0] = 1;
    snprintf(path, sizeof(path), "%s/saved", folder);
    if (save_begin(&save, &lent, path) || save_commit(save))
        abort();
    read_good(path);
    unlink(path);
    rmdir(folder);
}

/* With a header that is right, whatever the state. */
static int make_file(const uint8_t *state, size_t state_size)
{
    int fd = memfd_create("saved", MFD_CLOEXEC);
    uint64_t size = MAX(good_size, savefile_memory_start(state_size));
    uint8_t header[HEADER];

    memcpy(header, good, sizeof(header));
    store_le64(header + STATE_SIZE, state_size);
    store_le64(header + FILE_SIZE, size);
    SHA256(state, state_size, header + HASH);
    if (fd < 0 || ftruncate(fd, (off_t)size) || pwrite(fd, header, sizeof(header), 0) != sizeof(header) ||
        pwrite(fd, state, state_size, SAVEFILE_PAGE) != (ssize_t)state_size)
        abort();
    return fd;
}

static int restore(int fd)
{
    char path[32];
    int err;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    err = save_read(&lent, path);
    if (!err)
        save_resume(&machine.base);
    close(fd);
    return err;
}

/* As it is, cut short or damaged anywhere. */
static void restore_raw(const uint8_t *data, size_t size)
{
    int fd = memfd_create("saved", MFD_CLOEXEC);

    if (fd < 0 || (size && write(fd, data, size) != (ssize_t)size))
        abort();
    restore(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *state;
    size_t state_size;

    if (!good)
        set_up();
    if (size < 2)
        return 0;
    if (data[0] % 3 == 0) {
        restore_raw(data + 1, size - 1);
    } else if (data[0] % 3 == 1) {
        restore(make_file(data + 1, size - 1));
    } else {
        state_size = load_le64(good + STATE_SIZE);
        state = malloc(state_size);
        memcpy(state, good + SAVEFILE_PAGE, state_size);
        for (size_t at = 1; at + 3 <= size; at += 3)
            state[load_le16(data + at) % state_size] = data[at + 2];
        if (restore(make_file(state, state_size)) && size < 4)
            abort(); /* nothing was changed */
        free(state);
    }
    fake_machine_reset(&machine);
    fake_machine_run(&machine, 0);
    return 0;
}
