"""A machine under test: minivm run, its serial console, pictures of its screen."""
import gzip, os, re, signal, socket, subprocess, sys, tempfile, threading, time, zlib

from viewer import Failed, free_port, read_ppm, require, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../lib'))
import processes
from qmp import Qmp

MINIVM = 'build/minivm'
CLIENT = 'build/minivm-client'
KERNEL = 'build/kernel/vmlinuz'
TINY = 'build/guest/tiny.cpio.gz'
DEMO = 'build/demo/demo.qcow2'
DESKTOP = ['--memory', '1G', '--cpus', '2', '--spice', '0']
BOOT = 600  # seconds that a guest may take to start, in a software host on a busy computer
ANSWER = 120  # ... a command in it
ESCAPES = re.compile(rb'\x1b(\[[0-9;?]*[a-zA-Z]|[()][A-Z0-9])')


def with_tree(initrd, tree):
    """An initial RAM disk with a folder's files over it, beside that folder -> its path"""
    archive = subprocess.run('find . | cpio --quiet -o -H newc -R 0:0', shell=True, cwd=tree, stdout=subprocess.PIPE, check=True)
    with open(initrd, 'rb') as below, open(tree + '.cpio.gz', 'wb') as f:
        f.write(below.read() + gzip.compress(archive.stdout, 1))
    return tree + '.cpio.gz'


