#!/usr/bin/env python3
"""A stock Debian's spice-vdagent under minivm, with remote-viewer and our client: an absolute pointer, windows that are resized,
text that is copied, an agent that is killed, a machine that is saved. TAP on stdout.
"""
import os, re, shutil, subprocess, sys, time

from machine import ANSWER, BOOT, CLIENT, DEMO, DESKTOP, Machine, machine_picture, run_in_folder
from test_drivers import in_session
from viewer import Viewer, require, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../lib'))
from qmp import Qmp

PORT = '/dev/virtio-ports/com.redhat.spice.0'
# A window of the guest's that writes down what the pointer does in it, and where: WxH+X+Y.
AREA = (300, 200, 400, 300)
LONG = ''.join('line %d, größer als zuvor\n' % i for i in range(20000))  # 500 KB: more than the tokens of one direction


class Desktop:
    """The guest, and what a viewer's user sees of it."""

    def __init__(self, m, folder, control):
        self.m, self.folder, self.control = m, folder, control

    def session(self, command):
        return self.m.output(in_session(command))

    def wait_for_agent(self):
        """The daemon opens the port when the session's part has come to it."""
        wait_for('agent', lambda: self.m.shell('fuser -s %s || ls -l /proc/*/fd 2>/dev/null | grep -q vport' % PORT)[0] == 0,
                 BOOT)

    def size(self):
        return tuple(int(n) for n in re.search(r'dimensions:\s+(\d+)x(\d+)', self.session('xdpyinfo')).groups())

    def copy(self, text):
        """Some text becomes the guest's clipboard."""
        self.m.output("printf %%s '%s' >/tmp/text; %s" % (text, in_session('xclip -selection clipboard -i /tmp/text')))

    def pasted(self):
        return self.m.shell(in_session('timeout 10 xclip -selection clipboard -o') + ' 2>/dev/null')[1]

    def watch_pointer(self):
        x, y, width, height = AREA
        self.m.output("su demo -c 'DISPLAY=:0 stdbuf -oL xev -geometry %dx%d+%d+%d -event mouse -event button >/tmp/xev 2>&1 &'; sleep 5"
                      % (width, height, x, y))

    def pointer(self):
        """Where it was last, or None."""
        places = re.findall(r'root:\((\d+),(\d+)\)', self.events())
        return places and tuple(int(n) for n in places[-1])

    def events(self):
        return self.m.output('cat /tmp/xev')

    def start_agent(self):
        """The session's part, where the daemon takes it for one of the session: in its cgroup."""
        self.m.output('sh -c "echo \\$\\$ >/sys/fs/cgroup$(cut -d: -f3 /proc/$(pgrep -x openbox)/cgroup)/cgroup.procs && '
                      'exec setpriv --reuid=demo --regid=demo --init-groups env DISPLAY=:0 HOME=/home/demo spice-vdagent"')
        self.wait_for_agent()

    def stop_watching(self):
        self.m.output('pkill xev; true')


def start_viewer(folder, port, *args, **options):
    return Viewer(folder, 'spice://127.0.0.1:%d' % port, *args, screen='1600x1200', manager='openbox', **options)


def place(desktop, v):
    """Where the guest's picture is on the viewer's screen."""
    v.xdotool('mousemove', '1590', '1190')
    return wait_for('the picture in the viewer',
                    lambda: v.place_of(machine_picture(desktop.folder, desktop.control)), ANSWER, 1)


def is_near(a, b):
    """The agent's tablet counts its pixels in another way than the X server, which rounds."""
    return a and abs(a[0] - b[0]) <= 1 and abs(a[1] - b[1]) <= 1


def check_pointer(desktop, v):
    """It goes where it is put, at once and without being caught, with wheel and side buttons."""
    desktop.watch_pointer()
    x, y = place(desktop, v)
    left, top, width, height = AREA
    for dx, dy in ((60, 70), (width - 60, height - 50)):
        v.xdotool('mousemove', str(x + left + dx), str(y + top + dy))
        wait_for('the pointer at %d,%d' % (left + dx, top + dy),
                 lambda: is_near(desktop.pointer(), (left + dx, top + dy)), ANSWER)
    for button in '1', '4', '5', '2', '3':
        v.xdotool('click', button)
        wait_for('button ' + button, lambda: re.search(r'ButtonRelease(.*\n){2}.*button %s,' % button, desktop.events()), ANSWER)
    desktop.stop_watching()


def check_resize(desktop, v):
    for width, height in ((900, 700), (1100, 800)):
        before = desktop.size()
        v.resize_window(width, height)
        wait_for('another size than %dx%d' % before, lambda: desktop.size() != before, ANSWER)
        size = desktop.size()
        require(abs(size[0] - width) < 40 and abs(size[1] - height) < 100, 'the guest has %dx%d' % size)
    place(desktop, v)


