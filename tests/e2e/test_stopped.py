#!/usr/bin/env python3
"""A film over the whole of a large screen, for a viewer that has stopped, and for one that has not. TAP on stdout.

usage: test_stopped.py [SECONDS]
"""
import hashlib, os, signal, sys, time

from fake import Server
from viewer import Viewer, require, run_tests, wait_for

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 15  # that the viewer stands still
WARM_UP = 5  # seconds of film that both viewers see, and
WARM_FRAMES = 60  # frames, on a busy computer
ALLOWED = 64 << 10  # KiB that one which has stopped may cost
FREED = 40 << 10  # KiB of its encoder, that it gives back
RATE = 30  # frames a second
SCREEN = '2400x1400'


def look(viewer):
    return hashlib.sha1(viewer.screen()[2]).digest()


def frames_within(server, seconds):
    before = server.frames()
    time.sleep(seconds)
    return server.frames() - before


class Watch:
    """What happens while a viewer stands still."""

    def __init__(self, server, other):
        self.server, self.other = server, other
        self.memory, self.looks, self.frames = [], [], [server.frames()]

    def go_on(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for _ in range(10):
                self.memory.append(self.server.status('RssAnon'))
                time.sleep(0.1)
            self.looks.append(look(self.other))
            self.frames.append(self.server.frames())


def check(watch, before, rate):
    cost = max(watch.memory) - before
    different = len(set(watch.looks))
    drawn = watch.frames[-1] - watch.frames[0]
    print('# %d KiB more at most; %d of %d looks differ; frames a second: %.1f before, %d in %g s with it' % (
        cost, different, len(watch.looks), rate, drawn, SECONDS))
    require(cost < ALLOWED, 'it costs %d KiB' % cost)
    require(different > len(watch.looks) / 2, 'the other viewer has seen %d of %d pictures' % (different, len(watch.looks)))
    require(all(a < b for a, b in zip(watch.frames, watch.frames[1:])), 'the guest has waited: %s' % watch.frames)


def check_film(work, *args, freed=0):
    with Server('--patience', '-1', '--size', '1920x1080', *args) as server:
        uri = 'spice://127.0.0.1:%d' % server.port
        folders = [os.path.join(work, name) for name in ('stopped', 'other')]
        for folder in folders:
            os.makedirs(folder)
        server.command('draw mixed')
        with Viewer(folders[0], uri, screen=SCREEN) as stopped, \
                Viewer(folders[1], uri, screen=SCREEN, number=1) as other:
            for v in stopped, other:
                v.xdotool('mousemove', '2390', '1390')  # Xvfb draws the pointer into its frame buffer
                wait_for('first picture', lambda: v.place_of(server.picture(work)))
            idle = server.status('RssAnon')
            server.command('film %d' % RATE)
            rate = frames_within(server, WARM_UP) / WARM_UP
            wait_for('the film', lambda: server.frames() > WARM_FRAMES)
            wait_for('its encoders', lambda: server.status('RssAnon') > idle + 2 * freed)
            before = server.status('RssAnon')
            print('# the film costs %d KiB for two viewers' % (before - idle))
            stopped.p.send_signal(signal.SIGSTOP)
            try:
                watch = Watch(server, other)
                watch.go_on(SECONDS)
                if freed:
                    wait_for('%d KiB less' % freed, lambda: server.status('RssAnon') < before - freed)
            finally:
                stopped.p.send_signal(signal.SIGCONT)
            server.command('film 0')
            check(watch, before, rate)
            for v in stopped, other:
                wait_for('the last picture', lambda: v.place_of(server.picture(work)))


def test_pictures(work):
    """a viewer that has stopped costs at most 64 MiB; the guest's film goes on, and so does another viewer"""
    check_film(work)


def test_streams(work):
    """and when the film is streamed: then it gives its encoder's memory back"""
    check_film(work, '--streams', freed=FREED)


run_tests([test_pictures, test_streams], ('remote-viewer', 'Xvfb', 'xdotool'))
