#include "tests/lib/fault_watch.h"

#define WAIT 5000 /* ms */

static void on_fault(void *opaque, const struct disk_fault *fault)
{
    struct fault_watch *w = opaque;

    __atomic_add_fetch(fault->kept ? &w->kept : &w->reported, 1, __ATOMIC_RELEASE);
}

static void on_recovered(void *opaque)
{
    __atomic_add_fetch(&((struct fault_watch *)opaque)->recovered, 1, __ATOMIC_RELEASE);
}

static void start(void *arg)
{
    struct fault_watch *w = arg;

    disk_watch(w->disk, &(struct disk_watcher){on_fault, on_recovered, w});
}

void fault_watch_start(struct fault_watch *w, struct disk *disk, struct loop *loop)
{
    *w = (struct fault_watch){.disk = disk};
    loop_call_wait(loop, start, w);
}

unsigned fault_watch_count(const unsigned *field)
{
    return __atomic_load_n(field, __ATOMIC_ACQUIRE);
}

struct wanted {
    const unsigned *field;
    unsigned n;
};

static bool reached(void *arg)
{
    const struct wanted *w = arg;

    return fault_watch_count(w->field) >= w->n;
}

bool fault_watch_wait(struct fake_machine *m, const unsigned *field, unsigned n)
{
    return fake_machine_wait(m, reached, &(struct wanted){field, n}, WAIT);
}

void fault_watch_retry(struct fake_machine *m)
{
    struct device *device;

    TAILQ_FOREACH(device, &m->base.devices, link)
        if (device->ops->retry)
            device->ops->retry(device);
}
