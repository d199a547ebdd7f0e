#!/usr/bin/env python3
"""Several QXL devices in one machine, as a stock kernel and stock viewers see them; saved and restored. TAP on stdout."""
import os, sys, tempfile

from machine import ANSWER, BOOT, Machine, Tap, machine_picture
from test_guest import APPEND, DIRECT
from test_heads import COMPLAINTS, Heads
from viewer import Viewer, require, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../lib'))
from qmp import Qmp

DEVICES = ['--qxl', 'ram=64M', '--qxl', 'vram64=128M', '--qxl', 'ram=32M,vgamem=8M,revision=4']
COUNT = 3
COLOURS = [0x41, 0x52, 0x63]  # of each byte


def check_kernel(m):
    """Of three devices each has a frame buffer; nothing is complained of."""
    log = m.output('dmesg')
    require(all('on minor %d' % i in log for i in range(COUNT)), log[-3000:])
    m.output('ls ' + ' '.join('/dev/fb%d' % i for i in range(COUNT)))
    bad = [l for l in m.output('dmesg -r | grep "^<[0-4]>" || true').splitlines() if COMPLAINTS.search(l)]
    require(not bad, 'the kernel complains: ' + '\n'.join(bad))


def shows_colour(folder, control, n):
    width, height, data = machine_picture(folder, control, n)
    return width >= 640 and data == bytes([COLOURS[n]]) * (3 * width * height)


def check_pictures(folder, control):
    for n in range(COUNT):
        wait_for('display %d' % n, lambda: shows_colour(folder, control, n), ANSWER)


def fill(m):
    m.output("printf '\\033[2J\\033[?25l' >/dev/tty0")  # the console shows nothing, not even a cursor
    for n, colour in enumerate(COLOURS):
        # More than there is room for: it ends with an error, and all is filled.
        m.shell("tr '\\000' '\\%o' </dev/zero | dd of=/dev/fb%d bs=64k 2>/dev/null" % (colour, n))


def check_viewers(folder, port, control):
    with Heads(port) as heads:
        wait_for('a channel for each display', lambda: all(heads.channels.get(n) for n in range(COUNT)), ANSWER)
        require([heads.channels[n][0][0] for n in range(COUNT)] == [0] * COUNT, 'monitors: %s' % heads.channels)
    with Viewer(folder, '--auto-resize=never', 'spice://127.0.0.1:%d' % port, screen='4000x3000') as v:
        wait_for('a window for each display', lambda: len(v.windows()) == COUNT, ANSWER)
        for i, window in enumerate(v.windows()):
            v.xdotool('windowmove', window, str(i % 2 * 2000), str(i // 2 * 1500))
        for n in range(COUNT):
            wait_for('display %d in a window' % n, lambda: v.place_of(machine_picture(folder, control, n)), ANSWER)


def main():
    tap = Tap(5)
    with tempfile.TemporaryDirectory() as folder:
        control, saved = os.path.join(folder, 'control'), os.path.join(folder, 'saved')
        command = [*DIRECT, '--append', APPEND.replace('load=', 'load=qxl,'), '--spice', '0', *DEVICES, '--control', control]
        with Machine(folder, *command) as m:
            port = m.ready_port()
            with tap('three devices, and no complaints'):
                m.expect('tiny# ', BOOT)
                check_kernel(m)
            with tap('each shows what its frame buffer holds'):
                fill(m)
                check_pictures(folder, control)
            with tap('stock viewers have a channel and a window for each'):
                check_viewers(folder, port, control)
            with tap('they are saved'):
                qmp = Qmp(control, ANSWER)
                qmp('save', filename=saved)
                require(m.end(ANSWER) == 0, 'status %d: %s' % (m.p.returncode, m.messages))
        with Machine(folder, *command, '--restore', saved) as m:
            with tap('and show the same when they are restored'):
                m.ready_port()
                check_pictures(folder, control)
    tap.end()


if __name__ == '__main__':
    main()
