#!/usr/bin/env python3
"""Stock SPICE clients (spicy-screenshot, spicy, remote-viewer) against our server with a fake display: TAP on stdout.

usage: test_server_stock.py [PATH OF fake_server]
"""
import os, signal, sys, time

import fake
from fake import Server, check_reconnects
from viewer import Viewer, require, run_tests, spicy_screenshot, wait_for

fake.PROGRAM = sys.argv[1] if len(sys.argv) > 1 else fake.PROGRAM


def screenshot(work, server, *args):
    """-> the picture that spicy-screenshot takes, or None"""
    return spicy_screenshot(work, '-h', '127.0.0.1', '-p', str(server.port), *args)


def test_pictures(work):
    """spicy-screenshot's picture is the source's, by every compression"""
    for compression in 'auto', 'off', 'glz', 'lz', 'quic', 'lz4':
        with Server('--compression', compression) as server:
            for pattern in 'mixed', 'text':
                server.command('draw ' + pattern)
                require(screenshot(work, server) == server.picture(work), '%s, %s: the pictures differ' % (compression, pattern))


def test_large_picture(work):
    """a 4K picture arrives whole"""
    with Server('--size', '3840x2160') as server:
        server.command('draw mixed')
        require(screenshot(work, server) == server.picture(work), 'the pictures differ')


def test_password(work):
    """the password opens, another does not"""
    with Server('--password', 'sesame') as server:
        server.command('draw text')
        require(screenshot(work, server, '-w', 'sesame') == server.picture(work), 'the right password: no picture')
        require(screenshot(work, server, '-w', 'simsim') is None, 'the wrong password shows a picture')


