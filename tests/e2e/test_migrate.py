#!/usr/bin/env python3
"""Stock viewers whose session goes from one server to another, with all they show, or with less, or not after all: TAP on stdout.

usage: test_migrate.py [PATH OF fake_server]
"""
import os, re, signal, subprocess, sys, time

import fake
from test_client_qemu import ppm, qemu
from viewer import Viewer, require, run_tests, wait_for

fake.PROGRAM = sys.argv[1] if len(sys.argv) > 1 else fake.PROGRAM
VIEWERS = 'remote-viewer', 'spicy'
MOVE_TIME = 3  # seconds, for those who do not go
# A boot sector: 640x480 (int 10h), the alphabet, nothing more.
LETTERS = bytes.fromhex('b81200cd10' 'b041bb0700' 'b40ecd10fec03c5a76f6' 'f4ebfd').ljust(510, b'\0') + b'\x55\xaa'


class Host(fake.Server):
    """One of two machines with the same password; its log is kept."""

    def __init__(self, work, name, *args, tls=False):
        self.log = os.path.join(work, name + '.log')
        super().__init__('--size', '640x480', '--password', 'both', '--debug', *args, *(['--tls'] if tls else []),
                         env={'XDG_DATA_HOME': work}, log=self.log)
        self.command('tablet 1')

    def said(self):
        """What it sent to clients: [(channel, message)]."""
        with open(self.log, errors='replace') as f:
            return re.findall(r' (\w+) \d+ <- (\w+)', f.read())

    def heard(self, message):
        with open(self.log, errors='replace') as f:
            return len(re.findall(r' -> %s\b' % message, f.read()))

    def happened(self, word):
        return self.lines.count(word)

    def step(self, command, word):
        """A part of a move, to its end."""
        before = self.happened(word)
        self.command(command)
        require('unknown command: done' not in self.lines, command + ' was refused')
        wait_for(command, lambda: self.happened(word) > before)


def connect(work, server, program, tls=False):
    """-> a viewer's program and arguments"""
    file = os.path.join(work, 'test.vv')
    lines = ['[virt-viewer]', 'type=spice', 'host=localhost', 'password=both', 'port=%d' % server.port]
    if tls:
        with open(os.path.join(work, 'minivm', 'tls', 'ca-cert.pem')) as f:
            ca = f.read()
        os.environ['SSL_CERT_FILE'] = f.name
        lines[-1:] = ['tls-port=%d' % server.tls_port, 'ca=' + ca.strip().replace('\n', '\\n') + '\\n']
    with open(file, 'w') as f:
        f.write('\n'.join(lines) + '\n')
    if program == 'remote-viewer':
        return program, [file]
    return program, ['-h', 'localhost', '-w', 'both', *(['-s', str(server.tls_port)] if tls else ['-p', str(server.port)])]


def start(work, server, program, tls=False):
    program, args = connect(work, server, program, tls)
    v = Viewer(work, *args, program=program)
    v.xdotool('mousemove', '1390', '1090')  # Xvfb draws the pointer into its frame buffer
    return v


def target(server, tls=False):
    return '-1 %d' % server.tls_port if tls else '%d -1' % server.port


def shows(v, server, work, what):
    return wait_for(what, lambda: v.place_of(server.picture(work)))


