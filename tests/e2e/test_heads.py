#!/usr/bin/env python3
"""A stock Debian desktop on as many monitors as a stock viewer wants, each as large as it wants. TAP on stdout.

usage: test_heads.py [--resizes N] [--pictures FOLDER]

The guest's kernel takes the viewer's wishes from the QXL device: there is no agent. A desktop environment would give its
monitors new modes when the kernel says that they changed; here a loop around xrandr does.
"""
import argparse, os, random, re, shutil, subprocess, threading, time

from machine import ANSWER, BOOT, DEMO, DESKTOP, Machine, machine_picture, run_in_folder
from viewer import Failed, Viewer, require, wait_for

HEADS = 'build/tests/display/heads'
MOST = 4
# What the kernel's drivers say when something is wrong.
COMPLAINTS = re.compile(r'ttm|drm|qxl', re.I)
FOLLOW = r'''#!/bin/sh
export DISPLAY=:0
apply() {
    args= last=
    while read name state rest; do
        case $name-$state in
        Virtual-*-connected) args="$args --output $name --auto ${last:+--right-of $last}" last=$name ;;
        Virtual-*) args="$args --output $name --off" ;;
        esac
    done <<Q
$(xrandr)
Q
    xrandr $args
}
udevadm monitor --kernel --subsystem-match=drm | while read line; do apply; done >/tmp/follow.log 2>&1
'''


