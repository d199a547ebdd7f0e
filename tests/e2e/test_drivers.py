#!/usr/bin/env python3
"""The display drivers of a stock Debian, one after the other in the same machine. TAP on stdout.

Xorg on the kernel's driver, by its own qxl driver and by modesetting; a Wayland compositor; the text console; a display that
sleeps; Xorg's qxl driver without the kernel's, which draws by all that the device has, with surfaces and without. Stock
programs draw, and the guest, the machine, spicy-screenshot and our client must have the same picture then.
"""
import hashlib, os, shutil, time

from machine import (ANSWER, BOOT, DEMO, DESKTOP, Machine, client_picture, difference, is_photograph, machine_picture,
                     run_in_folder, same_pictures)
from test_heads import check_log
from viewer import require, wait_for

XINIT = 'xinit /usr/local/lib/desktop/session -- /usr/bin/Xorg :0 vt7 -keeptty -noreset -nolisten tcp'
# Of each kind of drawing one that Xorg's drivers do by themselves or leave to the device.
LOAD = 'dot rect10 rect500 srect100 osrect100 tilerect100 oddtilerect100 bigtilerect100 line100 dline100 wline100 wdline100 ' \
       'circle100 fcircle100 wellipse100 complex100 trap100 aatrap100 aa24text scroll100 scroll500 copywinwin100 ' \
       'copypixwin100 copywinpix100 copyplane100 deepcopyplane100 putimage100 shmput100 getimage100 compwinwin100 ' \
       'comppixwin100 magpixwin100 minpixwin100 move popup resize'
# The fourth byte of a pixel means nothing.
READ_BACK = 'xwd -root -silent | tail -c %d | perl -0777 -ne "print pack(q(V*), map { \$_ & 0xffffff } unpack(q(V*), \$_))" | md5sum'


def in_session(command):
    return "su demo -c 'DISPLAY=:0 %s'" % command


def wait_up(m):
    wait_for('desktop', lambda: m.shell('test -e /run/desktop/up')[0] == 0, BOOT)
    m.output('sleep 3')


def picture(m, folder, port, control, photograph=True):
    """The picture that all agree on; a cursor may blink."""
    def agreed():
        seen = same_pictures(folder, port)
        return seen if not difference(machine_picture(folder, control), seen) else None

    seen = wait_for('the same picture of machine and clients', agreed, ANSWER)
    require(is_photograph(seen) == photograph, 'this is not the desktop' if photograph else 'this is the desktop')
    return seen


def digest(seen):
    width, height, data = seen
    pixels = bytearray(width * height * 4)
    pixels[0::4], pixels[1::4], pixels[2::4] = data[2::3], data[1::3], data[0::3]
    return hashlib.md5(pixels).hexdigest()


def check_x(m, folder, port, control, expected):
    """What the X server reads back is what all see."""
    wait_up(m)
    log = m.output('cat $(ls -t /var/log/Xorg.0.log /home/demo/.local/share/xorg/Xorg.0.log 2>/dev/null | head -1)')
    require(all(e in log for e in expected), 'Xorg says: ' + log[-3000:])
    m.output(in_session('x11perf -repeat 1 -reps 1 ' + ' '.join('-' + l for l in LOAD.split())) +
             ' >/tmp/load.log 2>&1 || { tail -3 /tmp/load.log; false; }', BOOT)

    def same():
        seen = picture(m, folder, port, control)
        return digest(seen) in m.output(in_session(READ_BACK % (seen[0] * seen[1] * 4)))

    wait_for('the same picture as what the X server reads', same, ANSWER)


def configure(m, driver, *options):
    text = 'Section "Device"\\nIdentifier "card"\\nDriver "%s"\\n%sEndSection\\n' % (
        driver, ''.join('Option "%s" "%s"\\n' % o for o in options))
    m.output("printf '%s' >/etc/X11/xorg.conf.d/90-driver.conf" % text)


def check_sleep(m, folder, port, control):
    before = picture(m, folder, port, control)
    m.output(in_session('xset dpms force off'))
    time.sleep(5)
    state = m.output(in_session('xset q'))
    require('Monitor is Off' in state, 'the display does not sleep: ' + state)
    m.output(in_session('xset dpms force on') + ' && ' + in_session('xset -dpms s off'))
    wait_for('the picture from before', lambda: not difference(before, same_pictures(folder, port)), ANSWER)


