#!/usr/bin/env python3
"""Stock SPICE clients (spicy-screenshot, spicy, remote-viewer) against our server with a fake display: TAP on stdout.

usage: test_server_stock.py [PATH OF fake_server]
"""
import os, shutil, signal, subprocess, sys, tempfile, time

import fake
from fake import Server
from viewer import PATIENCE, Failed, Viewer, read_ppm, require, wait_for

fake.PROGRAM = sys.argv[1] if len(sys.argv) > 1 else fake.PROGRAM


def path(name):
    return os.path.join(work, name)


def screenshot(server, *args):
    """-> the picture that spicy-screenshot takes, or None"""
    out = path('shot.ppm')
    if os.path.exists(out):
        os.unlink(out)
    subprocess.run(['spicy-screenshot', '-h', '127.0.0.1', '-p', str(server.port), '-o', out, *args], timeout=PATIENCE,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return read_ppm(out) if os.path.exists(out) else None


def test_pictures():
    """spicy-screenshot's picture is the source's, by every compression"""
    for compression in 'auto', 'off', 'glz', 'lz', 'quic', 'lz4':
        with Server('--compression', compression) as server:
            for pattern in 'mixed', 'text':
                server.command('draw ' + pattern)
                require(screenshot(server) == server.picture(work), '%s, %s: the pictures differ' % (compression, pattern))


def test_large_picture():
    """a 4K picture arrives whole"""
    with Server('--size', '3840x2160') as server:
        server.command('draw mixed')
        require(screenshot(server) == server.picture(work), 'the pictures differ')


def test_password():
    """the password opens, another does not"""
    with Server('--password', 'sesame') as server:
        server.command('draw text')
        require(screenshot(server, '-w', 'sesame') == server.picture(work), 'the right password: no picture')
        require(screenshot(server, '-w', 'simsim') is None, 'the wrong password shows a picture')


def test_viewer():
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


def test_window_size():
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


def test_monitors():
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


def test_spicy():
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


def test_viewer_file():
    """remote-viewer takes host, port and password from a .vv file"""
    with Server('--size', '640x480', '--password', 'from the file') as server:
        server.command('draw mixed')
        with open(path('test.vv'), 'w') as f:
            f.write('[virt-viewer]\ntype=spice\nhost=127.0.0.1\nport=%d\npassword=from the file\n' % server.port)
        with Viewer(work, path('test.vv')) as v:
            wait_for('picture', lambda: v.place_of(server.picture(work)))


def test_two_viewers():
    """a second client changes nothing for the first"""
    with Server('--size', '640x480') as server:
        server.command('draw text')
        with Viewer(work, 'spice://127.0.0.1:%d' % server.port) as v:
            wait_for('first picture', lambda: v.place_of(server.picture(work)))
            for _ in range(3):
                server.command('scroll 2')
                require(screenshot(server) == server.picture(work), 'the second client: another picture')
            wait_for('picture after all', lambda: v.place_of(server.picture(work)))


def test_stopped():
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
                require(screenshot(server) == server.picture(work), 'another client: another picture')
            finally:
                v.p.send_signal(signal.SIGCONT)
            wait_for('the last picture', lambda: v.place_of(server.picture(work)))


def test_reconnects():
    """a hundred clients leave no descriptors and no memory"""
    with Server() as server:
        server.command('draw mixed')
        for i in range(100):
            require(screenshot(server), 'client %d: no picture' % i)
            if i == 19:
                fds, rss = wait_for('resources', server.resources)
        wait_for('descriptors', lambda: server.resources()[0] <= fds, 10)
        grown = server.resources()[1] - rss
        require(grown < 2048, 'memory grew by %d KiB in 80 connections' % grown)


TESTS = [test_pictures, test_large_picture, test_password, test_viewer, test_window_size, test_monitors, test_spicy,
         test_viewer_file, test_two_viewers, test_stopped, test_reconnects]

missing = [t for t in ('spicy-screenshot', 'spicy', 'remote-viewer', 'Xvfb', 'xdotool') if not shutil.which(t)]
print('1..%d' % len(TESTS))
bad = 0
for number, test in enumerate(TESTS, 1):
    if missing:
        print('ok %d - %s # SKIP not installed: %s' % (number, test.__doc__, ', '.join(missing)), flush=True)
        continue
    work = tempfile.mkdtemp(prefix='server-stock-')
    try:
        test()
        print('ok %d - %s' % (number, test.__doc__), flush=True)
    except (Failed, subprocess.SubprocessError, OSError) as e:
        bad += 1
        print('not ok %d - %s\n# %s' % (number, test.__doc__, e), flush=True)
    shutil.rmtree(work, ignore_errors=True)
sys.exit(1 if bad else 0)
