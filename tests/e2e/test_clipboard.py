#!/usr/bin/env python3
"""What is copied on the user's desktop is pasted in the guest, and the other way round. TAP on stdout.

The guest's side is the stock agent, spice-vdagent, by libspice-server and by ours; on both X servers it is xclip that copies and pastes.
"""
import os, random, subprocess, sys, time, zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stock_agent import PROGRAMS, StockAgent, with_each_server
from viewer import Failed, Viewer, require, run_tests, wait_for

CLIENT = 'build/minivm-client'


class Desktop:
    """An X server's selections, by xclip."""

    def __init__(self, display):
        self.env = dict(os.environ, DISPLAY=display)
        self.owners = []

    def copy(self, data, target='UTF8_STRING', selection='clipboard'):
        p = subprocess.Popen(['xclip', '-quiet', '-i', '-selection', selection, '-t', target], env=self.env,
                             stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        p.stdin.write(data)
        p.stdin.close()
        self.owners.append(p)

    def paste(self, target='UTF8_STRING', selection='clipboard'):
        try:
            return subprocess.run(['xclip', '-o', '-selection', selection, '-t', target], env=self.env, timeout=60,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        except subprocess.TimeoutExpired:
            return None

    def end(self):
        for p in self.owners:
            p.kill()
            p.wait()


class Both:
    """with Both(folder, server, options of the client...) as (user, guest)"""

    def __init__(self, work, server, *options):
        self.agent = StockAgent(work, server)
        os.mkdir(os.path.join(work, 'user'))
        self.viewer = Viewer(os.path.join(work, 'user'), 'spice://127.0.0.1:' + self.agent.port, *options, program=CLIENT)
        self.user, self.guest = Desktop(self.viewer.env['DISPLAY']), Desktop(self.agent.display)
        wait_for('window', self.viewer.windows)
        time.sleep(1)

    def __enter__(self):
        return self.user, self.guest

    def __exit__(self, *what):
        self.user.end()
        self.guest.end()
        self.viewer.__exit__(*what)
        self.agent.__exit__(*what)


def text(size, seed):
    return ''.join(random.Random(seed).choices('abc ä€\n𝄞', k=size)).encode()[:size].decode(errors='ignore').encode()


def check(from_desktop, to_desktop, data, target='UTF8_STRING', selection='clipboard', seconds=30):
    from_desktop.copy(data, target, selection)
    last = []

    def pasted():
        last[:] = [to_desktop.paste(target, selection)]
        return last[0] == data

    try:
        wait_for('%d bytes of %s' % (len(data), target), pasted, seconds)
    except Failed as e:
        raise Failed('%s: %s' % (e, 'nothing' if not last[0] else '%d bytes' % len(last[0])))


def png():
    rows = b''.join(b'\0' + random.Random(y).randbytes(300) for y in range(100))
    chunk = lambda kind, data: len(data).to_bytes(4, 'big') + kind + data + zlib.crc32(kind + data).to_bytes(4, 'big')
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', b'\0\0\0\x64\0\0\0\x64\x08\x02\0\0\0') + chunk(
        b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')


def test_both_ways(work, server):
    """texts of 1 byte to 20 MiB and a picture, both ways; the primary selection too"""
    with Both(work, server) as (user, guest):
        for i, size in enumerate((1, 2, 100, 5000, 300000, 5 << 20)):
            check(user, guest, text(size, i) or b'x')
            check(guest, user, text(size, i + 100) or b'y')
        check(user, guest, png(), 'image/png')
        check(guest, user, png()[:-12], 'image/png')
        check(user, guest, b'by the mouse', selection='primary')
        check(guest, user, b'by the mouse there', selection='primary')
        check(user, guest, text(20 << 20, 7), seconds=60)
        check(guest, user, text(20 << 20, 8), seconds=60)


def never(test, seconds=3):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        require(not test(), 'it was shared')
        time.sleep(0.3)


def test_one_way(work, server):
    """--clipboard to-guest and from-guest let nothing go the other way, none neither way"""
    for name, to_guest, from_guest in (('to-guest', True, False), ('from-guest', False, True), ('none', False, False)):
        folder = os.path.join(work, name)
        os.mkdir(folder)
        with Both(folder, server, '--clipboard', name) as (user, guest):
            for here, there, shared in (user, guest, to_guest), (guest, user, from_guest):
                words = b'copied by ' + here.env['DISPLAY'].encode()
                if shared:
                    check(here, there, words)
                else:
                    here.copy(words)
                    never(lambda: there.paste() == words)


if __name__ == '__main__':
    run_tests(with_each_server(test_both_ways) + with_each_server(test_one_way)[:1], PROGRAMS + ['xclip'])
