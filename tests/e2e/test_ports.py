#!/usr/bin/env python3
"""virtio-serial with the stock kernel's driver: ports that sockets, files and viewers are the other end of. TAP on stdout."""
import hashlib, os, socket, subprocess, sys, tempfile, time

from machine import ANSWER, BOOT, Machine, Tap
from test_guest import DIRECT
from viewer import Viewer, require, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../lib'))
from qmp import Qmp

APPEND = 'console=ttyS0 quiet load=virtio_pci,virtio_console'
KEYS, LOG = 'org.example.keys', 'org.example.log'  # a socket's, a file's
SIZE = 8 << 20  # more than fits on the way


def device(m, name):
    """Its node, found by the name that the driver has in sysfs (udev would make /dev/virtio-ports)."""
    return '/dev/' + m.output('dirname $(grep -lx %s /sys/class/virtio-ports/*/name)' % name).strip().split('/')[-1]


def wait_for_ports(m):
    wait_for('ports', lambda: sorted(m.output('cat /sys/class/virtio-ports/*/name').split()) == [KEYS, LOG], ANSWER)


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(ANSWER)
    s.connect(path)
    return s


def receive(s, size):
    data = b''
    while len(data) < size:
        part = s.recv(size - len(data))
        require(part, 'the port ended after %d bytes' % len(data))
        data += part
    return data


def check_up(m, node, path):
    """What the guest writes arrives, also when nobody reads for a while."""
    with connect(path) as s:
        m.output('dd if=/dev/urandom of=/tmp/up bs=64k count=%d 2>/dev/null' % (SIZE >> 16))
        wanted = m.output('sha256sum </tmp/up').split()[0]
        m.output('cat /tmp/up >%s & echo $! >/tmp/writer' % node)
        time.sleep(3)
        require(hashlib.sha256(receive(s, SIZE)).hexdigest() == wanted, 'other bytes than were sent')
        m.output('wait $(cat /tmp/writer)')


def check_down(m, node, path):
    """What is sent before anybody reads in the guest waits for that."""
    data = os.urandom(SIZE)
    with connect(path) as s:
        s.setblocking(False)
        sent = s.send(data)
        time.sleep(1)
        require(sent < SIZE, 'somebody takes what nobody reads')
        m.output('head -c %d %s | sha256sum >/tmp/down & echo $! >/tmp/reader' % (SIZE, node))
        s.settimeout(ANSWER)
        s.sendall(data[sent:])
        m.output('wait $(cat /tmp/reader)')
        require(m.output('cat /tmp/down').split()[0] == hashlib.sha256(data).hexdigest(), 'other bytes than were sent')


def host_connected(m, node):
    return m.output('grep host_connected /sys/kernel/debug/virtio-ports/%s' % node.split('/')[-1]).split()[-1]


def check_presence(m, node, path):
    """The guest knows whether there is another end, each time; a read returns when there is none."""
    m.output('mount -t debugfs none /sys/kernel/debug 2>/dev/null; true')
    for _ in range(3):
        with connect(path):
            wait_for('another end', lambda: host_connected(m, node) in ('1', 'yes'), ANSWER)
        wait_for('no other end', lambda: host_connected(m, node) in ('0', 'no'), ANSWER)


def check_viewer(folder):
    """With SPICE there is the agent's port; another one's other end is remote-viewer, while it is there."""
    with Machine(folder, *DIRECT, '--append', APPEND, '--net', 'none', '--spice', '0', '--port', KEYS + '=spice') as m:
        port = m.ready_port()
        m.expect('tiny# ', BOOT)
        wait_for('ports', lambda: sorted(m.output('cat /sys/class/virtio-ports/*/name').split()) ==
                 ['com.redhat.spice.0', KEYS], ANSWER)
        node = device(m, KEYS)
        m.output('mount -t debugfs none /sys/kernel/debug 2>/dev/null; true')
        require(host_connected(m, node) in ('0', 'no'), 'somebody is there without a viewer')
        with Viewer(folder, 'spice://127.0.0.1:%d' % port):
            wait_for('remote-viewer', lambda: host_connected(m, node) in ('1', 'yes'), ANSWER)
        wait_for('no viewer', lambda: host_connected(m, node) in ('0', 'no'), ANSWER)


def main():
    tap = Tap(7)
    with tempfile.TemporaryDirectory() as folder:
        path, log, control = [os.path.join(folder, name) for name in ('keys', 'log', 'control')]
        ports = ['--port', '%s=unix:%s' % (KEYS, path), '--port', '%s=file:%s' % (LOG, log)]
        with Machine(folder, *DIRECT, '--append', APPEND, '--net', 'none', '--control', control, *ports) as m:
            with tap('the stock driver finds both ports by their names'):
                m.expect('tiny# ', BOOT)
                wait_for_ports(m)
                node = device(m, KEYS)
            if tap.failed:
                tap.end()
            with tap('a file holds what the guest writes'):
                m.output('echo words of the guest >%s' % device(m, LOG))
                with open(log) as f:
                    require(f.read() == 'words of the guest\n', 'other words')
            with tap('8 MiB come up, through a reader that sleeps'):
                check_up(m, node, path)
            with tap('8 MiB go down, though they come before their reader'):
                check_down(m, node, path)
            with tap('the guest knows when somebody comes and goes'):
                check_presence(m, node, path)
            with tap('after a reboot it is all there again'):
                Qmp(control, ANSWER)('system_reset')
                m.expect('INIT-REACHED', BOOT)
                m.expect('tiny# ', BOOT)
                wait_for_ports(m)
                check_presence(m, node, path)
        with tap('a viewer is the other end of a port of SPICE\'s'):
            check_viewer(folder)
    tap.end()


main()
