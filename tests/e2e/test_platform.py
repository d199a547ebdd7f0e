#!/usr/bin/env python3
"""The PC around the devices as stock systems find it: identity, topology, timers, panic port, watchdog, cloud-init's seed,
a kernel started by PVH, Xen by Multiboot, OVMF and its variables. TAP on stdout.

The same command lines run on hardware KVM or, where there is none, in the software host.
"""
import os, signal

from machine import ANSWER, BOOT, TINY, Machine, read_png, run_in_folder, run_minivm
from viewer import require

VMLINUX = 'build/host/vmlinux'
EFI = 'build/guest/efi.raw'
XEN = 'build/media/xen-hypervisor-4.17-amd64/boot/xen-4.17-amd64.gz'
UUID = '4dea22b3-1d52-48f3-a516-782e98ab3fa0'
VARIABLE = '/sys/firmware/efi/efivars/Kept-' + UUID
CPUS = 3


def check_identity(m):
    dmi = {name: m.output('cat /sys/class/dmi/id/' + name).strip()
           for name in ('sys_vendor', 'product_uuid', 'chassis_type', 'bios_vendor')}
    require(dmi == {'sys_vendor': 'minivm', 'product_uuid': UUID, 'chassis_type': '1', 'bios_vendor': 'minivm'}, dmi)
    tables = m.output("dmesg | grep -i 'dmi\\|smbios'")
    require('SMBIOS 2.8 present' in tables, tables)


def check_processors(m):
    topology = '/sys/devices/system/cpu/cpu%d/topology/'
    for n in range(CPUS):
        package, core, siblings = (m.output('cat ' + topology % n + name).strip()
                                   for name in ('physical_package_id', 'core_id', 'package_cpus_list'))
        require((package, core, siblings) == ('0', str(n), '0-%d' % (CPUS - 1)), (n, package, core, siblings))
    hypervisor = m.output("dmesg | grep 'Hypervisor detected'")
    require('KVM' in hypervisor, hypervisor)  # and not Microsoft's, which is there, too


def check_timers(m):
    clocks = m.output('cat /sys/devices/system/clocksource/clocksource0/available_clocksource').split()
    require('kvm-clock' in clocks and 'hpet' in clocks, clocks)
    require('hpet0: 3 comparators, 64-bit 100.000000 MHz' in m.output('dmesg | grep hpet'), m.output('dmesg | grep hpet'))
    m.output('echo hpet >/sys/devices/system/clocksource/clocksource0/current_clocksource')
    # The HPET's second against the real-time clock's.
    passed = int(m.output('a=$(date +%s); sleep 3; echo $(($(date +%s) - a))'))
    require(3 <= passed <= 6, '%d seconds' % passed)
    m.output('echo kvm-clock >/sys/devices/system/clocksource/clocksource0/current_clocksource')


def check_seed(m):
    m.output('modprobe -a virtio_blk nls_cp437 nls_ascii vfat && mount -t vfat -o ro /dev/vda /mnt')
    require(m.output('cat /mnt/user-data') .replace('\r', '') == '#cloud-config\n', m.output('cat /mnt/user-data'))
    require('local-hostname: small' in m.output('cat /mnt/meta-data'), m.output('cat /mnt/meta-data'))
    require(m.output('cat /sys/block/vda/serial').strip() == 'cidata', 'not the seed')
    require(m.output('cat /sys/block/vda/ro').strip() == '1', 'the seed can be written to')
    label = m.output('dd if=/dev/vda bs=1 skip=43 count=6 2>/dev/null')
    require(label == 'cidata', label)


def check_watchdog(m):
    m.output('modprobe i6300esb heartbeat=4')
    require('i6300ESB' in m.output('cat /sys/class/watchdog/watchdog0/identity'), 'another watchdog')
    m.send('exec 3>/dev/watchdog; echo fe""d\n')
    m.expect('fed', ANSWER)
    m.expect('INIT-REACHED', BOOT)  # nobody feeds it again: a reset
    require(b'did not feed its watchdog' in m.messages, m.messages)
    m.expect('tiny# ', BOOT)
    m.output('modprobe i6300esb')
    status = m.output('cat /sys/class/watchdog/watchdog0/bootstatus')
    require(int(status) & 0x20, 'bootstatus is ' + status)  # WDIOF_CARDRESET