def run_minivm(*args, timeout=BOOT):
    """A run to its end -> (status, standard output, standard error)"""
    p = subprocess.run([MINIVM, 'run', *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       timeout=timeout, errors='replace', text=True)
    return p.returncode, p.stdout, p.stderr


class Machine:
    """`with Machine(folder, ...) as m`: minivm run with the serial port on a socket; ends with the block."""

    def __init__(self, folder, *args):
        self.socket = os.path.join(folder, 'serial.%d' % time.monotonic_ns())
        self.seen = b''  # everything from the serial port, without escape sequences
        self.mark = 0  # what expect() has consumed
        self.p = subprocess.Popen([MINIVM, 'run', *args, '--serial', 'unix:' + self.socket], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.messages = b''
        threading.Thread(target=self.read_messages, daemon=True).start()
        try:
            self.connect()
        except BaseException:
            self.__exit__()
            raise

    def connect(self):
        self.serial = socket.socket(socket.AF_UNIX)
        wait_for('serial port', lambda: self.p.poll() is not None or self.serial.connect_ex(self.socket) == 0, BOOT)
        require(self.p.poll() is None, 'minivm ended: ' + self.messages.decode(errors='replace'))
        threading.Thread(target=self.read_serial, daemon=True).start()

    def read_messages(self):
        for line in self.p.stderr:
            self.messages += line

    def read_serial(self):
        raw = b''
        while True:
            try:
                data = self.serial.recv(65536)
            except OSError:
                return
            if not data:
                return
            raw += data
            # An escape sequence may be cut at the end: its rest comes.
            self.seen = ESCAPES.sub(b'', raw).replace(b'\r', b'')

    def expect(self, pattern, timeout):
        """Wait for a regular expression in what came since the last one -> the match"""
        regex = re.compile(pattern.encode(), re.S)
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            match = regex.search(self.seen, self.mark)
            if match:
                self.mark = match.end()
                return match
            if self.p.poll() is not None:
                break
            time.sleep(0.1)
        raise Failed('%s: %s; the serial port said: ...%s\nminivm said: %s' % (
            pattern, 'minivm ended' if self.p.poll() is not None else 'not within %d s' % timeout,
            self.seen[-600:].decode(errors='replace'), self.messages.decode(errors='replace')))

    def send(self, text):
        self.serial.sendall(text.encode())

    def shell(self, command, timeout=ANSWER):
        """Run a command in the guest's shell -> (status, output)"""
        # Quoted in the middle, so that the echo of the command is not taken for its output.
        self.send("echo BE''GIN; %s; echo E''ND-$?\n" % command)
        match = self.expect(r'BEGIN\n(.*?)END-(\d+)', timeout)
        return int(match.group(2)), match.group(1).decode(errors='replace')

    def output(self, command, timeout=ANSWER):
        status, text = self.shell(command, timeout)
        require(status == 0, '%s: status %d: %s' % (command, status, text))
        return text

    def wait_for_desktop(self, timeout):
        """The demo disk's, and a shell that answers on the serial port."""
        self.expect('DESKTOP-READY', timeout)
        self.send('\n')
        self.output('true')

    def ready_port(self):
        """The port of the READY line; that of the page comes before."""
        line = self.p.stdout.readline().decode()
        if line.startswith('WEB '):
            line = self.p.stdout.readline().decode()
        match = re.match(r'READY spice://127\.0\.0\.1:(\d+)\n', line)
        require(match, 'instead of READY: %r; minivm said: %s' % (line, self.messages.decode(errors='replace')))
        return int(match.group(1))

    def end(self, timeout):
        """Wait for the end -> the exit status"""
        try:
            status = self.p.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failed('minivm has not ended within %d s; the serial port said: ...%s' % (
                timeout, self.seen[-600:].decode(errors='replace')))
        time.sleep(0.2)  # for the threads that read
        return status

    def terminate(self):
        self.p.send_signal(signal.SIGTERM)

    def resources(self):
        """Of minivm on this computer -> (descriptors, resident KiB)"""
        pid = processes.machine(self.p.pid)
        rss = int(processes.status('/proc/%d/status' % pid, 'VmRSS').split()[0])
        return len(os.listdir('/proc/%d/fd' % pid)), rss

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.p.poll() is None:
            self.p.kill()
        self.p.wait()


# --- pictures: (width, height, RGB bytes) ---

def spicy_picture(folder, port):
    out = os.path.join(folder, 'spicy.ppm')
    subprocess.run(['spicy-screenshot', '-h', '127.0.0.1', '-p', str(port), '-o', out], timeout=ANSWER, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return read_ppm(out)


def client_picture(folder, port, *args):
    out = os.path.join(folder, 'client.ppm')
    subprocess.run([CLIENT, '--headless', 'spice://127.0.0.1:%d' % port, '--screenshot', out, *args], timeout=ANSWER,
                   check=True, stdout=subprocess.DEVNULL)
    return read_ppm(out)


def machine_picture(folder, control, display=0):
    """What the machine itself takes for its screen."""
    shot = os.path.join(folder, 'video%d.png' % display)
    qmp = Qmp(control)
    qmp('screendump', filename=shot, format='png', device='video%d' % display)
    qmp.close()
    return read_png(shot)


def same_pictures(folder, port, seconds=ANSWER):
    """Both clients' picture once it stands still."""
    last = []

    def equal():
        spicy, ours = spicy_picture(folder, port), client_picture(folder, port)
        last[:] = [difference(spicy, ours)]
        return None if last[0] else spicy

    try:
        return wait_for('equal pictures', equal, seconds)
    except Exception as e:
        raise type(e)('%s; %s' % (e, last[0] if last else 'no picture'))


def colours(picture):
    """How many."""
    data = picture[2]
    return len({data[i:i + 3] for i in range(0, len(data), 3)})


def is_photograph(picture):
    """As a desktop's background: no text screen has so many colours."""
    return colours(picture) > 4096


def read_png(name):
    """8-bit RGB or RGBA, not interlaced."""
    with open(name, 'rb') as f:
        data = f.read()
    at, packed = 8, b''
    while at < len(data):
        size, kind = int.from_bytes(data[at:at + 4], 'big'), data[at + 4:at + 8]
        chunk = data[at + 8:at + 8 + size]
        if kind == b'IHDR':
            width, height = int.from_bytes(chunk[:4], 'big'), int.from_bytes(chunk[4:8], 'big')
            require(chunk[8] == 8 and chunk[9] in (2, 6) and chunk[12] == 0, 'PNG of an unexpected kind')
            step = 4 if chunk[9] == 6 else 3
        elif kind == b'IDAT':
            packed += chunk
        at += size + 12
    raw, rows, above = zlib.decompress(packed), [], bytes(width * step)
    for y in range(height):
        line = raw[y * (width * step + 1):(y + 1) * (width * step + 1)]
        above = unfilter(line[0], bytearray(line[1:]), above, step)
        rows.append(above)
    pixels = b''.join(rows)
    if step == 4:
        rgb = bytearray(width * height * 3)
        for channel in range(3):
            rgb[channel::3] = pixels[channel::4]
        pixels = bytes(rgb)
    return width, height, pixels


def paeth(a, b, c):
    p = a + b - c
    return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]


def unfilter(kind, line, above, step):
    """PNG specification, 9.2."""
    for i in range(len(line)):
        left = line[i - step] if i >= step else 0
        corner = above[i - step] if i >= step else 0
        guess = (0, left, above[i], (left + above[i]) // 2, paeth(left, above[i], corner) if kind == 4 else 0)[kind]
        line[i] = (line[i] + guess) & 255
    return bytes(line)


def difference(a, b):
    """In words, '' if the pictures are equal."""
    if a[:2] != b[:2]:
        return 'sizes %dx%d and %dx%d' % (*a[:2], *b[:2])
    bad = [i // 3 for i in range(0, len(a[2]), 3) if a[2][i:i + 3] != b[2][i:i + 3]] if a[2] != b[2] else []
    return '%d pixels differ, the first at %d,%d' % (len(bad), bad[0] % a[0], bad[0] // a[0]) if bad else ''


# --- TAP ---

class Tap:
    """`with tap('name')`: a test. One that fails is reported, and the next goes on."""

    def __init__(self, names):
        self.names, self.count, self.failed = names, 0, 0
        print('1..%d' % names, flush=True)

    def __call__(self, name):
        self.name = name
        return self

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        self.count += 1
        expected = kind is None or issubclass(kind, (Failed, subprocess.SubprocessError, OSError))
        if not expected:
            return False
        self.failed += kind is not None
        print('%sok %d - %s' % ('not ' if kind else '', self.count, self.name), flush=True)
        if kind:
            print('# ' + str(error).replace('\n', '\n# '), flush=True)
        return True

    def end(self):
        """After a machine could not be had, its other tests have failed too."""
        while self.count < self.names:
            self.count += 1
            self.failed += 1
            print('not ok %d - not reached' % self.count, flush=True)
        sys.exit(1 if self.failed else 0)


def run_in_folder(names, *tests):
    """So many names of TAP, by each test(tap, folder); the folder is theirs, and goes with them. Ends the program."""
    tap = Tap(names)
    with tempfile.TemporaryDirectory(prefix='minivm-', ignore_cleanup_errors=True) as folder:
        for test in tests:
            test(tap, folder)
    tap.end()
