#!/usr/bin/env python3
"""The client's window on an X server, used by xdotool, and what of that arrives at a server (fake_server)."""
import contextlib, os, random, re, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fake import Server
from viewer import Viewer, require, run_tests, wait_for

CLIENT = 'build/minivm-client'
SCREEN = 1400, 1100
MOST = 32767  # of an absolute position


class Desk:
    """A server with a picture, and the client's windows on a desktop."""

    def __init__(self, folder, server, viewer):
        self.folder, self.server, self.viewer = folder, server, viewer

    def do(self, *args):
        require(self.viewer.xdotool(*args) == 0, 'xdotool ' + ' '.join(args))

    def count(self, windows):
        wait_for('%d windows' % windows, lambda: len(self.viewer.windows()) == windows, 10)

    def window(self):
        return wait_for('window', self.viewer.windows, 10)[0]

    def geometry(self, window=None):
        """-> x, y, width, height of what is inside the frame"""
        text = subprocess.run(['xwininfo', '-id', window or self.window()], env=self.viewer.env, text=True,
                              stdout=subprocess.PIPE).stdout
        return tuple(int(re.search(name + r':\s*(-?\d+)', text).group(1))
                     for name in ('Absolute upper-left X', 'Absolute upper-left Y', 'Width', 'Height'))

    def shown(self, what='the picture'):
        """Where the server's picture is, pixel for pixel."""
        picture = self.server.picture(self.folder)
        return wait_for(what, lambda: self.viewer.place_of(picture), 10)

    def focused(self):
        return subprocess.run(['xdotool', 'getwindowfocus'], env=self.viewer.env, text=True,
                              stdout=subprocess.PIPE).stdout.strip()

    def focus(self):
        window = self.window()
        self.do('windowactivate', window)
        wait_for('focus', lambda: self.focused() == window, 10)

    def size_of_guest(self):
        return self.server.picture(self.folder)[:2]

    def tablet(self):
        """An absolute pointer, which the client takes."""
        self.server.command('tablet 1')
        self.do('mousemove', '5', '5')
        x, y, width, height = self.geometry()

        def try_one():
            self.do('mousemove', str(x + width // 2), str(y + height // 2), 'mousemove_relative', '1', '1')
            return self.server.events('position')
        wait_for('positions', try_one, 10)

    def pointed(self, x, y):
        """-> the guest's position after the pointer was put there"""
        self.do('mousemove', str(x), str(y))
        time.sleep(0.1)
        return tuple(int(value) for value in self.server.events('position')[-1][:3])


@contextlib.contextmanager
def desk(folder, *client, server=('--size', '640x480'), picture='mixed', manager='openbox'):
    with Server(*server) as s:
        s.command('draw ' + picture)
        with Viewer(folder, 'spice://127.0.0.1:%d' % s.port, *client, program=CLIENT, manager=manager,
                    screen='%dx%d' % SCREEN) as v:
            d = Desk(folder, s, v)
            wait_for('window', v.windows)
            d.do('mousemove', *(str(side - 1) for side in SCREEN))  # away from the picture
            yield d


def press(d, name):
    """-> the bytes of a key pressed and let go"""
    before = len(d.server.events('key'))
    d.do('key', name)
    wait_for('key ' + name, lambda: len(d.server.events('key')) >= before + 2, 5, 0.02)
    time.sleep(0.05)
    return ' '.join(code for code, in d.server.events('key')[before:])


def check_layouts(folder):
    """keys of three layouts, and those of a PC that have odd codes, arrive as the scan codes of their places"""
    layouts = {
        'us': {'z': '2c ac', 'y': '15 95', 'minus': '0c 8c', 'a': '1e 9e', 'Print': 'e0 37 e0 b7',
               'Menu': 'e0 5d e0 dd', 'Pause': 'e1 1d 45 e1 9d c5', 'KP_Enter': 'e0 1c e0 9c', 'Delete': 'e0 53 e0 d3',
               'KP_Divide': 'e0 35 e0 b5', '105': 'e0 1d e0 9d', 'Super_L': 'e0 5b e0 db',
               'XF86AudioMute': 'e0 20 e0 a0', 'F12': '58 d8'},
        'de': {'z': '15 95', 'y': '2c ac', 'minus': '35 b5', 'udiaeresis': '1a 9a', 'less': '56 d6', 'plus': '1b 9b',
               'ISO_Level3_Shift': 'e0 38 e0 b8'},
        'fr': {'a': '10 90', 'q': '1e 9e', 'm': '27 a7', 'w': '2c ac', 'ampersand': '02 82', 'exclam': '35 b5'},
    }
    with desk(folder) as d:
        d.shown()
        d.focus()
        x, y, _, _ = d.geometry()
        d.do('mousemove', str(x + 50), str(y + 50))  # there the keyboard is grabbed: Print is the desktop's own
        for layout, keys in layouts.items():
            subprocess.run(['setxkbmap', layout], env=d.viewer.env, check=True)
            time.sleep(0.5)
            d.server.lines.clear()
            for name, codes in keys.items():
                got = press(d, name)
                require(got == codes, '%s: %s is %s, not %s' % (layout, name, got, codes))


def check_focus(folder):
    """a key is repeated while it is held, and let go when the window loses the focus; the locks of both sides agree"""
    with desk(folder) as d:
        d.shown()
        d.focus()
        d.do('keydown', 'a')
        wait_for('repeats', lambda: len(d.server.events('key')) >= 4, 5)
        require(all(code == ['1e'] for code in d.server.events('key')), 'a held key is not repeated')
        d.do('windowminimize', d.window())
        wait_for('the release', lambda: d.server.events('key')[-1] == ['9e'], 5)
        d.do('keyup', 'a')
        d.do('windowactivate', subprocess.run(['xdotool', 'search', '--name', 'minivm'], env=d.viewer.env, text=True,
                                              stdout=subprocess.PIPE).stdout.split()[0])
        wait_for('the window again', d.viewer.windows)
        d.focus()
        time.sleep(0.7)
        d.server.lines.clear()
        press(d, 'Caps_Lock')
        d.server.command('leds 4')  # as a guest does
        time.sleep(0.7)
        require(d.server.events('key') == [['3a'], ['ba']], 'Caps Lock: %s' % d.server.events('key'))
        d.server.command('leds 0')  # the guest has lost it: it is pressed again
        wait_for('the lock', lambda: len(d.server.events('key')) == 4, 5)
        press(d, 'Caps_Lock')


def check_server_mode(folder):
    """without an absolute pointer a click takes the mouse, and the hotkey gives it back"""
    with desk(folder) as d:
        left, top = d.shown()
        d.focus()
        d.do('mousemove', str(left + 100), str(top + 100), 'click', '1')
        time.sleep(0.3)
        require(not d.server.events('motion'), 'the click that takes the mouse went to the guest')
        d.do('mousemove_relative', '15', '10')
        wait_for('motion', lambda: d.server.events('motion'), 5)
        require(sum(int(e[0]) for e in d.server.events('motion')) > 0, 'motion: %s' % d.server.events('motion'))
        d.server.lines.clear()
        d.do('click', '3')
        wait_for('a click', lambda: len(d.server.events('motion')) >= 2, 5)
        states = [e[3] for e in d.server.events('motion')]
        require(states[-2:] == ['4', '0'], 'right button: %s' % states)
        d.do('keydown', 'Control_L', 'keydown', 'Alt_L', 'keyup', 'Alt_L', 'keyup', 'Control_L')
        time.sleep(0.3)
        d.server.lines.clear()
        d.do('mousemove_relative', '15', '10', 'mousemove_relative', '15', '10')
        time.sleep(0.3)
        require(not d.server.events('motion'), 'the mouse was not given back')


def check_buttons(folder):
    """buttons and the wheel"""
    with desk(folder) as d:
        d.shown()
        d.tablet()
        for button, bits in ((1, 1), (2, 2), (3, 4), (8, 32), (9, 64)):
            d.server.lines.clear()
            d.do('click', str(button))
            wait_for('button', lambda: len(d.server.events('position')) >= 2, 5)
            states = [int(e[4]) for e in d.server.events('position')]
            require(bits in states and states[-1] == 0, 'button %d is %s' % (button, states))
        for button, turn in ((4, '-1'), (5, '1')):
            d.server.lines.clear()
            d.do('click', '--repeat', '3', str(button))
            wait_for('wheel', lambda: [e[3] for e in d.server.events('position')].count(turn) == 3, 5)


def check_scales(folder):
    """at every scale the guest is told the pixel that is under the pointer, and all corners can be reached"""
    chance = random.Random(1)
    with desk(folder, '--scale', '100', server=('--size', '500x400')) as d:
        require(d.shown() == d.geometry()[:2], 'the picture is not where the window is')
        d.focus()
        d.tablet()
        for percent in (100, 150, 200):
            wait_for('the size', lambda: d.geometry()[2:] == (500 * percent // 100, 400 * percent // 100), 10)
            x, y, width, height = d.geometry()
            points = [(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)]
            points += [(chance.randrange(width), chance.randrange(height)) for _ in range(6)]
            for px, py in points:
                guest = [int((px + 0.5) * 500 / width), int((py + 0.5) * 400 / height)]
                wanted = 0, guest[0] * MOST // 499, guest[1] * MOST // 399
                got = d.pointed(x + px, y + py)
                require(got == wanted, '%d %%: %d,%d is %s, not %s' % (percent, px, py, got, wanted))
            d.do('key', 'ctrl+alt+plus', 'key', 'ctrl+alt+plus')


def check_resize(folder):
    """the window follows the guest, the guest the window, also over the whole screen; the bar sends Ctrl+Alt+Del"""
    with desk(folder) as d:
        d.shown()
        d.server.command('resize 720 500')
        d.server.command('draw text')
        d.shown('the new size')
        d.server.command('heads 1')
        time.sleep(0.3)
        for width in (600, 650, 700):  # as a user drags: one question in the end
            d.do('windowsize', d.window(), str(width), '444')
        wait_for('the guest to take 700x444', lambda: d.size_of_guest() == (700, 444), 10)
        d.shown('the picture of 700x444')
        d.focus()
        d.do('key', 'shift+F11')
        wait_for('the guest to fill the screen', lambda: d.size_of_guest() == SCREEN, 10)
        d.tablet()
        picture = d.server.picture(d.folder)[2][:SCREEN[0] * 3 * 500]  # down to the pointer
        wait_for('the picture over the whole screen', lambda: d.viewer.screen()[2].startswith(picture), 10)
        part = slice((SCREEN[0] * 20 + 500) * 3, (SCREEN[0] * 20 + 600) * 3)  # of the bar
        before = d.viewer.screen()[2][part]
        d.do('mousemove', '690', '0', 'mousemove', '700', '0')
        wait_for('the bar', lambda: d.viewer.screen()[2][part] != before, 5)
        time.sleep(0.4)
        d.do('mousemove', '720', '40')
        time.sleep(0.3)
        d.server.lines.clear()
        d.do('mousemove', '722', '41', 'click', '1')  # the middle button
        wait_for('Ctrl+Alt+Del', lambda: len(d.server.events('key')) >= 8, 5)
        codes = ' '.join(code for code, in d.server.events('key'))
        require(codes == '1d 38 e0 53 e0 d3 b8 9d', 'the bar sent ' + codes)
        require(not d.server.events('position'), 'what the bar takes went to the guest')
        d.do('mousemove', '700', '600')
        d.focus()
        d.do('key', 'shift+F11')
        try:
            wait_for('the guest to take 700x444 again', lambda: d.size_of_guest() == (700, 444), 10)
        except Exception as e:
            raise type(e)('%s; it has %s, the window %s' % (e, d.size_of_guest(), d.geometry()))


def lose_server(d):
    """As if its computer had gone."""
    d.server.p.kill()
    d.server.p.wait()
    d.server.p = subprocess.Popen(['true'], stdin=subprocess.PIPE)


def check_displays(folder):
    """two displays have a window each, which come and go with them, but not with the connection"""
    with desk(folder, server=('--size', '500x400', '--displays', '2')) as d:
        d.server.command('display 1')
        d.server.command('draw text')
        d.count(2)
        for i, window in enumerate(d.viewer.windows()):
            d.do('windowmove', window, str(20 + i * 600), '50')
        d.shown('the second picture')
        d.server.command('display 0')
        d.shown('the first picture')
        d.server.command('display 1')
        d.server.command('resize 0 0')
        d.count(1)
        d.server.command('resize 300 200')
        d.server.command('draw gradient')
        d.count(2)
        lose_server(d)
        time.sleep(2)  # more than a display may be away for
        d.count(2)
        d.do('windowclose', d.viewer.windows()[1])


def check_heads(folder):
    """two heads of one display have a window each; positions count in the display"""
    with desk(folder, server=('--size', '800x400')) as d:
        d.shown()
        d.server.command('split 2')
        d.count(2)
        d.tablet()
        for window, left in zip(sorted(d.viewer.windows(), key=int), (0, 400)):
            d.do('windowactivate', window, 'windowmove', window, '30', '60')
            time.sleep(0.5)
            x, y, width, height = d.geometry(window)
            require((width, height) == (400, 400), 'a head is %dx%d' % (width, height))
            for px, py in ((0, 0), (399, 399), (123, 321)):
                wanted = 0, (left + px) * MOST // 799, py * MOST // 399
                got = d.pointed(x + px, y + py)
                require(got == wanted, '%d,%d of head %d is %s, not %s' % (px, py, left // 400, got, wanted))
        d.server.command('split 1')
        d.count(1)


def check_words(folder):
    """a password is asked for in the window, which takes the keys; a lost connection is told and tried again"""
    with desk(folder, server=('--size', '640x480', '--password', 'secret'), manager=None) as d:
        picture = d.server.picture(folder)
        wait_for('words', lambda: len(set(d.viewer.screen()[2])) > 10, 10)
        require(not d.viewer.place_of(picture), 'the picture is shown without the password')
        for word in ('wrong', 'secret'):
            d.do('type', '--delay', '10', word)
            d.do('key', 'Return')
            time.sleep(1)
        d.shown()
        require(not d.server.events('key'), 'the password went to the guest: %s' % d.server.events('key'))
        port = d.server.port
        lose_server(d)
        wait_for('words over the picture', lambda: not d.viewer.place_of(picture), 10)
        require(d.viewer.p.poll() is None, 'the client has ended')
        time.sleep(0.6)  # a server that still answers 0.3 s later is one that has let another viewer in
        with Server('--size', '640x480', '--password', 'secret', '--port', str(port)) as again:
            again.command('draw mixed')
            d.server.picture = again.picture
            wait_for('the picture of the server that came back', lambda: d.viewer.place_of(again.picture(folder)), 15)


def wake_ups(pid):
    total = 0
    for task in os.listdir('/proc/%d/task' % pid):
        with open('/proc/%d/task/%s/status' % (pid, task)) as f:
            total += sum(int(line.split()[1]) for line in f if line.startswith(('voluntary', 'nonvoluntary')))
    return total


def check_idle(folder):
    """a window with nothing to do does nothing"""
    with desk(folder) as d:
        d.shown()
        time.sleep(1.5)
        before = wake_ups(d.viewer.p.pid)
        time.sleep(3)
        woken = wake_ups(d.viewer.p.pid) - before
        print('# %d wake-ups in 3 s' % woken)
        require(woken <= 3, '%d wake-ups in 3 s' % woken)


run_tests([check_layouts, check_focus, check_server_mode, check_buttons, check_scales, check_resize, check_displays,
           check_heads, check_words, check_idle], ['Xvfb', 'xdotool', 'openbox', 'xprop', 'setxkbmap'])
