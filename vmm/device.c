#include "vmm/device.h"

#include <time.h>

static uint64_t monotonic(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t machine_clock(struct machine *machine)
{
    uint64_t paused_at = __atomic_load_n(&machine->paused_at, __ATOMIC_ACQUIRE);

    return paused_at ? paused_at
                     : monotonic() - __atomic_load_n(&machine->clock_offset, __ATOMIC_ACQUIRE);
}

void machine_clock_start(struct machine *machine)
{
    __atomic_store_n(&machine->clock_offset, monotonic() - machine->paused_at, __ATOMIC_RELEASE);
    __atomic_store_n(&machine->paused_at, 0, __ATOMIC_RELEASE);
}

void machine_clock_stop(struct machine *machine)
{
    __atomic_store_n(&machine->paused_at, MAX(machine_clock(machine), 1), __ATOMIC_RELEASE);
}

void machine_clock_set(struct machine *machine, uint64_t time)
{
    __atomic_store_n(&machine->paused_at, MAX(time, 1), __ATOMIC_RELEASE);
}

void device_init(struct device *device, const struct device_ops *ops, struct machine *machine)
{
    device->ops = ops;
    device->machine = machine;
    TAILQ_INSERT_TAIL(&machine->devices, device, link);
}

void device_destroy(struct device *device)
{
    TAILQ_REMOVE(&device->machine->devices, device, link);
    if (device->ops->destroy)
        device->ops->destroy(device);
}