def viewers_clipboard(v):
    done = subprocess.run(['timeout', '20', 'xclip', '-selection', 'clipboard', '-o'], env=v.env, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL)
    return done.stdout.decode(errors='replace')


def copy_in_viewer(v, text):
    subprocess.run(['xclip', '-selection', 'clipboard', '-i'], env=v.env, input=text.encode(), check=True)


def check_to_viewer(desktop, v, word):
    text = 'a guest says %s: größer' % word
    desktop.copy(text)
    wait_for('the text of the guest', lambda: viewers_clipboard(v) == text, ANSWER, 1)


def check_to_guest(desktop, v, word):
    text = 'a viewer says %s: kleiner' % word
    copy_in_viewer(v, text)
    wait_for('the text of the viewer', lambda: desktop.pasted() == text, ANSWER, 1)


def check_long(desktop, v):
    """More than may be under way, both ways."""
    copy_in_viewer(v, LONG)
    wait_for('the long text', lambda: desktop.m.output(
        in_session('timeout 60 xclip -selection clipboard -o') + ' >/tmp/long; wc -c </tmp/long').strip() ==
        str(len(LONG.encode())), BOOT, 1)
    desktop.m.output("tac /tmp/long >/tmp/back; " + in_session('xclip -selection clipboard -i /tmp/back'))
    back = ''.join(reversed(LONG.splitlines(True)))
    wait_for('the long text back', lambda: viewers_clipboard(v) == back, BOOT, 1)


def check_killed(desktop, v):
    """The session's part, then the daemon: each time the next one does all again."""
    desktop.m.output('pkill -9 -x spice-vdagent; sleep 2')
    desktop.start_agent()
    check_to_viewer(desktop, v, 'two')
    check_to_guest(desktop, v, 'two')
    desktop.m.output('systemctl kill -s KILL spice-vdagentd; pkill -9 -x spice-vdagent; sleep 2; '
                     'systemctl stop spice-vdagentd.service; systemctl restart spice-vdagentd.socket')
    desktop.start_agent()
    check_to_viewer(desktop, v, 'three')
    check_to_guest(desktop, v, 'three')
    check_pointer(desktop, v)


def check_reconnected(desktop, folder, port):
    """The next viewer has all that the first had."""
    with start_viewer(folder, port, '--auto-resize=never', number=1) as v:
        place(desktop, v)
        check_to_viewer(desktop, v, 'four')
        check_to_guest(desktop, v, 'four')


def check_ours(desktop, folder, port):
    with start_viewer(folder, port, '--resize', 'none', program=CLIENT, number=2) as v:
        check_pointer(desktop, v)


def check_saved(m, desktop, folder, disk, control):
    """The agent does not notice that it was away."""
    saved = os.path.join(folder, 'saved')
    pid = m.output('pgrep -x spice-vdagentd')
    Qmp(control, BOOT)('save', filename=saved)
    require(m.end(BOOT) == 0, 'status %d: %s' % (m.p.returncode, m.messages))
    with Machine(folder, disk, *DESKTOP, '--control', control, '--restore', saved) as again:
        port = again.ready_port()
        desktop.m = again
        Qmp(control, ANSWER)('cont')
        again.send('\n')
        with start_viewer(folder, port, '--auto-resize=never', number=3) as v:
            place(desktop, v)
            check_to_viewer(desktop, v, 'five')
            check_to_guest(desktop, v, 'five')
            check_pointer(desktop, v)
        require(again.output('pgrep -x spice-vdagentd') == pid, 'the daemon is another one')


def test_agent(tap, folder):
    disk, control = os.path.join(folder, 'demo.qcow2'), os.path.join(folder, 'control')
    shutil.copyfile(DEMO, disk)
    with Machine(folder, disk, *DESKTOP, '--control', control) as m:
        port = m.ready_port()
        desktop = Desktop(m, folder, control)
        with tap('the stock agent opens its port'):
            m.wait_for_desktop(BOOT)
            desktop.wait_for_agent()
        if tap.failed:
            return
        with start_viewer(folder, port, '--auto-resize=always') as v:
            with tap('remote-viewer: the pointer is absolute, with wheel and all buttons'):
                check_pointer(desktop, v)
            with tap('remote-viewer: text goes from the guest to the viewer'):
                check_to_viewer(desktop, v, 'one')
            with tap('... and back'):
                check_to_guest(desktop, v, 'one')
            with tap('... half a megabyte too, both ways'):
                check_long(desktop, v)
            with tap('the guest has the size of the window'):
                check_resize(desktop, v)
            with tap('agents that are killed are followed by the next'):
                check_killed(desktop, v)
        with tap('the next viewer has the agent'):
            check_reconnected(desktop, folder, port)
        with tap('our client: the pointer is absolute, with wheel and all buttons'):
            check_ours(desktop, folder, port)
        with tap('the agent survives the machine being saved'):
            check_saved(m, desktop, folder, disk, control)


run_in_folder(10, test_agent)
