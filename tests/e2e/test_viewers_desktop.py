#!/usr/bin/env python3
"""Four viewers at once - ours, remote-viewer, spicy, and a page in Chromium - on a stock Debian's desktop, which is busy; each is
stopped in turn. TAP on stdout.
"""
import hashlib, os, shutil, signal, sys, time

from machine import ANSWER, BOOT, DEMO, DESKTOP, Machine, free_port, machine_picture, run_in_folder
from test_drivers import in_session
from test_heads import check_log
from test_soak import rounds, start_load
from test_viewers import PROGRAMS, Viewers, expect_picture, inner
from viewer import require, wait_for

SIZE = '640x480'  # all viewers show it pixel for pixel
STOPPED = 15  # seconds of drawing; with looking at the others it is less than the 45 after which it would be given up
LOAD = "'load.sh|x11perf|xrefresh'"


class Desktop:
    """What viewers come to, and what they must show."""

    def __init__(self, m, web_port, control):
        self.m, self.control = m, control
        self.port, self.web_port = m.ready_port(), web_port

    def picture(self, folder):
        return machine_picture(folder, self.control)

    def freeze(self):
        """Pictures can be compared: nothing is drawn."""
        self.m.output('pkill -STOP -f ' + LOAD)

    def go_on(self):
        self.m.output('pkill -CONT -f ' + LOAD)


def watch(viewers, names, seconds):
    """-> of each how many different pictures it has shown"""
    seen = {name: set() for name in names}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name in names:
            seen[name].add(hashlib.sha1(viewers[name].screen()[2]).digest())
        time.sleep(1)
    return {name: len(seen[name]) for name in names}


def move_pointer(desktop, folder, viewer):
    """Into the corner: some viewers draw it over the picture."""
    x, y = wait_for('picture of remote-viewer', lambda: viewer.place_of(inner(desktop.picture(folder))), BOOT)
    viewer.xdotool('mousemove', str(x + 300), str(y + 200), 'click', '1')
    for _ in range(5):
        time.sleep(1)
        viewer.xdotool('mousemove_relative', '--', '500', '500')


def check_stopped(desktop, folder, viewers, stopped):
    others = [name for name in viewers if name != stopped]
    viewers[stopped].signal(signal.SIGSTOP)
    since = time.monotonic()
    try:
        before = rounds(desktop.m)
        desktop.go_on()
        seen = watch(viewers, others, STOPPED)
        wait_for('the guest to draw', lambda: rounds(desktop.m) > before, ANSWER)
        desktop.freeze()
        print('# %s has stopped; pictures of the others: %s' % (stopped, seen))
        require(min(seen.values()) > 2, 'a viewer stands still: %s' % seen)
        expect_picture(desktop, folder, viewers, others, ANSWER)
    finally:
        viewers[stopped].signal(signal.SIGCONT)
        print('# it stood still for %.0f s' % (time.monotonic() - since))
    expect_picture(desktop, folder, viewers, [stopped], ANSWER)


def check_viewers(tap, desktop, folder):
    with Viewers(folder, desktop) as viewers:
        with tap('four viewers show the desktop'):
            desktop.m.output(in_session('xrandr -s ' + SIZE))
            move_pointer(desktop, folder, viewers['remote-viewer'])
            expect_picture(desktop, folder, viewers, viewers, BOOT)
            start_load(desktop.m)
            desktop.freeze()
        for stopped in viewers:
            with tap('%s has stopped: the others and the guest go on, and it does when it may' % stopped):
                check_stopped(desktop, folder, viewers, stopped)


def test_desktop(tap, folder):
    disk, control, web_port = os.path.join(folder, 'demo.qcow2'), os.path.join(folder, 'control'), free_port()
    shutil.copyfile(DEMO, disk)
    with Machine(folder, disk, *DESKTOP, '--web', str(web_port), '--control', control) as m:
        desktop = Desktop(m, web_port, control)
        with tap('the desktop comes up'):
            m.wait_for_desktop(BOOT)
        if tap.failed:
            return
        check_viewers(tap, desktop, folder)
        with tap('no complaints of TTM and DRM in the kernel\'s log; SIGTERM powers the desktop down'):
            desktop.go_on()
            check_log(m)
            m.terminate()
            require(m.end(BOOT) == 0, 'status %d: %s' % (m.p.returncode, m.messages))


def main():
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        print('missing: ' + ', '.join(missing))
        sys.exit(77)
    run_in_folder(7, test_desktop)


main()