def test_viewer(work):
    """remote-viewer shows what is drawn, scrolled and resized, and its keys and mouse arrive"""
    with Server('--size', '800x600') as server:
        server.command('draw mixed')
        server.command('cursor 24')
        with Viewer(work, 'spice://127.0.0.1:%d' % server.port) as v:
            x, y = wait_for('first picture', lambda: v.place_of(server.picture(work)))
            server.command('draw text')
            server.command('scroll 7')
            wait_for('scrolled text', lambda: v.place_of(server.picture(work)))
            v.xdotool('mousemove', str(x + 300), str(y + 200), 'click', '1')
            wait_for('grab', lambda: server.events('motion'))
            # The first motion after a grab may be the viewer's own.
            for _ in range(4):
                v.xdotool('mousemove_relative', '--', '7', '-3')
                time.sleep(0.2)
            wait_for('motion', lambda: ['7', '-3', '0', '0'] in server.events('motion'))
            v.xdotool('click', '3', 'click', '5')
            wait_for('right button', lambda: ['0', '0', '0', '4'] in server.events('motion'))
            wait_for('wheel', lambda: ['0', '0', '1', '0'] in server.events('motion'))
            v.xdotool('key', 'a', 'Up')
            keys = '1e 9e e0 48 e0 c8'.split()
            wait_for('keys', lambda: [e[0] for e in server.events('key')][-6:] == keys)
            server.command('tablet 1')
            # The viewer lets the pointer go when the mode changes; then places are absolute.
            time.sleep(1)
            v.xdotool('mousemove', str(x + 400), str(y + 300))
            time.sleep(0.3)
            v.xdotool('mousemove', str(x + 200), str(y + 150))
            want = [str(200 * 32767 // 799), str(150 * 32767 // 599)]
            wait_for('position', lambda: [e[1:3] for e in server.events('position')][-1:] == [want])
            v.xdotool('mousemove', '1390', '1090')  # Xvfb draws the pointer into its frame buffer
            server.command('resize 640 480')
            server.command('draw gradient')
            wait_for('resized picture', lambda: v.place_of(server.picture(work)))


def test_window_size(work):
    """the guest's screen follows remote-viewer's window"""
    with Server('--size', '640x480') as server:
        server.command('heads 1')
        server.command('draw mixed')
        with Viewer(work, 'spice://127.0.0.1:%d' % server.port) as v:
            wait_for('first picture', lambda: v.place_of(server.picture(work)))
            for width, height in (900, 700), (700, 500), (1100, 800):
                before = server.picture(work)[:2]
                v.resize_window(width, height)
                wait_for('another size', lambda: server.picture(work)[:2] != before)
                wait_for('picture of that size', lambda: abs(server.picture(work)[0] - width) < 40 and
                         v.place_of(server.picture(work)))


def part(picture, x, width):
    """Columns of a picture."""
    whole, height, data = picture
    rows = [data[(y * whole + x) * 3:(y * whole + x + width) * 3] for y in range(height)]
    return width, height, b''.join(rows)


def test_monitors(work):
    """remote-viewer shows each of two monitors in a window of its own"""
    with Server('--size', '1000x400') as server:
        server.command('heads 2')
        server.command('draw mixed')
        server.command('split 2')
        with Viewer(work, '--auto-resize=never', 'spice://127.0.0.1:%d' % server.port) as v:
            wait_for('two windows', lambda: len(v.windows()) == 2)
            v.xdotool('windowmove', v.windows()[1], '0', '550')
            picture = server.picture(work)
            for i in range(2):
                wait_for('monitor %d' % i, lambda: v.place_of(part(picture, i * 500, 500)))


def test_spicy(work):
    """spicy shows the display and sends keys and the pointer"""
    with Server('--size', '640x480') as server:
        server.command('draw mixed')
        server.command('tablet 1')
        with Viewer(work, '--uri=spice://127.0.0.1:%d' % server.port, program='spicy') as v:
            x, y = wait_for('first picture', lambda: v.place_of(server.picture(work)))
            server.command('draw text')
            wait_for('text', lambda: v.place_of(server.picture(work)))
            v.xdotool('mousemove', str(x + 300), str(y + 200), 'click', '1')
            v.xdotool('key', 'b', 'Left')
            keys = '30 b0 e0 4b e0 cb'.split()
            wait_for('keys', lambda: [e[0] for e in server.events('key')][-6:] == keys)
            want = [str(300 * 32767 // 639), str(200 * 32767 // 479)]
            wait_for('position', lambda: want in [e[1:3] for e in server.events('position')])


def test_viewer_file(work):
    """remote-viewer takes host, port and password from a .vv file"""
    with Server('--size', '640x480', '--password', 'from the file') as server:
        server.command('draw mixed')
        with open(os.path.join(work, 'test.vv'), 'w') as f:
            f.write('[virt-viewer]\ntype=spice\nhost=127.0.0.1\nport=%d\npassword=from the file\n' % server.port)
        with Viewer(work, os.path.join(work, 'test.vv')) as v:
            wait_for('picture', lambda: v.place_of(server.picture(work)))


def test_two_viewers(work):
    """a second client changes nothing for the first"""
    with Server('--size', '640x480') as server:
        server.command('draw text')
        with Viewer(work, 'spice://127.0.0.1:%d' % server.port) as v:
            wait_for('first picture', lambda: v.place_of(server.picture(work)))
            for _ in range(3):
                server.command('scroll 2')
                require(screenshot(work, server) == server.picture(work), 'the second client: another picture')
            wait_for('picture after all', lambda: v.place_of(server.picture(work)))


def test_switch_host(work):
    """remote-viewer and spicy follow to another server, and back, with the password that they gave"""
    with Server('--size', '640x480', '--password', 'both') as first, \
            Server('--size', '640x480', '--password', 'both') as second:
        first.command('draw mixed')
        second.command('draw text')
        for program, *args in ('remote-viewer', None), ('spicy', '-h', 'localhost', '-p', str(first.port), '-w', 'both'):
            file = os.path.join(work, 'test.vv')
            with open(file, 'w') as f:
                f.write('[virt-viewer]\ntype=spice\nhost=localhost\nport=%d\npassword=both\n' % first.port)
            with Viewer(work, *(args if args[0] else [file]), program=program) as v:
                for here, there in (first, second), (second, first):
                    wait_for(program + ': picture', lambda: v.place_of(here.picture(work)))
                    here.command('switch %d -1' % there.port)
                    wait_for(program + ': the other picture', lambda: v.place_of(there.picture(work)))
                    there.command('scroll 4')
                    wait_for(program + ': what was drawn there', lambda: v.place_of(there.picture(work)))


def test_stopped(work):
    """a viewer that has stopped costs no memory and harms nobody, and shows what is there when it goes on"""
    with Server('--size', '1024x768') as server:
        server.command('draw mixed')
        with Viewer(work, 'spice://127.0.0.1:%d' % server.port) as v:
            wait_for('first picture', lambda: v.place_of(server.picture(work)))
            v.p.send_signal(signal.SIGSTOP)
            try:
                for i in range(60):
                    server.command(('draw text', 'scroll 30', 'draw mixed')[i % 3])
                    if i == 19:
                        rss = server.resources()[1]
                grown = server.resources()[1] - rss
                require(grown < 2048, 'memory grew by %d KiB in 40 pictures' % grown)
                require(screenshot(work, server) == server.picture(work), 'another client: another picture')
            finally:
                v.p.send_signal(signal.SIGCONT)
            wait_for('the last picture', lambda: v.place_of(server.picture(work)))


def test_reconnects(work):
    """a hundred clients, with all channels, leave no descriptors, no threads and no memory"""
    with Server() as server:
        check_reconnects(server, 'spicy-stats', '-h', '127.0.0.1', '-p', str(server.port))


TESTS = [test_pictures, test_large_picture, test_password, test_viewer, test_window_size, test_monitors, test_spicy,
         test_viewer_file, test_two_viewers, test_switch_host, test_stopped, test_reconnects]

run_tests(TESTS, ('spicy-screenshot', 'spicy-stats', 'spicy', 'remote-viewer', 'Xvfb', 'xdotool'))
