#include "vmm/save.h"

#include "base/error.h"
#include "base/host_file.h"
#include "vmm/savefile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* The sections that are not a device's, with their versions. */
#define SECTION_MACHINE "machine"
#define SECTION_DISKS   "disks"
#define SECTION_PLUGGED "plugged"
#define SECTION_MEMORY  "memory"
#define SECTION_KVM     "interrupts-and-timer"
#define SECTION_CPUS    "cpus"
#define VERSION         1
#define LATER_SECTIONS  4096 /* bytes; what is written after the memory has its place */

static_assert(SAVE_RAMS * 24 + (CONFIG_MAX_DISKS + SAVE_MAX_PLUGGED) * 16 + 256 < LATER_SECTIONS, "memory would be overwritten");

static uint64_t real_time(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* How many devices before this one have its name. */
static uint32_t instance_of(const struct device *device)
{
    const struct device *other;
    uint32_t n = 0;

    TAILQ_FOREACH(other, &device->machine->devices, link) {
        if (other == device)
            break;
        n += strcmp(other->ops->name, device->ops->name) == 0;
    }
    return n;
}

/* --- disks --- */

/* What tells that a file was written to since. */
struct disk_mark {
    uint64_t size, mtime;
};

static struct disk_mark mark_disk(const struct disk_options *disk)
{
    struct stat st;

    if (host_stat(disk->path, &st))
        return (struct disk_mark){0};
    return (struct disk_mark){(uint64_t)st.st_size,
                              (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec};
}

/* Disk n of all, those that came while the machine ran at last; NULL: no more. */
static const struct disk_options *disk_at(const struct save_machine *m, unsigned n)
{
    unsigned count = m->config->disk_count;

    return n < count ? &m->config->disks[n] : m->plugged_disk(m->opaque, n - count);
}

static uint32_t count_disks(const struct save_machine *m)
{
    uint32_t n = 0;

    while (disk_at(m, n))
        n++;
    return n;
}

static int refuse_disks(const struct save_machine *m)
{
    const struct disk_options *disk;
    unsigned i;

    for (i = 0; (disk = disk_at(m, i)); i++)
        if (disk->snapshot)
            return fail(-ENOTSUP, "disk '%s' discards what is written to it; only a machine run without --snapshot can be saved",
                        disk->path);
    return 0;
}

static void save_disks(const struct save_machine *m, struct writer *w)
{
    const struct disk_options *disk;
    unsigned i;

    writer_u32(w, count_disks(m));
    for (i = 0; (disk = disk_at(m, i)); i++) {
        struct disk_mark mark = mark_disk(disk);

        writer_u64(w, mark.size);
        writer_u64(w, mark.mtime);
    }
}

static int check_disks(const struct save_machine *m, struct reader *r)
{
    uint32_t i, count = reader_u32(r), here = count_disks(m);

    if (count != here)
        return fail(-EINVAL, "it was saved with %u disks, this machine has %u", count, here);
    for (i = 0; i < count; i++) {
        const struct disk_options *disk = disk_at(m, i);
        struct disk_mark mark = mark_disk(disk);

        if (reader_u64(r) != mark.size || reader_u64(r) != mark.mtime)
            return fail(-ESTALE, "disk '%s' was changed since the machine was saved; restoring would damage it",
                        disk->path);
    }
    return 0;
}

/* --- the machine --- */

static void save_shape(const struct save_machine *m, struct writer *w)
{
    writer_u64(w, m->config->memory);
    writer_u32(w, m->config->cpus);
    writer_u64(w, machine_clock(m->machine));
}

static int load_shape(const struct save_machine *m, struct reader *r)
{
    uint64_t memory = reader_u64(r);
    uint32_t cpus = reader_u32(r);

    if (memory != m->config->memory)
        return fail(-EINVAL, "it was saved with --memory %lluM, this machine has %lluM", (unsigned long long)(memory >> 20),
                    (unsigned long long)(m->config->memory >> 20));
    if (cpus != m->config->cpus)
        return fail(-EINVAL, "it was saved with --cpus %u, this machine has %u", cpus, m->config->cpus);
    machine_clock_set(m->machine, reader_u64(r));
    return 0;
}

static uint64_t place_memory(const struct save_machine *m, struct writer *w, uint64_t offset)
{
    unsigned i;

    for (i = 0; i < SAVE_RAMS; i++) {
        const struct ram *ram = m->rams[i];

        if (!ram->size)
            continue;
        writer_u64(w, ram->base);
        writer_u64(w, ram->size);
        writer_u64(w, offset);
        offset += ram->size;
    }
    return offset;
}

static int put_memory(const struct save_machine *m, struct savefile_writer *file, uint64_t offset)
{
    unsigned i;
    int err = 0;

    for (i = 0; i < SAVE_RAMS && !err; i++) {
        err = savefile_put_memory(file, offset, m->rams[i]->host, m->rams[i]->size);
        offset += m->rams[i]->size;
    }
    return err;
}

static int load_memory(const struct save_machine *m, const struct savefile *file, struct reader *r)
{
    unsigned i;
    int err = 0;

    for (i = 0; i < SAVE_RAMS && !err; i++) {
        struct ram *ram = m->rams[i];

        if (!ram->size)
            continue;
        if (reader_u64(r) != ram->base || reader_u64(r) != ram->size)
            return fail(-EINVAL, "its memory lies elsewhere");
        err = savefile_get_memory(file, reader_u64(r), ram->host, ram->size);
    }
    return err;
}

static void save_devices(struct machine *machine, struct writer *w)
{
    struct device *device;

    TAILQ_FOREACH(device, &machine->devices, link) {
        size_t token;

        if (!device->ops->save)
            continue;
        token = savefile_section_begin(w, device->ops->name, instance_of(device), device->ops->version);
        device->ops->save(device, w);
        savefile_section_end(w, token);
    }
}

/* --- writing --- */

struct save {
    struct save_machine machine;
    char *path;
    struct savefile_writer file;
    struct writer sections;
};

#define SAVE(w, name, statement)                                                                   \
    do {                                                                                           \
        size_t token = savefile_section_begin(w, name, 0, VERSION);                                \
                                                                                                   \
        statement;                                                                                 \
        savefile_section_end(w, token);                                                            \
    } while (0)

/* With the time by the host's clock, so that the guest's will have gone on by what passes until it is restored. */
static int save_kvm(struct kvm *kvm, struct writer *w)
{
    writer_u64(w, real_time());
    return kvm_save(kvm, w);
}

/* Devices first: they finish what is in flight, which may write memory and raise interrupts. */
static int save_state(const struct save_machine *m, struct writer *w)
{
    int err = 0;

    SAVE(w, SECTION_MACHINE, save_shape(m, w));
    SAVE(w, SECTION_PLUGGED, m->save_plugged(m->opaque, w));
    save_devices(m->machine, w);
    SAVE(w, SECTION_KVM, err = save_kvm(m->kvm, w));
    if (!err)
        SAVE(w, SECTION_CPUS, err = vcpus_save(m->vcpus, w));
    if (!err && w->bad)
        err = -ENOMEM;
    return err ? fail(err, "the state cannot be had: %s", strerror(-err)) : 0;
}

static int write_file(struct save *save, const struct save_machine *m)
{
    struct writer *w = &save->sections;
    uint64_t start;
    int err = save_state(m, w);

    if (err)
        return err;
    start = savefile_memory_start(w->size + LATER_SECTIONS);
    SAVE(w, SECTION_MEMORY, place_memory(m, w, start));
    return put_memory(m, &save->file, start);
}

int save_begin(struct save **begun, const struct save_machine *m, const char *path)
{
    struct save *save = calloc(1, sizeof(*save));
    int err = refuse_disks(m);

    if (save)
        save->path = strdup(path);
    if (!save || !save->path) {
        free(save);
        return -ENOMEM;
    }
    save->machine = *m;
    writer_init(&save->sections, SAVEFILE_MAX_STATE);
    save->file.fd = -1;
    if (!err)
        err = savefile_create(&save->file, save->path);
    machine_lock(m->machine);
    if (!err)
        err = write_file(save, m);
    machine_unlock(m->machine);
    if (err)
        save_abort(save);
    else
        *begun = save;
    return err;
}

int save_commit(struct save *save)
{
    int err;

    SAVE(&save->sections, SECTION_DISKS, save_disks(&save->machine, &save->sections));
    err = savefile_commit(&save->file, &save->sections);
    save_abort(save);
    return err;
}

void save_abort(struct save *save)
{
    if (!save)
        return;
    savefile_close(&save->file);
    writer_fini(&save->sections);
    free(save->path);
    free(save);
}

/* --- reading --- */

static int load_devices(struct machine *machine, struct savefile *file)
{
    struct device *device;
    struct reader r;
    uint32_t version;
    int err = 0;

    TAILQ_FOREACH(device, &machine->devices, link) {
        if (!device->ops->save)
            continue;
        err = savefile_find(file, device->ops->name, instance_of(device), device->ops->version, &r, &version);
        if (!err && (device->ops->load(device, &r, version) || r.bad || reader_left(&r)))
            err = fail(-EINVAL, "the state of '%s' makes no sense", device->ops->name);
        if (err)
            break;
    }
    return err;
}

static int find(struct savefile *file, const char *name, struct reader *r)
{
    uint32_t version;

    return savefile_find(file, name, 0, VERSION, r, &version);
}

static int check_unused(const struct savefile *file)
{
    const struct savefile_section *s = savefile_unused(file);

    return s ? fail(-EINVAL, "it holds a '%s' (number %u), which this machine lacks", s->name, s->instance) : 0;
}

static int set_cpus(const struct save_machine *m, struct savefile *file)
{
    uint64_t saved, now, elapsed;
    struct reader chips, cpus;
    int err = find(file, SECTION_KVM, &chips);

    if (!err)
        err = find(file, SECTION_CPUS, &cpus);
    if (err)
        return err;
    saved = reader_u64(&chips);
    now = real_time();
    elapsed = now > saved ? now - saved : 0;
    err = kvm_load(m->kvm, &chips, elapsed);
    if (!err)
        err = vcpus_load(m->vcpus, &cpus, elapsed);
    return err ? fail(err, "this host's KVM does not take the state of the CPUs: %s", strerror(-err)) : 0;
}

/* Files of older versions know of none. */
static int load_plugged(const struct save_machine *m, struct savefile *file)
{
    struct reader r;
    int err = find(file, SECTION_PLUGGED, &r);

    return err == -ENOENT ? 0 : err ? err : m->load_plugged(m->opaque, &r);
}

static int read_file(const struct save_machine *m, struct savefile *file)
{
    struct reader r;
    int err = find(file, SECTION_MACHINE, &r);

    if (!err)
        err = load_shape(m, &r);
    if (!err)
        err = load_plugged(m, file);
    if (!err)
        err = find(file, SECTION_DISKS, &r);
    if (!err)
        err = check_disks(m, &r);
    /* Memory first: queues and rings lie in it. */
    if (!err)
        err = find(file, SECTION_MEMORY, &r);
    if (!err)
        err = load_memory(m, file, &r);
    if (!err)
        err = load_devices(m->machine, file);
    if (!err)
        err = set_cpus(m, file);
    return err ? err : check_unused(file);
}

int save_read(const struct save_machine *m, const char *path)
{
    struct savefile *file = calloc(1, sizeof(*file));
    int err;

    if (!file)
        return -ENOMEM;
    machine_lock(m->machine);
    err = savefile_open(file, path);
    if (!err)
        err = read_file(m, file);
    machine_unlock(m->machine);
    if (err)
        fail_prefix(err, "cannot restore '%s'", path);
    savefile_fini(file);
    free(file);
    return err;
}

void save_resume(struct machine *machine)
{
    struct device *device;

    machine_lock(machine);
    TAILQ_FOREACH(device, &machine->devices, link)
        if (device->ops->resume)
            device->ops->resume(device);
    machine_unlock(machine);
}