class Heads:
    """tests/display/heads: a viewer on spice-gtk that wants monitors."""

    def __init__(self, port):
        self.p = subprocess.Popen([HEADS, '--port', str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True, bufsize=1)
        self.channels, self.most, self.agent = {}, 0, None  # of each channel monitors as (id, width, height, x, y)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.p.stdout:
            words = line.split()
            if words[0] == 'monitors':
                self.most = int(words[2])
                self.channels[int(words[1])] = [tuple(int(n) for n in re.findall(r'\d+', m)) for m in words[3:]]
            elif words[0] == 'agent':
                self.agent = int(words[1])

    @property
    def shown(self):
        return self.channels.get(0, [])

    def want(self, sizes):
        """Monitors side by side, the others off."""
        x = 0
        for i in range(MOST):
            if i < len(sizes):
                self.say('want %d %d %d %d 0' % (i, *sizes[i], x))
                x += sizes[i][0]
            else:
                self.say('off %d' % i)
        self.say('send')

    def say(self, line):
        self.p.stdin.write(line + '\n')
        self.p.stdin.flush()

    def wait_for(self, sizes, seconds=ANSWER):
        expected, x = [], 0
        for i, (width, height) in enumerate(sizes):
            expected.append((i, width, height, x, 0))
            x += width
        try:
            wait_for('monitors', lambda: self.shown == expected, seconds)
        except Failed as e:
            raise Failed('%s: %s, wanted %s' % (e, self.shown, expected))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.stdin.close()
        self.p.wait(10)


def start_following(m):
    m.output("cat >/usr/local/bin/follow <<'F'\n%sF\nchmod +x /usr/local/bin/follow" % FOLLOW)
    m.output('su demo -c "setsid follow >/dev/null 2>&1 </dev/null &"')


def guest_modes(m):
    """-> [(width, height, x, y)] of the monitors that are on"""
    text = m.output('su demo -c "DISPLAY=:0 xrandr"')
    return [tuple(int(n) for n in g) for g in re.findall(r'^Virtual-\d+ connected.*? (\d+)x(\d+)\+(\d+)\+(\d+)', text, re.M)]


def crop(picture, x, y, width, height):
    whole, _, data = picture
    return width, height, b''.join(data[((y + i) * whole + x) * 3:((y + i) * whole + x + width) * 3] for i in range(height))


def write_ppm(name, picture):
    with open(name, 'wb') as f:
        f.write(b'P6\n%d %d\n255\n' % picture[:2] + picture[2])


def check_windows(folder, port, control, shown, keep):
    """A stock viewer shows each monitor in a window, pixel for pixel what the machine shows there."""
    with Viewer(folder, '--auto-resize=never', 'spice://127.0.0.1:%d' % port, screen='4000x3000') as v:
        wait_for('%d windows' % len(shown), lambda: len(v.windows()) == len(shown), ANSWER)
        for i, window in enumerate(v.windows()):
            v.xdotool('windowmove', window, str(i % 2 * 2000), str(i // 2 * 1500))
        for number, width, height, x, y in shown:
            wait_for('monitor %d' % number, lambda: v.place_of(
                crop(machine_picture(folder, control), x, y, width, height)), ANSWER)
        if keep:
            write_ppm(keep, v.screen())


def check_heads(m, folder, port, control, heads, sizes, pictures):
    heads.want(sizes)
    heads.wait_for(sizes)
    m.output("su demo -c 'DISPLAY=:0 hsetroot -cover /usr/local/lib/desktop/wallpaper.jpg'")
    modes = guest_modes(m)
    require([g[:2] for g in modes] == sizes, 'the guest has %s' % modes)
    check_windows(folder, port, control, heads.shown, pictures and '%s/%d-heads.ppm' % (pictures, len(sizes)))


def interrupts(m):
    return sum(int(n) for n in re.findall(r'\d+', m.output('grep -w qxl /proc/interrupts').partition(':')[2].partition('IO')[0]))


def check_resizes(m, heads, count):
    rng, longest, start = random.Random(count), 0, time.monotonic()
    for i in range(count):
        size = (rng.randrange(320, 1921, 8), rng.randrange(240, 1201))
        before = time.monotonic()
        heads.want([size])
        heads.wait_for([size])
        longest = max(longest, time.monotonic() - before)
    print('# %d resizes: %.1f s each, the longest %.1f s' % (count, (time.monotonic() - start) / count, longest))
    before = interrupts(m)
    time.sleep(5)
    require(interrupts(m) - before < 1000, '%d interrupts in 5 s without anything to do' % (interrupts(m) - before))


# The driver copies a command from Xorg's memory with page faults switched off, and says this when the kernel is just moving
# that page (khugepaged, compaction). No device has a part in it.
MOVED_PAGE = re.compile(r'qxl_execbuffer_ioctl.*got unwritten \d+$')


def check_log(m):
    bad = [l for l in m.output('dmesg -l emerg,alert,crit,err,warn').splitlines()
           if COMPLAINTS.search(l) and not MOVED_PAGE.search(l)]
    require(not bad, 'the kernel complains: ' + '\n'.join(bad))
    text = m.output('dmesg')
    require('[TTM]' not in text and 'failed to allocate' not in text, text[-2000:])


def test_heads(tap, folder, pictures, resizes):
    disk, control = os.path.join(folder, 'demo.qcow2'), os.path.join(folder, 'control')
    shutil.copyfile(DEMO, disk)
    with Machine(folder, disk, *DESKTOP, '--heads', str(MOST), '--control', control) as m:
        port = m.ready_port()
        with tap('the desktop comes up'):
            m.wait_for_desktop(BOOT)
            start_following(m)
        if tap.failed:
            return
        with Heads(port) as heads:
            with tap('the viewer is told of an agent for its monitors, of which there could be four'):
                wait_for('agent', lambda: heads.agent == 1, ANSWER)
            with tap('two monitors, seen in two windows of remote-viewer'):
                check_heads(m, folder, port, control, heads, [(800, 600), (640, 480)], pictures)
                require(heads.most == MOST, 'at most %d' % heads.most)
            with tap('four monitors, seen in four windows'):
                check_heads(m, folder, port, control, heads, [(640, 480), (800, 600), (720, 400), (1024, 768)], pictures)
            with tap('and one again, of any size: %d times' % resizes):
                check_resizes(m, heads, resizes)
        with tap('no complaints of TTM and DRM in the kernel\'s log'):
            check_log(m)
        with tap('SIGTERM powers the desktop down, with status 0'):
            m.terminate()
            require(m.end(BOOT) == 0, 'status %d: %s' % (m.p.returncode, m.messages))


def main():
    a = argparse.ArgumentParser(usage=__doc__.split('\n')[2])
    a.add_argument('--resizes', type=int, default=6)
    a.add_argument('--pictures', help='for what remote-viewer shows')
    a = a.parse_args()
    run_in_folder(7, lambda tap, folder: test_heads(tap, folder, a.pictures, a.resizes))


if __name__ == '__main__':
    main()
