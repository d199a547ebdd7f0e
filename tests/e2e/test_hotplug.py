#!/usr/bin/env python3
"""Disks and a network come to a stock kernel and leave it, by ACPI hot plug (acpiphp). TAP on stdout."""
import os, subprocess, sys, tempfile

from machine import ANSWER, BOOT, Machine, Tap
from test_guest import DIRECT
from viewer import require

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../lib'))
from qmp import Error, Qmp

MIB = 1 << 20
APPEND = 'console=ttyS0 quiet load=virtio_pci,virtio_blk,virtio_net'


def make_disk(folder, name):
    path = os.path.join(folder, name + '.qcow2')
    subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', path, '64M'], check=True)
    return path


def qemu_img(*args):
    done = subprocess.run(['qemu-img', *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    require(done.returncode == 0, 'qemu-img %s: %s' % (' '.join(args), done.stdout))


def add_disk(qmp, name, path):
    qmp('blockdev-add', driver='qcow2', **{'node-name': name}, file={'driver': 'file', 'filename': path})
    qmp('device_add', driver='virtio-blk-pci', id='disk-' + name, drive=name, serial=name)


def gone(qmp, device):
    event = qmp.wait('DEVICE_DELETED', ANSWER)
    require(event['data']['device'] == device, 'instead of %s: %s' % (device, event))


def find_disk(m, serial):
    """The name of the disk with this serial number, when the guest has found it."""
    return m.output('for i in $(seq 200); do d=$(grep -lx %s /sys/block/*/serial) && break; sleep 0.2; done; '
                    'echo $d | cut -d/ -f4' % serial).strip()


def wait_gone(m, path):
    m.output('for i in $(seq 200); do [ ! -e %s ] && break; sleep 0.2; done; [ ! -e %s ]' % (path, path))


def check_early(m):
    m.expect('tiny# ', BOOT)
    require(find_disk(m, 'early') == 'vda', 'there is no vda: ' + m.output('ls /sys/block'))
    m.output('dd if=/dev/urandom of=/tmp/early bs=64k count=16 && dd if=/tmp/early of=/dev/vda bs=64k conv=fsync')


def check_disk(m, qmp, path, folder):
    """It comes, takes data, goes; what it holds is what the guest wrote."""
    add_disk(qmp, 'data', path)
    require(find_disk(m, 'data') == 'vdb', m.output('ls /sys/block'))
    require('PNP0A03' in m.output('cat /sys/devices/pci0000:00/firmware_node/hid') and
            m.output('cat /sys/bus/pci/slots/14/power').strip() == '1', 'acpiphp knows nothing of the slot')
    m.output('dd if=/dev/urandom of=/tmp/data bs=1M count=8 && dd if=/tmp/data of=/dev/vdb bs=1M conv=fsync', BOOT)
    wanted = m.output('sha256sum </tmp/data; rm /tmp/data').split()[0]
    qmp('device_del', id='disk-data')
    gone(qmp, 'disk-data')
    wait_gone(m, '/dev/vdb')
    qmp('blockdev-del', **{'node-name': 'data'})
    qemu_img('check', path)
    raw = os.path.join(folder, 'data.raw')
    qemu_img('convert', '-O', 'raw', path, raw)
    with open(raw, 'rb') as f:
        got = subprocess.run(['sha256sum'], input=f.read(8 * MIB), stdout=subprocess.PIPE, check=True).stdout
    require(got.split()[0].decode() == wanted, 'the image does not hold what was written')


def check_under_load(m, qmp, path):
    """The guest lets go of a disk that is written to; the same node comes back in front of another device."""
    add_disk(qmp, 'busy', path)
    name = find_disk(m, 'busy')
    m.output('(dd if=/dev/zero of=/dev/%s bs=64k oflag=direct; true) >/dev/null 2>&1 & sleep 1' % name)
    qmp('device_del', id='disk-busy')
    gone(qmp, 'disk-busy')
    qmp('device_add', driver='virtio-blk-pci', id='disk-again', drive='busy', serial='again')
    find_disk(m, 'again')
    qmp('device_del', id='disk-again')
    gone(qmp, 'disk-again')
    qmp('blockdev-del', **{'node-name': 'busy'})
    qemu_img('check', path)


def check_net(m, qmp):
    qmp('netdev_add', type='user', id='net0')
    qmp('device_add', driver='virtio-net-pci', id='card', netdev='net0', mac='52:54:00:0d:0e:0f')
    m.output('for i in $(seq 200); do [ -e /sys/class/net/eth0 ] && break; sleep 0.2; done')
    require(m.output('cat /sys/class/net/eth0/address').strip() == '52:54:00:0d:0e:0f', 'another address')
    m.output('ip addr add 10.0.2.15/24 dev eth0 && ip link set eth0 up && ping -c 1 -W 20 10.0.2.2')


def refused(qmp, words, command, **arguments):
    try:
        qmp(command, **arguments)
    except Error as e:
        require(words in str(e), '%s: %s' % (command, e))
        return
    raise Error('%s is not refused' % command)


def check_refusals(qmp, early, folder):
    disk = {'driver': 'qcow2', 'node-name': 'x'}

    refused(qmp, 'in use', 'blockdev-add', **disk, file={'driver': 'file', 'filename': early})
    refused(qmp, 'missing.qcow2', 'blockdev-add', **disk, file={'driver': 'file', 'filename': folder + '/missing.qcow2'})
    refused(qmp, "Device 'x' not found", 'device_del', id='x')
    lock = subprocess.run(['qemu-img', 'check', early], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    require(lock.returncode and 'lock' in lock.stdout, 'another process gets at the image: ' + lock.stdout)


def check_reboot(m, qmp, asked):
    """What was plugged stays; what was asked to go while the guest stood still, goes."""
    add_disk(qmp, 'asked', asked)
    find_disk(m, 'asked')
    qmp('stop')
    qmp('device_del', id='disk-asked')
    qmp('system_reset')
    gone(qmp, 'disk-asked')
    qmp('cont')
    m.expect('INIT-REACHED', BOOT)
    m.expect('tiny# ', BOOT)
    require(m.output('cat /sys/block/vd*/serial').split() == ['early'], 'disks: ' + m.output('cat /sys/block/vd*/serial'))
    m.output('[ -e /sys/class/net/eth0 ]')
    qmp('device_del', id='card')
    gone(qmp, 'card')
    qmp('netdev_del', id='net0')


def main():
    tap = Tap(8)
    with tempfile.TemporaryDirectory() as folder:
        control = os.path.join(folder, 'control')
        early, data, busy, asked = [make_disk(folder, name) for name in ('early', 'data', 'busy', 'asked')]
        with Machine(folder, *DIRECT, '--append', APPEND, '--net', 'none', '--control', control) as m:
            with tap('a disk that comes before the kernel runs is there when it does'):
                qmp = Qmp(control, ANSWER)
                add_disk(qmp, 'early', early)
                check_early(m)
            if tap.failed:
                tap.end()
            with tap('a disk comes, is written to and goes; its image is clean and holds the data'):
                check_disk(m, qmp, data, folder)
            with tap('a disk goes while it is written to'):
                check_under_load(m, qmp, busy)
            with tap('a network comes, and leads out'):
                check_net(m, qmp)
            with tap('what cannot be is refused, and a plugged image is locked'):
                check_refusals(qmp, early, folder)
            with tap('what is plugged stays over a reboot; what was asked to go is gone'):
                check_reboot(m, qmp, asked)
            with tap('the machine ends with a plugged disk'):
                qmp('quit')
                require(m.end(ANSWER) == 0, 'status %d: %s' % (m.p.returncode, m.messages))
        with tap('all images are clean'):
            for image in early, data, busy, asked:
                qemu_img('check', image)
    tap.end()


main()
