#!/usr/bin/env python3
"""What our server and its clients say on the wire, read by a dissector that nobody here wrote: tshark's. TAP on stdout.

With a password: without one the server's result goes with its reply, and tshark, which waits for the ticket first, loses its place.
"""
import collections, os, signal, subprocess, sys, time

from fake import Server
from viewer import Viewer, require, run_tests, spicy_screenshot, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../display'))
from relay import Relay

CLIENT = 'build/minivm-client'
PASSWORD = 'wire'
SECONDS = 3  # of film
FIELDS = ('tcp.stream', 'spice.channel_type', 'spice.message_type', 'spice.image_type', '_ws.malformed', '_ws.expert.severity',
          '_ws.expert.group', '_ws.expert.message')
WARNING = 0x600000
SEQUENCE = 0x2000000  # what is said of TCP
LZ4 = '109'
# tshark 4.0 has LZ4's name and no more; of libspice-server's pictures it says the same.
OF_LZ4 = 'Unknown image type - cannot dissect', 'message type Server DRAW_COPY (304) not fully dissected'
MAIN, DISPLAY, INPUTS, CURSOR = '1', '2', '3', '4'
# By their numbers in spice/enums.h, what each viewer's channels must have been seen to say, one way or the other.
MESSAGES = {MAIN: {'103': 'INIT', '104': 'CHANNELS_LIST', '105': 'MOUSE_MODE'},
            DISPLAY: {'101': 'INIT', '122': 'STREAM_CREATE', '123': 'STREAM_DATA', '125': 'STREAM_DESTROY', '304': 'DRAW_COPY',
                      '314': 'SURFACE_CREATE'},
            INPUTS: {'112': 'MOUSE_POSITION', '113': 'MOUSE_PRESS', '114': 'MOUSE_RELEASE'},
            CURSOR: {'101': 'INIT', '103': 'SET', '104': 'MOVE'}}
# ... and what not all viewers say: AGENT_START, AGENT_DATA both ways, AGENT_TOKEN; KEY_SCANCODE.
OF_SOME = {MAIN: {'106', '107', '109', '110'}, INPUTS: {'104'}}