def check_console(m, folder, port, control):
    m.output('chvt 1')
    picture(m, folder, port, control, photograph=False)
    client_picture(folder, port, '--type', r'demo\n')
    m.output('sleep 10')
    client_picture(folder, port, '--type', r'demo\n')
    m.output('sleep 10')
    client_picture(folder, port, '--type', r'seq 2000; echo console > console.txt\n')
    wait_for('typed text', lambda: m.shell('cat /home/demo/console.txt')[1].strip() == 'console', ANSWER)
    picture(m, folder, port, control, photograph=False)
    m.output('chvt 7')
    picture(m, folder, port, control)


def check_wayland(m, folder, port, control):
    m.output('systemctl start wayland')
    wait_for('terminal', lambda: m.shell('pgrep foot')[0] == 0, BOOT)
    m.output('sleep 15')
    client_picture(folder, port, '--type', r'seq 2000; echo wayland > wayland.txt\n')
    wait_for('typed text', lambda: m.shell('cat /home/demo/wayland.txt')[1].strip() == 'wayland', ANSWER)
    m.output('sleep 5')
    seen = picture(m, folder, port, control, photograph=False)
    require(len(set(seen[2])) > 8, 'there is no text')
    m.output('systemctl stop wayland')


def without_kernel(m):
    """For good: Linux 6.1's driver leaves its interrupt handler behind, which crashes when the driver comes again."""
    m.output('for v in /sys/class/vtconsole/*; do grep -q frame $v/name && echo 0 >$v/bind; done; rmmod qxl')


def start_x_alone(m, *options):
    """As root, since there is no kernel's driver that would let a user; one monitor has to be asked for."""
    configure(m, 'qxl', ('NumHeads', '1'), *options)
    m.output('rm -f /run/desktop/up /var/log/Xorg.0.log; (setsid %s >/tmp/x.log 2>&1 </dev/null &)' % XINIT)


def stop_x_alone(m):
    m.output('pkill xinit; while pgrep Xorg; do sleep 1; done', BOOT)


def test_drivers(tap, folder):
    disk, control = os.path.join(folder, 'demo.qcow2'), os.path.join(folder, 'control')
    shutil.copyfile(DEMO, disk)
    with Machine(folder, disk, *DESKTOP, '--control', control) as m:
        port = m.ready_port()
        there = m, folder, port, control
        with tap('Xorg, its qxl driver on the kernel\'s'):
            m.wait_for_desktop(BOOT)
            check_x(*there, ['qxl(0)'])
        if tap.failed:
            return
        with tap('the text console, and back'):
            check_console(*there)
        with tap('Xorg, modesetting'):
            configure(m, 'modesetting')
            m.output('systemctl restart desktop', BOOT)
            check_x(*there, ['modeset(0)'])
        with tap('the display sleeps and wakes'):
            check_sleep(*there)
            m.output('systemctl stop desktop', BOOT)
        with tap('a Wayland compositor'):
            check_wayland(*there)
        with tap('no complaints of TTM and DRM in the kernel\'s log'):
            check_log(m)
        with tap('Xorg, its qxl driver alone, with surfaces and caches'):
            without_kernel(m)
            start_x_alone(m, ('EnableSurfaces', 'True'), ('EnableImageCache', 'True'), ('EnableFallbackCache', 'True'))
            check_x(*there, ['Offscreen Surfaces: Enabled', 'Image Cache: Enabled', 'Fallback Cache: Enabled'])
        with tap('... and without'):
            stop_x_alone(m)
            start_x_alone(m)
            check_x(*there, ['Offscreen Surfaces: Disabled', 'Image Cache: Disabled', 'Fallback Cache: Disabled'])
        with tap('SIGTERM powers the desktop down, with status 0'):
            m.terminate()
            require(m.end(BOOT) == 0, 'status %d: %s' % (m.p.returncode, m.messages))


if __name__ == '__main__':
    run_in_folder(9, test_drivers)