def check_input(v, server, place, key='b', codes=('30', 'b0')):
    """A key and the pointer arrive."""
    x, y = place
    v.xdotool('mousemove', str(x + 300), str(y + 200), 'click', '1')
    v.xdotool('key', key)
    wait_for('key', lambda: tuple(e[0] for e in server.events('key')[-2:]) == codes)
    want = [str(300 * 32767 // 639), str(200 * 32767 // 479)]
    wait_for('position', lambda: want in [e[1:3] for e in server.events('position')])
    v.xdotool('mousemove', '1390', '1090')  # Xvfb draws the pointer into its frame buffer


def hand_over(here, there, tls=False):
    there.command('expect 1')
    here.step('migrate ' + target(there, tls), 'connected')
    here.step('finish', 'gone')


def go_and_return(work, program, tls=False):
    with Host(work, 'first', tls=tls) as first, Host(work, 'second', tls=tls) as second:
        for server in first, second:
            server.command('draw mixed')
        with start(work, first, program, tls) as v:
            place = shows(v, first, work, 'first picture')
            windows = v.windows()
            for here, there in (first, second), (second, first):
                before, heard = len(there.said()), there.heard('migrate_data')
                hand_over(here, there, tls)
                time.sleep(1)
                require(v.place_of(there.picture(work)) == place, 'the picture is another')
                # All of it came along: nothing is drawn anew, no surface begins, no session.
                said = [message for _, message in there.said()[before:]]
                require('inval_all_pixmaps' in said and there.heard('migrate_data') == heard + 4, 'no state came along')
                anew = [m for m in said if m in ('surface_create', 'surface_destroy', 'init') or m.startswith('draw_')]
                require(not anew, 'it was said anew: %s' % ' '.join(anew))
                for command in 'scroll 4', 'draw text', 'scroll 9', 'draw mixed':
                    for server in here, there:  # what they draw depends on what they drew
                        server.command(command)
                    require(shows(v, there, work, command) == place, 'the picture moved')
                check_input(v, there, place)
                typed = len(here.events('key'))
                check_input(v, there, place, 'c', ('2e', 'ae'))
                require(len(here.events('key')) == typed, 'keys still come to the first server')
                require(v.windows() == windows, 'the windows are others')
            fds = first.resources()[0]
            require(second.resources()[0] < fds, 'the server that it left has as many descriptors')


def test_remote_viewer(work):
    """remote-viewer goes to another server with all it shows, and back: the same window, no picture again, keys and pointer"""
    go_and_return(work, 'remote-viewer')


def test_spicy(work):
    """spicy does"""
    go_and_return(work, 'spicy')


def test_tls(work):
    """remote-viewer does over TLS"""
    go_and_return(work, 'remote-viewer', tls=True)


def test_tls_spicy(work):
    """spicy does over TLS"""
    go_and_return(work, 'spicy', tls=True)


def test_other_picture(work):
    """what differs there, in part or in size, is shown as it is there"""
    for program in VIEWERS:
        # spicy's window keeps its size, so that it would scale.
        for size in ((640, 480), (800, 600))[:2 if program == 'remote-viewer' else 1]:
            with Host(work, 'first') as first, Host(work, 'second') as second:
                second.command('resize %d %d' % size)
                first.command('draw mixed')
                second.command('draw mixed')
                second.command('cursor 24')
                with start(work, first, program) as v:
                    shows(v, first, work, 'first picture')
                    first.command('scroll 3')
                    hand_over(first, second)
                    place = shows(v, second, work, program + ': the other picture')
                    second.command('draw text')
                    require(shows(v, second, work, program + ': text') == place, 'the picture moved')


def test_held_key(work):
    """a key that is held while the session goes is let go of there, and not here"""
    with Host(work, 'first') as first, Host(work, 'second') as second:
        for server in first, second:
            server.command('draw mixed')
        with start(work, first, 'remote-viewer') as v:
            x, y = shows(v, first, work, 'first picture')
            v.xdotool('mousemove', str(x + 300), str(y + 200), 'click', '1')
            v.xdotool('keydown', 'b')
            wait_for('key', lambda: first.events('key')[-1:] == [['30']])
            hand_over(first, second)
            v.xdotool('keyup', 'b')
            wait_for('its end', lambda: second.events('key')[-1:] == [['b0']])
            require(['b0'] not in first.events('key'), 'it ended at the first server')


def test_cancel(work):
    """called back half way a session goes on where it was, and goes another time"""
    for program in VIEWERS:
        with Host(work, 'first') as first, Host(work, 'second') as second:
            for server in first, second:
                server.command('draw mixed')
            second.command('expect 1')
            with start(work, first, program) as v:
                place = shows(v, first, work, 'first picture')
                windows = v.windows()
                fds = second.resources()[0]
                first.step('migrate ' + target(second), 'connected')
                require(second.resources()[0] > fds, '%s did not connect to the second server' % program)
                first.command('cancel')
                second.command('expect 0')  # spice-gtk keeps one connection
                wait_for('end of the connections', lambda: second.resources()[0] <= fds)
                first.command('draw text')
                require(shows(v, first, work, program + ': after all') == place, 'the picture moved')
                check_input(v, first, place)
                first.command('draw mixed')
                shows(v, first, work, program + ': mixed')
                hand_over(first, second)
                second.command('scroll 6')
                require(shows(v, second, work, program + ': then') == place, 'the picture moved')
                require(v.windows() == windows, 'the windows are others')


def test_destination_dies(work):
    """a server that dies half way, or was never there, costs nothing"""
    for program in VIEWERS:
        with Host(work, 'first') as first, Host(work, 'second') as second:
            for server in first, second:
                server.command('draw mixed')
            with start(work, first, program) as v:
                place = shows(v, first, work, 'first picture')
                first.step('migrate 1 -1', 'connected')  # nobody listens there
                require(first.heard('migrate_connect_error') == 1, 'it says nothing of an error')
                first.command('cancel')
                dying = Host(work, 'dying')
                dying.command('expect 1')
                first.step('migrate ' + target(dying), 'connected')
                require(first.heard('migrate_connected_seamless') == 1, 'it did not connect')
                dying.p.kill()
                dying.p.wait()
                first.command('draw text')
                require(shows(v, first, work, program + ': still here') == place, 'the picture moved')
                first.command('cancel')
                first.command('draw mixed')
                require(shows(v, first, work, program + ': stays') == place, 'the picture moved')
                check_input(v, first, place)
                hand_over(first, second)
                second.command('draw text')
                require(shows(v, second, work, program + ': a living one') == place, 'the picture moved')


def test_stopped(work):
    """a viewer that stands still when it is to go is given up in time; another goes meanwhile"""
    with Host(work, 'first', '--move-time', str(MOVE_TIME * 1000)) as first, Host(work, 'second') as second:
        for server in first, second:
            server.command('draw mixed')
        fds = first.resources()[0]
        folders = [os.path.join(work, name) for name in VIEWERS]
        for folder in folders:
            os.mkdir(folder)
        program, args = connect(work, first, 'spicy')
        with start(work, first, 'remote-viewer') as v, Viewer(folders[1], *args, program=program, number=1) as stopped:
            shows(v, first, work, 'first picture')
            shows(stopped, first, work, 'the other\'s')
            second.command('expect 1')
            first.step('migrate ' + target(second), 'connected')
            stopped.p.send_signal(signal.SIGSTOP)
            try:
                begin = time.monotonic()
                first.step('finish', 'gone')
                require(MOVE_TIME - 0.5 < time.monotonic() - begin < MOVE_TIME + 5, 'it was not the time that ended it')
                wait_for('end of all connections', lambda: first.resources()[0] <= fds)
                second.command('draw text')
                shows(v, second, work, 'who went')
            finally:
                stopped.p.send_signal(signal.SIGCONT)


def test_source_dies(work):
    """the first server may die as soon as it says that all have gone"""
    for program in VIEWERS:
        with Host(work, 'second') as second:
            first = Host(work, 'first')
            for server in first, second:
                server.command('draw mixed')
            with start(work, first, program) as v:
                place = shows(v, first, work, 'first picture')
                hand_over(first, second)
                first.p.kill()
                first.p.wait()
                second.command('draw text')
                require(shows(v, second, work, program + ': second') == place, 'the picture moved')


def stock_picture(work, port):
    """What a stock server shows, by spicy-screenshot."""
    path = os.path.join(work, 'stock.ppm')
    subprocess.run(['spicy-screenshot', '-h', '127.0.0.1', '-p', str(port), '-o', path], timeout=60,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    head, pixels = ppm(path)
    width, height = (int(n) for n in head.split()[1:3])
    return width, height, pixels


def letters(picture):
    """The picture, if it is of that size and more than one colour."""
    return picture[:2] == (640, 480) and len(set(picture[2])) > 1 and picture


def test_libspice(work):
    """to libspice-server, which does not know our data, viewers go without them: connected before, shown anew"""
    for program in VIEWERS:
        with qemu(work, 'disable-ticketing=on', boot=LETTERS) as port, Host(work, 'first') as first:
            first.command('draw mixed')
            last = wait_for('letters', lambda: letters(stock_picture(work, port)))
            with start(work, first, program) as v:
                shows(v, first, work, 'first picture')
                first.step('migrate %d -1' % port, 'connected')
                require(first.heard('migrate_connected') == 1, 'it did not connect, or as to one of ours')
                first.step('finish', 'gone')
                wait_for(program + ': the picture there', lambda: v.place_of(last))


TESTS = [test_remote_viewer, test_spicy, test_tls, test_tls_spicy, test_other_picture, test_held_key, test_cancel,
         test_destination_dies, test_stopped, test_source_dies, test_libspice]

run_tests(TESTS, ('spicy-screenshot', 'spicy', 'remote-viewer', 'Xvfb', 'xdotool'))
