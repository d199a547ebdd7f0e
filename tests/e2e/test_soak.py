#!/usr/bin/env python3
"""A screen that changes as a whole for an hour, and a viewer that takes nothing of it. TAP on stdout.

usage: tests/e2e/test_soak.py [MINUTES]

A stock Debian draws all of its screen again and again; remote-viewer is stopped (SIGSTOP) nearly all the time. Another
viewer must see what changes, the guest's kernel must not complain; and in the end remote-viewer shows what is to be seen. Beside it the server
alone has spicy-stats for a client, stopped too: its memory can be looked at, that of a software host's VMM cannot.
"""
import os, shutil, signal, subprocess, sys, threading, time

from fake import Server
from machine import ANSWER, BOOT, DEMO, DESKTOP, Machine, client_picture, machine_picture, run_in_folder
from test_drivers import in_session, picture
from test_heads import check_log
from viewer import Viewer, require, wait_for

MINUTES = float(sys.argv[1]) if len(sys.argv) > 1 else 60
WARM_UP = 20  # seconds
ALLOWED = 2 << 10  # KiB that the server may grow by then
STOPPED, AWAKE = 20, 2  # seconds: who does not answer for 30 is sent away
ROUNDS = '/tmp/rounds'
# xrefresh covers the screen with a window, and each program draws its part again: a photograph and text.
LOAD = 'while :; do for colour in red green blue white black; do xrefresh -solid $colour; done; ' \
       'x11perf -repeat 1 -reps 2 -shmput500 -scroll500 -copypixwin500; echo >>%s; done' % ROUNDS


def rounds(m):
    return int(m.output('wc -l <%s' % ROUNDS))


class Soak:
    """What is looked at while time goes by."""

    def __init__(self, m, folder, port):
        self.m, self.folder, self.port = m, folder, port
        self.pictures = []
        self.last_round = rounds(m)

    def look(self):
        now = rounds(self.m)
        require(now > self.last_round, 'the guest draws no more after %d rounds' % now)
        self.last_round = now
        self.pictures.append(client_picture(self.folder, self.port)[2])

    def go_on(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(min(60, max(0, end - time.monotonic())))
            self.look()


class Alone(threading.Thread):
    """The server without a guest; draws until it is told to stop."""

    def __init__(self, server):
        super().__init__()
        self.server, self.sizes, self.stop = server, [], threading.Event()
        self.stats = subprocess.Popen(['spicy-stats', '-h', '127.0.0.1', '-p', str(server.port)], stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL)
        time.sleep(5)
        self.stats.send_signal(signal.SIGSTOP)
        self.start()

    def run(self):
        start = time.monotonic()
        while not self.stop.is_set():
            for command in 'draw mixed', 'scroll 40', 'draw text':
                self.server.command(command)
            if time.monotonic() > start + WARM_UP:
                self.sizes.append(self.server.resources()[1])

    def end(self):
        self.stop.set()
        self.join()
        self.stats.kill()
        self.stats.wait()


def start_load(m):
    m.output("echo '%s' >/tmp/load.sh; touch %s; chown demo %s" % (LOAD, ROUNDS, ROUNDS))
    m.output(in_session('setsid sh /tmp/load.sh >/tmp/load.log 2>&1 &'))
    wait_for('the first round', lambda: rounds(m) > 0, ANSWER)


def test_soak(tap, folder):
    disk, control = os.path.join(folder, 'demo.qcow2'), os.path.join(folder, 'control')
    shutil.copyfile(DEMO, disk)
    with Machine(folder, disk, *DESKTOP, '--control', control) as m:
        port = m.ready_port()
        with tap('the desktop comes up'):
            m.wait_for_desktop(BOOT)
        if tap.failed:
            return
        with Viewer(folder, 'spice://127.0.0.1:%d' % port) as v:
            with tap('remote-viewer shows it, and is stopped; the guest draws all of its screen all the time'):
                wait_for('remote-viewer\'s picture', lambda: v.place_of(machine_picture(folder, control)), ANSWER)
                sleeper = Sleeper(v)
                start_load(m)
            soak = Soak(m, folder, port)
            with tap('%g minutes: the guest goes on, another viewer sees what changes' % MINUTES):
                soak.go_on(MINUTES * 60)
                print('# %d rounds, %d looks' % (soak.last_round, len(soak.pictures)))
                different = len(set(soak.pictures))
                require(different > len(soak.pictures) // 2, 'only %d different pictures' % different)
            with tap('no complaints of TTM and DRM in the kernel\'s log'):
                check_log(m)
            with tap('remote-viewer goes on, and shows what is to be seen'):
                m.output('pkill -f load.sh; while pgrep "xrefresh|x11perf"; do sleep 1; done', BOOT)
                sleeper.end()
                picture(m, folder, port, control)
                wait_for('remote-viewer\'s picture', lambda: v.place_of(machine_picture(folder, control)), ANSWER)
            sleeper.end()  # or it would not hear that it shall end
        with tap('SIGTERM powers the desktop down, with status 0'):
            m.terminate()
            require(m.end(BOOT) == 0, 'status %d: %s' % (m.p.returncode, m.messages))


class Sleeper(threading.Thread):
    """A viewer that wakes up now and then, says that it is there, and takes a little of what it has missed."""

    def __init__(self, viewer):
        super().__init__()
        self.p, self.stop = viewer.p, threading.Event()
        self.start()

    def run(self):
        while not self.stop.is_set():
            self.p.send_signal(signal.SIGSTOP)
            self.stop.wait(STOPPED)
            self.p.send_signal(signal.SIGCONT)
            self.stop.wait(AWAKE)

    def end(self):
        self.stop.set()
        self.join()


def check_memory(alone):
    sizes = alone.sizes
    print('# %d looks; KiB: %d, in the end %d' % (len(sizes), sizes[0], sizes[-1]))
    require(max(sizes) - sizes[0] < ALLOWED, 'it grew by %d KiB' % (max(sizes) - sizes[0]))


def test_all(tap, folder):
    with Server('--size', '1920x1080', '--patience', '-1') as server:
        alone = Alone(server)
        try:
            test_soak(tap, folder)
        finally:
            alone.end()
        with tap('the memory of a server whose client has stopped stays what it was'):
            check_memory(alone)


if __name__ == '__main__':
    run_in_folder(7, test_all)
