#!/usr/bin/env python3
"""The demo desktop, as its users see it: boot menu, desktop, typing, the same picture in three ways. TAP on stdout.

Stock clients (spicy-screenshot, remote-viewer under Xvfb) and our own see and drive a stock Debian.
"""
import os, re, shutil, tempfile, time

from machine import (ANSWER, BOOT, DEMO, DESKTOP, Machine, Tap, client_picture, difference, read_png, spicy_picture)
from viewer import Viewer, require, wait_for

MENU_LINE = 16  # text rows are 16 pixels high
OUR_DEVICES = re.compile(r'qxl|virtio|drm|vda|8250|ttyS0|i8042|psmouse|atkbd|rtc|hwrng|piix', re.I)


def bright_rows(picture):
    """The text rows in which something is written."""
    width, height, data = picture
    return [y for y in range(0, height - MENU_LINE + 1, MENU_LINE)
            if max(data[y * width * 3:(y + MENU_LINE) * width * 3]) > 100]


def same_pictures(folder, port, seconds=ANSWER):
    """Both clients' picture once it stands still."""
    last = []

    def equal():
        spicy, ours = spicy_picture(folder, port), client_picture(folder, port)
        last[:] = [difference(spicy, ours)]
        return None if last[0] else spicy

    try:
        return wait_for('equal pictures', equal, seconds)
    except Exception as e:
        raise type(e)('%s; %s' % (e, last[0] if last else 'no picture'))


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


def check_stock_typing(m, folder, port, desktop):
    with Viewer(folder, 'spice://127.0.0.1:%d' % port) as v:
        x, y = wait_for('remote-viewer\'s picture', lambda: v.place_of(desktop), ANSWER)
        # The pointer is driven into the terminal, and a click gives it and the viewer the focus.
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


def check_pictures(m, folder, port, shot):
    """The machine's own screenshot is taken when the expected words come."""
    picture = same_pictures(folder, port)
    m.send("echo PICTURE''-NOW\n")
    require(m.end(ANSWER) == 0, 'status %d: %s' % (m.p.returncode, m.messages))
    bad = difference(read_png(shot), picture)
    require(not bad, 'the machine\'s screenshot and spicy-screenshot\'s: ' + bad)


def test_pictures(tap, folder):
    shot = os.path.join(folder, 'machine.png')
    with Machine(folder, DEMO, *DESKTOP, '--snapshot', '--expect', 'PICTURE-NOW', '--screenshot', shot) as m:
        port = m.ready_port()
        with tap('the boot menu is readable, and both clients show the same'):
            check_menu(m, folder, port)
        with tap('the desktop comes up'):
            m.expect('DESKTOP-READY', BOOT)
            m.send('\n')
            m.output('true')
            desktop = same_pictures(folder, port)
        if tap.failed:
            return
        with tap('Xorg runs on qxl, two CPUs, no complaints in the kernel\'s log'):
            check_guest(m)
        with tap('text typed in remote-viewer arrives'):
            check_stock_typing(m, folder, port, desktop)
        with tap('text typed by our client arrives'):
            check_our_typing(m, folder, port)
        with tap('spicy-screenshot, our client and the machine itself show the same picture'):
            check_pictures(m, folder, port, shot)


def main():
    tap = Tap(6)
    folder = tempfile.mkdtemp(prefix='minivm-desktop-')
    try:
        test_pictures(tap, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    tap.end()


main()
