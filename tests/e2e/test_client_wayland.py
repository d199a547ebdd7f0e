#!/usr/bin/env python3
"""
The client's window on Wayland at several densities: sway, shown on an X server so that xdotool can move the pointer. A pixel
of the guest is one of the screen, and all edges can be reached.
"""
import contextlib, glob, os, subprocess, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fake import Server
from viewer import Viewer, require, run_tests, wait_for

CLIENT = 'build/minivm-client'
MOST = 32767  # of an absolute position
NOBODY = 65534
CONFIG = 'output * scale %s\ndefault_border none\nfor_window [app_id=".*"] floating enable\n'
SWAY = 'sway'
# sway does not run as root.
AS_NOBODY = '#!/bin/sh\nexec setpriv --reuid %d --regid %d --clear-groups sway "$@"\n' % (NOBODY, NOBODY)


def program(folder):
    if os.getuid():
        return SWAY
    name = os.path.join(folder, 'sway-as-nobody')
    with open(name, 'w') as f:
        f.write(AS_NOBODY)
    os.chmod(name, 0o755)
    os.chown(folder, NOBODY, NOBODY)
    return name


@contextlib.contextmanager
def desktop(folder, density):
    """-> the X server's viewer with sway, the environment of a client there"""
    config = os.path.join(folder, 'config')
    with open(config, 'w') as f:
        f.write(CONFIG % density)
    os.environ.update(WLR_BACKENDS='x11', WLR_RENDERER='pixman', WLR_X11_OUTPUTS='1')
    with Viewer(folder, '-c', config, program=program(folder)) as v:
        socket = wait_for('sway', lambda: [name for name in glob.glob(folder + '/wayland-?')])[0]
        yield v, dict(v.env, WAYLAND_DISPLAY=os.path.basename(socket), SDL_VIDEODRIVER='wayland')


def check(folder, density):
    with desktop(folder, density) as (v, env), Server('--size', '600x400') as s:
        s.command('draw mixed')
        s.command('tablet 1')
        picture = s.picture(folder)
        p = subprocess.Popen([CLIENT, 'spice://127.0.0.1:%d' % s.port], env=env)

        def place():
            v.xdotool('mousemove', '500', '20', 'mousemove', '1390', '1090')  # its pointer away from the picture
            return v.place_of(picture)
        try:
            left, top = wait_for('the picture, pixel for pixel', place)
            for x, y in ((0, 0), (599, 0), (0, 399), (599, 399), (301, 200)):
                point(v, s, left, top, x, y)
        finally:
            p.terminate()
            p.wait()


def point(v, s, left, top, x, y):
    """The guest is told this pixel or one beside it."""
    before = len(s.events('position'))
    v.xdotool('mousemove', str(left + 300), str(top + 190), 'mousemove', str(left + x), str(top + y))
    wait_for('positions', lambda: len(s.events('position')) >= before + 2, 5)
    got = [round(int(value) * most / MOST) for value, most in zip(s.events('position')[-1][1:3], (599, 399))]
    require(abs(got[0] - x) <= 1 and abs(got[1] - y) <= 1, '%d,%d is %s' % (x, y, got))
    for at, said, most in ((x, got[0], 599), (y, got[1], 399)):
        require(at not in (0, most) or said == at, 'the edge cannot be reached: %d,%d is %s' % (x, y, got))


def check_plain(folder):
    """a density of 1: pixel for pixel"""
    check(folder, 1)


def check_dense(folder):
    """a density of 2: pixel for pixel, positions to the point, which is two"""
    check(folder, 2)


run_tests([check_plain, check_dense], ['Xvfb', 'xdotool', 'sway', 'setpriv'])
