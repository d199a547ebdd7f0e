#!/usr/bin/env python3
"""The demo desktop over its life: a disk that grows, reboot, clients that come and go, power. TAP on stdout."""
import os, shutil, subprocess, tempfile, time

from machine import BOOT, DEMO, DESKTOP, Machine, Tap, spicy_picture
from viewer import require, wait_for


def check_growth(m, disk):
    before = os.path.getsize(disk)
    m.output('dd if=/dev/urandom of=/root/ballast bs=1M count=64 && sync', BOOT)
    require(os.path.getsize(disk) - before > 60 << 20, 'the image has not grown')


def check_reconnects(m, folder, port):
    for i in range(50):
        spicy_picture(folder, port)
        if i == 9:
            time.sleep(1)
            descriptors, rss = m.resources()
    wait_for('descriptors', lambda: m.resources()[0] <= descriptors, 20)
    grown = m.resources()[1] - rss
    require(grown < 4096, 'memory grew by %d KiB in 40 connections' % grown)


def test_life(tap, folder):
    disk = os.path.join(folder, 'demo.qcow2')
    shutil.copyfile(DEMO, disk)
    with Machine(folder, disk, *DESKTOP) as m:
        port = m.ready_port()
        with tap('the image grows with what the guest writes'):
            m.expect('DESKTOP-READY', BOOT)
            m.send('\n')
            check_growth(m, disk)
        if tap.failed:
            return
        with tap('reboot comes back to the desktop'):
            m.send('reboot\n')
            m.expect('DESKTOP-READY', BOOT)
        with tap('fifty clients leave no descriptors and no memory'):
            check_reconnects(m, folder, port)
        with tap('SIGTERM powers the desktop down, with status 0'):
            m.terminate()
            require(m.end(BOOT) == 0, 'status %d: %s' % (m.p.returncode, m.messages))
    with tap('the image is clean after all that'):
        done = subprocess.run(['qemu-img', 'check', disk], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        require(done.returncode == 0, done.stdout)


def main():
    tap = Tap(5)
    folder = tempfile.mkdtemp(prefix='minivm-life-')
    try:
        test_life(tap, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    tap.end()


main()
