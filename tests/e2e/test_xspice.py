#!/usr/bin/env python3
"""Xspice, an X server that is a SPICE server, in use: minivm-client and spice-gtk watch it side by side. TAP.

usage: tests/e2e/test_xspice.py [--seconds N]

In the end both must show the same.
"""
import os, random, signal, subprocess, sys, time

from viewer import PATIENCE, free_port, read_ppm, require, run_tests, wait_for

BUILD = 'build/'
SECONDS = int(sys.argv[sys.argv.index('--seconds') + 1]) if '--seconds' in sys.argv else 12
SETTLE = 4  # until the viewers have what was drawn last
PERF = ['-rect100', '-srect100', '-copywinwin100', '-scroll100', '-ftext', '-aa10text', '-line100', '-dline100', '-putimage100',
        '-triangle100', '-circle100', '-copypixwin100', '-wtrap100']
CONFIG = '''Section "Device"
    Identifier "card"
    Driver "spiceqxl"
    Option "FrameBufferSize" "64"
    Option "SurfaceBufferSize" "128"
    Option "CommandBufferSize" "128"
    Option "NumHeads" "1"
EndSection
Section "InputDevice"
    Identifier "pointer"
    Driver "xspice pointer"
EndSection
Section "InputDevice"
    Identifier "keyboard"
    Driver "xspice keyboard"
EndSection
Section "Screen"
    Identifier "screen"
    Device "card"
    DefaultDepth 24
    SubSection "Display"
        Depth 24
        Modes "1024x768"
    EndSubSection
EndSection
Section "ServerLayout"
    Identifier "layout"
    Screen "screen"
    InputDevice "keyboard"
    InputDevice "pointer"
EndSection
Section "ServerFlags"
    Option "AutoAddDevices" "False"
EndSection
'''


class Desktop:
    def __init__(self, folder):
        config = os.path.join(folder, 'xorg.conf')
        with open(config, 'w') as f:
            f.write(CONFIG)
        self.port, display = str(free_port()), ':%d' % (3000 + os.getpid() % 700)
        several = dict(os.environ, SPICE_DEBUG_ALLOW_MC='1')  # else the second viewer ends the first one's session
        self.log = os.path.join(folder, 'log')
        with open(self.log, 'w') as log:
            self.p = subprocess.Popen(['Xspice', '--config', config, '--port', self.port, '--disable-ticketing', display,
                                       '-noreset', '-nolisten', 'tcp'], stdout=log, stderr=log, env=several,
                                      start_new_session=True)
        self.env = dict(os.environ, DISPLAY=display)
        self.clients = []
        wait_for('Xspice', lambda: self.run('xdpyinfo') is not None)

    def run(self, *command):
        r = subprocess.run(command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=PATIENCE)
        return r.stdout if r.returncode == 0 else None

    def start(self, *command):
        self.clients.append(subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def end_clients(self):
        for client in self.clients:
            client.kill()
            client.wait()
        self.clients = []

    def __enter__(self):
        return self

    def __exit__(self, kind, error, *_):
        self.end_clients()
        os.killpg(self.p.pid, signal.SIGTERM)
        try:
            self.p.wait(5)
        except subprocess.TimeoutExpired:  # Xspice itself waits on when its X server has gone
            os.killpg(self.p.pid, signal.SIGKILL)
            self.p.wait()


def use(desktop, until):
    """Terminals that write and are moved about, while x11perf draws one thing after the other."""
    dice = random.Random(1)
    for n in range(2):
        desktop.start('xterm', '-geometry', '80x24+%d+%d' % (30 + 300 * n, 40 + 200 * n), '-e', 'sh', '-c',
                      'i=0; while :; do i=$((i+1)); echo "$i: $(date) $((i * i))"; sleep 0.0%d; done' % (2 + n))
    while time.monotonic() < until:
        desktop.start('x11perf', '-time', '1', '-repeat', '1', dice.choice(PERF))
        for _ in range(10):
            windows = (desktop.run('xdotool', 'search', '--onlyvisible', '--class', 'xterm') or b'').split()
            if windows:
                desktop.run('xdotool', 'windowmove', dice.choice(windows), str(dice.randrange(700)), str(dice.randrange(500)))
            time.sleep(0.2)
        done = desktop.clients.pop()
        done.terminate()
        done.wait()


def require_same(a, b, who):
    require(a[:2] == b[:2], '%s: %s instead of %s' % (who, a[:2], b[:2]))
    wrong = sum(a[2][i:i + 3] != b[2][i:i + 3] for i in range(0, len(a[2]), 3)) if a[2] != b[2] else 0
    require(not wrong, '%s: %d pixels are wrong' % (who, wrong))


def test_use(folder):
    """Xspice in use: in the end we show what spice-gtk shows"""
    ours, theirs = (os.path.join(folder, name) for name in ('ours.ppm', 'theirs.ppm'))
    with Desktop(folder) as desktop:
        began, seconds = time.monotonic(), str(SECONDS + 2 * SETTLE)
        viewers = [subprocess.Popen([BUILD + 'minivm-client', '--headless', '--screenshot', ours, '--exit-after', seconds,
                                     'spice://127.0.0.1:' + desktop.port], stderr=subprocess.PIPE, text=True),
                   subprocess.Popen([BUILD + 'tests/foreign/look', '--port', desktop.port, '--picture', theirs, '--after',
                                     seconds], stderr=subprocess.PIPE, text=True)]
        use(desktop, began + SECONDS)
        for client in desktop.clients:  # what they show stays
            client.send_signal(signal.SIGSTOP)
        said = [viewer.communicate(timeout=SECONDS + PATIENCE)[1] for viewer in viewers]
        require(not any(v.returncode for v in viewers), 'a viewer failed: %s' % said)
    shown = read_ppm(ours)
    require(len(set(shown[2])) > 1, 'nothing is on the screen')
    require_same(shown, read_ppm(theirs), 'we, beside spice-gtk')


run_tests([test_use], ['Xspice', 'xterm', 'x11perf', 'xdotool', 'xdpyinfo'])
