#!/usr/bin/env python3
"""What libspice-server has its viewers draw, at random, shown by minivm-client and by spice-gtk. TAP.

usage: tests/e2e/test_foreign.py [--first SEED] [--seeds N]

build/tests/foreign/draws is the guest, and knows by an oracle what must come of it; build/tests/foreign/look is spice-gtk.
"""
import os, subprocess, sys

from viewer import PATIENCE, Failed, free_port, read_ppm, require, run_tests

BUILD = 'build/'
MARK = bytes((0x35, 0x77, 0xab))
COMPRESSIONS = ['off', 'quic', 'lz', 'glz', 'auto_lz', 'auto_glz', 'lz4']
WAN = ['glz --zlib always', 'auto_glz --jpeg always']
# Those whose parameters are not all common: fill, opaque, copy, blend, ROP3, text, transparent, alpha blend, composite.
TYPES = [1, 2, 3, 5, 9, 11, 12, 13, 14]
TRIES = 4


def option(name, default):
    return int(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else default


FIRST, SEEDS = option('--first', 1), option('--seeds', 3)


class Guest:
    """One that draws when somebody looks."""

    def __init__(self, folder, *settings):
        self.expected, self.drawn, self.shown = (os.path.join(folder, name) for name in ('e.ppm', 'd.ppm', 's.ppm'))
        self.port = str(free_port())
        self.p = subprocess.Popen([BUILD + 'tests/foreign/draws', '--port', self.port, '--expected', self.expected, '--drawn',
                                   self.drawn, '--first', str(FIRST), '--seeds', str(SEEDS), *settings],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        require(self.p.stdout.readline().startswith('PORT'), 'the server does not start')

    def end(self):
        self.p.stdin.close()
        require(self.p.wait(PATIENCE) == 0, 'the server ended with status %d' % self.p.returncode)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.kill()
        self.p.wait()


def picture(guest, command):
    r = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    require(r.returncode == 0, '%s: %s' % (command[0], r.stderr[-300:]))
    guest.end()
    return read_ppm(guest.shown)


def seen_by_us(folder, *settings):
    """-> the guest, what we show. On a busy machine the picture may rest before it is done, and the server has assertions
    that only fail when a viewer is slow: then once more."""
    for _ in range(TRIES):
        with Guest(folder, *settings) as guest:
            try:
                shown = picture(guest, [BUILD + 'minivm-client', '--headless', '--screenshot', guest.shown,
                                        'spice://127.0.0.1:' + guest.port])
            except Failed:
                if guest.p.wait(PATIENCE) >= 0:
                    raise
                continue
            if shown[2].endswith(MARK):
                return guest, shown
    raise Failed('the picture was never complete: ' + ' '.join(settings))


def seen_by_spice_gtk(folder, *settings):
    with Guest(folder, *settings) as guest:
        return guest, picture(guest, [BUILD + 'tests/foreign/look', '--port', guest.port, '--picture', guest.shown])


def require_same(a, b, what):
    require(a[:2] == b[:2], '%s: sizes %s and %s' % (what, a[:2], b[:2]))
    if a[2] != b[2]:
        wrong = [i // 3 for i in range(0, len(a[2]), 3) if a[2][i:i + 3] != b[2][i:i + 3]]
        raise Failed('%s: %d pixels differ, the first at %d, %d' % (what, len(wrong), wrong[0] % a[0], wrong[0] // a[0]))


def test_common(folder):
    """every command that all draw alike, by every compression: we show what spice-gtk shows"""
    for compression in COMPRESSIONS + WAN:
        settings = ['--common', '--compression', *compression.split()]
        guest, ours = seen_by_us(folder, *settings)
        require_same(read_ppm(guest.drawn), read_ppm(guest.expected), compression + ': the server, and the oracle')
        require_same(ours, seen_by_spice_gtk(folder, *settings)[1], compression + ': we, and spice-gtk')


def test_types(folder):
    """each command with every parameter that the server survives: we show what an oracle says"""
    for n, kind in enumerate(TYPES):
        compression = COMPRESSIONS[n % len(COMPRESSIONS)]
        guest, ours = seen_by_us(folder, '--type', str(kind), '--commands', '30', '--compression', compression)
        require_same(ours, read_ppm(guest.expected), 'type %d, %s' % (kind, compression))


run_tests([test_common, test_types], [])
