#!/usr/bin/env python3
"""The demo desktop, as its users see it: boot menu, desktop, typing, the same picture in three ways, a disk that grows,
reboot, clients that come and go, power. TAP on stdout.

usage: test_desktop.py [--reboot]

Stock clients (spicy-screenshot, remote-viewer under Xvfb) and our own see and drive a stock Debian.
"""
import os, re, shutil, subprocess, sys, time

from machine import (ANSWER, BOOT, DEMO, DESKTOP, Machine, client_picture, difference, machine_picture,
                     run_in_folder, same_pictures, spicy_picture)
from viewer import Viewer, require, wait_for

REBOOT = '--reboot' in sys.argv[1:]  # with it the test takes half as long again
MENU_LINE = 16  # text rows are 16 pixels high
OUR_DEVICES = re.compile(r'qxl|virtio|drm|vda|8250|ttyS0|i8042|psmouse|atkbd|rtc|hwrng|piix', re.I)


def bright_rows(picture):
    """The text rows in which something is written."""
    width, height, data = picture
    return [y for y in range(0, height - MENU_LINE + 1, MENU_LINE)
            if max(data[y * width * 3:(y + MENU_LINE) * width * 3]) > 100]


def check_menu(m, folder, port):
    m.expect('Debian 12, text console only', BOOT)
    m.send('\x1b[B')  # stops the countdown
    menu = same_pictures(folder, port)
    require(menu[:2] == (720, 400), 'the boot menu is %dx%d, not VGA text' % menu[:2])
    require(len(bright_rows(menu)) >= 6, 'the boot menu has no text')
    m.send('\x1b[A\r')


def typed(m, path, text):
    wait_for('typed text', lambda: m.shell('cat %s' % path)[1].strip() == text, ANSWER)


def check_our_typing(m, folder, port):
    client_picture(folder, port, '--type', r'echo "Ours: <a> | {b} ~3" > ours.txt\n')
    typed(m, '/home/demo/ours.txt', 'Ours: <a> | {b} ~3')


def check_stock_typing(m, folder, port, control):
    with Viewer(folder, 'spice://127.0.0.1:%d' % port) as v:
        v.xdotool('mousemove', '1399', '1099')  # away: the guest's agent has the pointer go where it is, and there it is drawn
        # The machine's picture is taken anew each time: a slow shell's prompt may come late, and change it.
        x, y = wait_for('remote-viewer\'s picture', lambda: v.place_of(machine_picture(folder, control)), ANSWER)
        # A click gives the focus to the viewer, and to the terminal there.
        v.xdotool('mousemove', str(x + 300), str(y + 300), 'click', '1')
        time.sleep(2)
        v.xdotool('type', '--delay', '100', 'echo stock > stock.txt')
        v.xdotool('key', 'Return')
        typed(m, '/home/demo/stock.txt', 'stock')


def check_guest(m):
    log = m.output('cat /home/demo/.local/share/xorg/Xorg.0.log')
    require(re.search(r'qxl\(0\)', log) and 'LoadModule: "qxl"' in log, 'Xorg does not run the qxl driver')
    modules = m.output('lsmod')
    require(re.search(r'^qxl\b', modules, re.M) and re.search(r'^virtio_blk\b', modules, re.M), modules)
    require(m.output('nproc').strip() == '2', 'the guest has not two CPUs')
    bad = [l for l in m.output('dmesg -l emerg,alert,crit,err,warn').splitlines() if OUR_DEVICES.search(l)]
    require(not bad, 'the kernel complains: ' + '\n'.join(bad))
    require(m.output('systemctl --failed --no-legend --plain').strip() == '', 'units failed')


def check_pictures(folder, port, control):
    picture = same_pictures(folder, port)
    bad = difference(machine_picture(folder, control), picture)
    require(not bad, 'the machine\'s screenshot and spicy-screenshot\'s: ' + bad)


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


def test_desktop(tap, folder):
    disk, control = os.path.join(folder, 'demo.qcow2'), os.path.join(folder, 'control')
    shutil.copyfile(DEMO, disk)
    with Machine(folder, disk, *DESKTOP, '--control', control) as m:
        port = m.ready_port()
        with tap('the boot menu is readable, and both clients show the same'):
            check_menu(m, folder, port)
        with tap('the desktop comes up'):
            m.wait_for_desktop(BOOT)
            same_pictures(folder, port)
        if tap.failed:
            return
        with tap('Xorg runs on qxl, two CPUs, no complaints in the kernel\'s log'):
            check_guest(m)
        with tap('text typed in remote-viewer arrives'):
            check_stock_typing(m, folder, port, control)
        with tap('text typed by our client arrives'):
            check_our_typing(m, folder, port)
        with tap('spicy-screenshot, our client and the machine itself show the same picture'):
            check_pictures(folder, port, control)
        with tap('the image grows with what the guest writes'):
            check_growth(m, disk)
        if REBOOT:
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


run_in_folder(10 + REBOOT, test_desktop)