def check_panic(m):
    m.output('modprobe pvpanic-mmio')
    m.send('echo c >/proc/sysrq-trigger\n')
    require(m.end(BOOT) == 4, 'status %d: %s' % (m.p.returncode, m.messages))
    require(b'the guest crashed' in m.messages, m.messages)


def test_machine(tap, folder):
    data = os.path.join(folder, 'user-data')
    with open(data, 'w') as f:
        f.write('#cloud-config\n')
    with Machine(folder, '--kernel', VMLINUX, '--initrd', TINY, '--append', 'console=ttyS0 load=virtio_pci', '--net',
                 'none', '--memory', '512M', '--cpus', str(CPUS), '--name', 'small', '--uuid', UUID, '--cloud-init', data,
                 '--watchdog', 'reset') as m:
        with tap('vmlinux starts by its PVH entry, with its initial RAM disk'):
            m.expect('INIT-REACHED', BOOT)
            m.expect('tiny# ', BOOT)
        if tap.failed:
            return
        for name, check in (('SMBIOS says who the machine is', check_identity),
                            ('three cores are one package, under KVM', check_processors),
                            ('the HPET counts seconds', check_timers),
                            ("cloud-init's seed is a volume that Linux mounts", check_seed),
                            ('a watchdog that is not fed resets the machine', check_watchdog),
                            ('a panic ends it with status 4', check_panic)):
            with tap(name):
                check(m)


def test_xen(tap, folder):
    shot = os.path.join(folder, 'xen.png')
    with tap("Debian's Xen starts by Multiboot, and its end is status 0, with a screenshot"):
        status, out, err = run_minivm('--kernel', XEN, '--append', 'console=com1 com1=115200,8n1', '--net', 'none',
                                      '--memory', '512M', '--headless', '--expect', r'Xen version 4\.17', '--timeout',
                                      str(BOOT), '--screenshot', shot)
        require(status == 0 and len(read_png(shot)[2]), 'status %d: %s%s' % (status, out, err))


def uefi_machine(folder, variables):
    return Machine(folder, EFI, '--firmware', 'uefi', '--uefi-vars', variables, '--net', 'none', '--memory', '512M')


def check_variables_refuse_a_second(variables):
    status, _, err = run_minivm('--cdrom', 'none', '--firmware', 'uefi', '--uefi-vars', variables, timeout=60)
    require(status == 1 and variables in err and 'in use' in err, 'status %d: %s' % (status, err))


def test_uefi(tap, folder):
    variables = os.path.join(folder, 'machine.vars.fd')
    with tap("OVMF starts Debian's GRUB, and that Linux"):
        m = uefi_machine(folder, variables)
        try:
            m.expect('INIT-REACHED', BOOT)
            m.expect('tiny# ', BOOT)
            m.output('modprobe efivarfs; mount -t efivarfs none /sys/firmware/efi/efivars')
            dmi = m.output('cat /sys/class/dmi/id/bios_vendor /sys/class/dmi/id/sys_vendor').split('\n')
            require(dmi[0] != 'minivm' and dmi[1] == 'minivm', dmi)
            check_variables_refuse_a_second(variables)
            m.output(r"printf '\7\0\0\0stays' >%s" % VARIABLE)
            m.output('sync')
        finally:
            m.p.send_signal(signal.SIGKILL)
            m.p.wait()
    if tap.failed:
        return
    with tap('a variable that was written before a kill -9 is there in the next run'):
        with uefi_machine(folder, variables) as m:
            m.expect('INIT-REACHED', BOOT)
            m.expect('tiny# ', BOOT)
            m.output('modprobe efivarfs; mount -t efivarfs none /sys/firmware/efi/efivars')
            require('stays' in m.output('cat ' + VARIABLE), 'another value')
            m.send('poweroff -f\n')
            require(m.end(BOOT) == 0, 'status %d: %s' % (m.p.returncode, m.messages))


run_in_folder(10, test_machine, test_xen, test_uefi)
