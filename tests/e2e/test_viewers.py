#!/usr/bin/env python3
"""Four viewers at once - ours, remote-viewer, spicy, and a page in Chromium - on a busy display, one of them stopped. TAP.

usage: test_viewers.py [PATH OF fake_server]
"""
import os, signal, sys, time

import fake
from viewer import PATIENCE, Viewer, require, run_tests, wait_for

if __name__ == '__main__' and len(sys.argv) > 1:
    fake.PROGRAM = sys.argv[1]
CLIENT = os.path.join(os.path.dirname(fake.PROGRAM), '..', '..', 'minivm-client')
PROGRAMS = 'chromium', 'spicy', 'remote-viewer', 'Xvfb', 'xdotool'
EDGE = 8  # viewers may draw a frame with round corners over it
STOPPED = 10  # seconds that a viewer stands still
WARM_UP = 5  # seconds after which the server has all the memory that it needs


def inner(picture):
    width, height, rows = picture
    return (width - 2 * EDGE, height - 2 * EDGE,
            b''.join(rows[(y * width + EDGE) * 3:((y + 1) * width - EDGE) * 3] for y in range(EDGE, height - EDGE)))


def commands(work, server):
    uri = 'spice://127.0.0.1:%d' % server.port
    return {'minivm-client': (CLIENT, uri), 'remote-viewer': ('remote-viewer', '--auto-resize=never', uri), 'spicy': ('spicy', '--uri=' + uri),
            'chromium': ('chromium', '--no-sandbox', '--app=http://127.0.0.1:%d/spice_auto.html' % server.web_port,
                         '--user-data-dir=' + os.path.join(work, 'profile'), '--no-first-run', '--disable-gpu',
                         '--window-size=800,700', '--window-position=0,0')}


class Viewers:
    """Each on an X server of its own. `server` has a port and a web_port."""

    def __init__(self, work, server):
        self.all = {}
        for number, (name, command) in enumerate(commands(work, server).items()):
            folder = os.path.join(work, name)
            os.mkdir(folder)
            self.all[name] = Viewer(folder, *command[1:], program=command[0], number=number)
        for viewer in self.all.values():
            viewer.xdotool('mousemove', '1390', '1090')  # Xvfb draws the pointer into its frame buffer

    def __enter__(self):
        return self.all

    def __exit__(self, *what):
        for viewer in self.all.values():
            viewer.__exit__(*what)


def expect_picture(server, work, viewers, names, seconds=PATIENCE):
    for name in names:
        wait_for('picture of ' + name, lambda: viewers[name].place_of(inner(server.picture(work))), seconds)


def keep_busy(server, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        server.command('draw mixed')
        server.command('scroll 30')
        server.command('draw text')


def test_four(work):
    """four stock and own viewers show a busy display; one that has stopped harms none, and goes on"""
    with fake.Server('--web', '--size', '640x480') as server:
        server.command('draw mixed')
        with Viewers(work, server) as viewers:
            expect_picture(server, work, viewers, viewers)
            keep_busy(server, WARM_UP)
            expect_picture(server, work, viewers, viewers)
            for stopped in viewers:
                others = [name for name in viewers if name != stopped]
                viewers[stopped].signal(signal.SIGSTOP)
                try:
                    before = server.resources()[1]
                    keep_busy(server, STOPPED)
                    expect_picture(server, work, viewers, others)
                    grown = server.resources()[1] - before
                    require(grown < 16384, '%s has stopped, and memory grew by %d KiB' % (stopped, grown))
                finally:
                    viewers[stopped].signal(signal.SIGCONT)
                expect_picture(server, work, viewers, [stopped])


if __name__ == '__main__':
    run_tests([test_four], PROGRAMS)
