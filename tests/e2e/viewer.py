"""What tests with stock viewers share: waiting, pictures, a viewer on an X server of its own."""
import os, shutil, socket, struct, subprocess, sys, tempfile, time

XDISPLAY = 200 + os.getpid() % 700 * 4  # the first of four
PATIENCE = 90  # seconds that a client may take on a busy machine


class Failed(Exception):
    pass


def require(condition, what):
    if not condition:
        raise Failed(what)


def wait_for(what, test, seconds=PATIENCE, step=0.2):
    """The first true value of test()."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = test()
        if value:
            return value
        time.sleep(step)
    raise Failed('%s: not within %d s' % (what, seconds))


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def read_ppm(name):
    with open(name, 'rb') as f:
        data = f.read()
    magic, width, height, depth = data.split(maxsplit=4)[:4]
    require(magic == b'P6' and depth == b'255', 'picture is not a plain PPM')
    width, height = int(width), int(height)
    return width, height, data[-width * height * 3:]


def spicy_screenshot(folder, *args):
    """-> the picture that it takes, or None"""
    out = os.path.join(folder, 'shot.ppm')
    if os.path.exists(out):
        os.unlink(out)
    subprocess.run(['spicy-screenshot', '-o', out, *args], timeout=PATIENCE, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    return read_ppm(out) if os.path.exists(out) else None


def family(pid):
    """A process and all that it has started."""
    children = subprocess.run(['ps', '-o', 'pid=', '--ppid', str(pid)], text=True, stdout=subprocess.PIPE).stdout.split()
    return [pid] + [member for child in children for member in family(int(child))]


class Viewer:
    """remote-viewer, or another program, on an X server of its own; perhaps with a window manager."""

    def __init__(self, folder, *args, program='remote-viewer', screen='1400x1100', number=0, manager=None):
        display = ':%d' % (XDISPLAY + number)
        self.frame_buffer = os.path.join(folder, 'Xvfb_screen0')
        # -noreset: else it begins anew when xdotool has gone, and a viewer that comes in that moment is turned away.
        self.x = subprocess.Popen(['Xvfb', display, '-screen', '0', screen + 'x24', '-nolisten', 'tcp', '-noreset',
                                   '-fbdir', folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.env = dict(os.environ, DISPLAY=display, HOME=folder, XDG_RUNTIME_DIR=folder, GSETTINGS_BACKEND='memory')
        wait_for('X server', lambda: self.xdotool('getmouselocation') == 0)
        self.manager = manager and subprocess.Popen([manager], env=self.env, stdout=subprocess.DEVNULL,
                                                    stderr=subprocess.DEVNULL)
        if manager:  # a window that comes while it begins may be lost
            wait_for(manager, lambda: b'window id' in self.property('-root', '_NET_SUPPORTING_WM_CHECK'))
        self.messages = os.path.join(folder, 'viewer.messages')
        with open(self.messages, 'wb') as f:
            self.p = subprocess.Popen([program, *args], env=self.env, stdout=subprocess.DEVNULL, stderr=f)

    def xdotool(self, *args):
        return subprocess.run(['xdotool', *args], env=self.env, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode

    def property(self, *args):
        return subprocess.run(['xprop', *args], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout

    def windows(self):
        """Those that are to be seen, by their ids."""
        return subprocess.run(['xdotool', 'search', '--onlyvisible', '--name', '.'], env=self.env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.split()

    def signal(self, number):
        """To all of its processes: it is another one of Chromium's that reads."""
        for pid in family(self.p.pid):
            os.kill(pid, number)

    def resize_window(self, width, height):
        """As a user would, who has only one."""
        for window in self.windows():
            self.xdotool('windowsize', window, str(width), str(height))

    def screen(self):
        """The frame buffer, which Xvfb keeps in a file: XWDFileHeader, colours, pixels."""
        with open(self.frame_buffer, 'rb') as f:
            data = f.read()
        header = struct.unpack('>25I', data[:100])
        size, width, height, stride, colours = header[0], header[4], header[5], header[12], header[19]
        require(header[11] == 32 and stride == width * 4, 'the X server has no 32-bit pixels')
        pixels = data[size + colours * 12:][:stride * height]
        rgb = bytearray(width * height * 3)
        for channel in range(3):
            rgb[channel::3] = pixels[2 - channel::4]
        return width, height, bytes(rgb)

    def place_of(self, picture):
        """Where the picture is on the screen, pixel for pixel: (x, y), or None."""
        width, height, rows = picture
        sw, sh, screen = self.screen()
        at = screen.find(rows[:width * 3])
        while at >= 0:
            x, y = at // 3 % sw, at // 3 // sw
            if at % 3 == 0 and y + height <= sh and all(
                    screen[at + i * sw * 3:at + i * sw * 3 + width * 3] == rows[i * width * 3:(i + 1) * width * 3]
                    for i in range(height)):
                return x, y
            at = screen.find(rows[:width * 3], at + 1)
        return None

    def __enter__(self):
        return self

    def state(self):
        """What is known of the viewer, for the report of a failure."""
        with open(self.messages, errors='replace') as f:
            said = f.read()[-1000:].strip()
        return 'the viewer %s and said: %s' % ('runs' if self.p.poll() is None else 'has ended', said or 'nothing')

    def __exit__(self, kind, error, *_):
        if isinstance(error, Failed):
            error.args = ('%s; %s' % (error, self.state()),)
        self.p.terminate()
        self.p.wait()
        if self.manager:
            self.manager.terminate()
            self.manager.wait()
        self.x.terminate()
        self.x.wait()


def run_tests(tests, programs):
    """Each test in a folder of its own, which it is given, if all the programs are there; TAP on stdout. Ends the program."""
    missing = [program for program in programs if not shutil.which(program)]
    print('1..%d' % len(tests))
    bad = 0
    for number, test in enumerate(tests, 1):
        if missing:
            print('ok %d - %s # SKIP missing: %s' % (number, test.__doc__, ', '.join(missing)), flush=True)
            continue
        work = tempfile.mkdtemp(prefix=test.__name__)
        try:
            test(work)
            print('ok %d - %s' % (number, test.__doc__), flush=True)
        except (Failed, subprocess.SubprocessError, OSError) as e:
            bad += 1
            print('not ok %d - %s\n# %s' % (number, test.__doc__, e), flush=True)
        shutil.rmtree(work, ignore_errors=True)
    sys.exit(1 if bad else 0)