class Capture:
    """What comes and goes at a port of this host while the block runs."""

    def __init__(self, folder, port):
        self.file, self.port = os.path.join(folder, 'wire.pcapng'), port
        self.p = subprocess.Popen(['tshark', '-q', '-i', 'lo', '-B', '64', '-f', 'tcp port %d' % port, '-w', self.file],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        for line in self.p.stderr:
            if 'Capture started' in line:
                return self
        require(False, 'tshark captures nothing')

    def __exit__(self, *_):
        time.sleep(1)  # for what is under way to it
        self.p.send_signal(signal.SIGINT)
        self.said = self.p.stderr.read()
        self.p.wait()

    def rows(self):
        """Of each packet of SPICE the FIELDS, lists of text."""
        require('dropped' not in self.said, self.said)
        out = subprocess.run(['tshark', '-r', self.file, '-d', 'tcp.port==%d,spice' % self.port, '-Y', 'spice', '-T', 'fields',
                              *(word for field in FIELDS for word in ('-e', field))], check=True, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        return [dict(zip(FIELDS, (field.split(',') if field else [] for field in line.split('\t')))) for line in out.splitlines()]


def complaints(row):
    """What tshark has to say against a packet."""
    bad = ['malformed'] if row['_ws.malformed'] else []
    for severity, group, message in zip(row['_ws.expert.severity'], row['_ws.expert.group'], row['_ws.expert.message']):
        known = message in OF_LZ4 and LZ4 in row['spice.image_type']
        if int(severity) >= WARNING and int(group) != SEQUENCE and not known:
            bad.append(message)
    return bad


def check_rows(rows):
    bad = [message for row in rows for message in complaints(row)]
    require(rows and not bad, '%d packets; tshark complains: %s' % (len(rows), collections.Counter(bad)))


def channels(rows):
    """-> of each connection (channel, the types of its messages)"""
    kinds, seen = {}, collections.defaultdict(set)
    for row in rows:
        stream = row['tcp.stream'][0]
        for kind in row['spice.channel_type']:
            kinds.setdefault(stream, kind)
        seen[stream].update(row['spice.message_type'])
    return [(kinds.get(stream), seen[stream]) for stream in seen]


def check_seen(rows, viewers):
    """tshark has followed each channel of so many viewers: else it would have nothing to complain of."""
    found = channels(rows)
    for channel, wanted in MESSAGES.items():
        several = [seen for kind, seen in found if kind == channel]
        require(len(several) == viewers, 'channel %s: %d connections' % (channel, len(several)))
        for seen in several:
            require(seen >= set(wanted), 'channel %s: no %s' % (channel, [wanted[m] for m in set(wanted) - seen]))
    for channel, wanted in OF_SOME.items():
        require(any(kind == channel and seen >= wanted for kind, seen in found), 'channel %s: nobody says %s' % (channel, wanted))


class Piecewise(Relay):
    """Sends on what a client says of the link stage piece by piece: tshark takes a segment for one of them."""

    def __init__(self, target):
        self.before = {}  # by socket: what the client has said until the server spoke
        super().__init__(target, 0)

    def take(self, source, other):
        first = len(self.waiting)
        super().take(source, other)
        if source is self.listener or len(self.waiting) == first:
            return
        when, to, data = self.waiting.pop()
        if len(data) == 4 + 128:  # which way, and the ticket
            self.waiting += [(when, to, data[:4]), (when + 0.05, to, data[4:])]
        else:
            self.waiting.append((when, to, data))


def use(server, work, v, program):
    """All that a viewer shows and sends."""
    v.xdotool('mousemove', '1390', '1090')  # Xvfb draws the pointer into its frame buffer
    server.command('draw mixed')
    x, y = wait_for(program + ': first picture', lambda: v.place_of(server.picture(work)))
    for command in 'tablet 0', 'tablet 1', 'cursor 24', 'move 30 40', 'draw text', 'scroll 3', 'leds 2':
        server.command(command)
    wait_for(program + ': text', lambda: v.place_of(server.picture(work)))
    v.xdotool('mousemove', str(x + 100), str(y + 100), 'click', '1')
    v.xdotool('key', 'a', 'Up')
    v.xdotool('mousemove', '1390', '1090')
    server.command('film 30')
    time.sleep(SECONDS)
    server.command('film 0')
    wait_for(program + ': the last picture', lambda: v.place_of(server.picture(work)))


def test_viewers(work):
    """remote-viewer, spicy and our client: pictures, video, cursor, inputs, agent"""
    password = os.path.join(work, 'password')
    with open(os.open(password, os.O_WRONLY | os.O_CREAT, 0o600), 'w') as f:
        f.write(PASSWORD)
    with Server('--size', '640x480', '--streams', '--password', PASSWORD) as server:
        server.command('heads 1')
        server.command('tablet 1')
        commands = [('remote-viewer', '--auto-resize=never', 'spice://127.0.0.1:%d?password=%s' % (server.port, PASSWORD)),
                    ('spicy', '-h', '127.0.0.1', '-p', str(server.port), '-w', PASSWORD),
                    (CLIENT, '--password-file', password, 'spice://127.0.0.1:%d' % Piecewise(server.port).port)]
        with Capture(work, server.port) as capture:
            for program, *args in commands:
                with Viewer(work, *args, program=program) as v:
                    use(server, work, v, program)
        rows = capture.rows()
        check_rows(rows)
        check_seen(rows, len(commands))


def test_compressions(work):
    """a picture by every compression"""
    for compression in 'off', 'glz', 'lz', 'quic', 'lz4':
        with Server('--compression', compression, '--size', '640x480', '--password', PASSWORD) as server:
            server.command('draw mixed')
            with Capture(work, server.port) as capture:
                require(spicy_screenshot(work, '-h', '127.0.0.1', '-p', str(server.port), '-w', PASSWORD), 'no picture')
            rows = capture.rows()
            check_rows(rows)
            require(any('304' in seen for _, seen in channels(rows)), '%s: tshark has seen no picture' % compression)


def may_capture():
    return os.system('dumpcap -q -i lo -a duration:1 -w /dev/null >/dev/null 2>&1') == 0


run_tests([test_viewers, test_compressions], ('tshark', 'remote-viewer', 'spicy', 'spicy-screenshot', 'Xvfb', 'xdotool',
                                              *([] if may_capture() else ['a right to capture packets'])))
