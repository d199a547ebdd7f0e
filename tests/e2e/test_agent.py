#!/usr/bin/env python3
"""minivm-agentd and minivm-agent as the guest of libspice-server, used through spice-gtk. TAP.

usage: tests/e2e/test_agent.py [NAME...]
"""
import os, random, re, select, signal, socket, struct, subprocess, sys

from agent_rig import BMP, CLIPBOARD, PNG, PRIMARY, TEXT, Rig
from viewer import PATIENCE, Failed, Viewer, require, run_tests, wait_for

SIZES = [1, 100, 2047, 2048, 65536, 300000, 1 << 20]


def text_of(size):
    """So many bytes of UTF-8, some of them longer than others."""
    data = ''.join(random.Random(size).choices('abc \näöü€語', k=size)).encode()[:size]
    return data.decode(errors='ignore').encode().ljust(size, b'.')


def picture(size):
    return b'\x89PNG\r\n\x1a\n' + random.Random(7).randbytes(size)


def test_guest_to_user(folder):
    """what is copied in the guest is pasted by the user: texts of 1 byte to 1 MiB, pictures, both selections"""
    with Rig(folder) as rig:
        for selection in CLIPBOARD, PRIMARY:
            for size in SIZES:
                data = text_of(size)
                rig.copy(selection, data)
                require(TEXT in rig.user.wait('GRAB ' + selection).split()[2:], 'no text is offered')
                pasted = os.path.join(folder, 'pasted')
                rig.user.tell('ask', selection, TEXT, pasted)
                rig.user.wait('CONTENT %s %s %d' % (selection, TEXT, size))
                with open(pasted, 'rb') as f:
                    require(f.read() == data, 'a text of %d bytes has changed' % size)
        for kind, target in (PNG, 'image/png'), (BMP, 'image/bmp'):
            data = picture(3 << 20)
            rig.copy(CLIPBOARD, data, '-t', target)
            rig.user.wait('GRAB %s %s' % (CLIPBOARD, kind))
            rig.user.tell('ask', CLIPBOARD, kind, pasted)
            rig.user.wait('CONTENT %s %s %d' % (CLIPBOARD, kind, len(data)))
            with open(pasted, 'rb') as f:
                require(f.read() == data, 'a picture has changed')


def test_user_to_guest(folder):
    """what the user has copied is pasted in the guest: texts of 1 byte to 1 MiB, pictures, both selections"""
    with Rig(folder) as rig:
        for selection in CLIPBOARD, PRIMARY:
            for size in SIZES:
                data = text_of(size)
                rig.user.tell('offer', selection, TEXT, rig.path('copied', data))
                wait_for('a text of %d bytes' % size, lambda: rig.paste(selection, '-t', 'UTF8_STRING') == data)
        data = picture(5 << 20)
        rig.user.tell('offer', CLIPBOARD, PNG, rig.path('picture', data))
        wait_for('a picture', lambda: rig.paste(CLIPBOARD, '-t', 'image/png') == data)
        require(b'image/png' in rig.paste(CLIPBOARD, '-t', 'TARGETS'), 'it is not offered as a picture')
        require(rig.paste(CLIPBOARD, '-t', 'UTF8_STRING') is None, 'a picture is no text')
        rig.user.tell('release', CLIPBOARD)
        wait_for('release', lambda: rig.paste(CLIPBOARD, '-t', 'TARGETS') is None)


def send(rig, path):
    """-> "ok", or why not"""
    rig.user.tell('send', path)
    return rig.user.wait('FILE')[5:]


def read(path):
    with open(path, 'rb') as f:
        return f.read()


def test_files(folder):
    """files that are dropped arrive, beside others of the name, empty ones too; they are no programs"""
    with Rig(folder) as rig:
        for n, size in enumerate((0, 1, 65536, 30 << 20)):
            data = random.Random(size).randbytes(size)
            require(send(rig, rig.path('a file.tar', data)) == 'ok', 'a file of %d bytes is not taken' % size)
            name = os.path.join(rig.saved, 'a file (%d).tar' % n if n else 'a file.tar')
            require(read(name) == data, 'a file of %d bytes has changed' % size)
            require(os.stat(name).st_mode & 0o111 == 0, 'it is a program')
        done, total = [line for line in rig.user.seen if line.startswith('PROGRESS')][-1].split()[1:]
        require(done == total == str(30 << 20), 'progress ended at %s of %s' % (done, total))


def test_file_ends(folder):
    """a file that is cancelled, or whose user, daemon or session goes, leaves nothing; one too large is refused"""
    with Rig(folder) as rig:
        huge = rig.path('huge', b'')
        os.truncate(huge, 1 << 43)
        answer = send(rig, huge)
        require('space' in answer, 'the user hears "%s"' % answer)
        large = rig.path('large', b'')
        os.truncate(large, 1 << 30)

        def begin():
            rig.user.tell('send', large)
            wait_for('the file to begin', lambda: [name for name in os.listdir(rig.saved)
                                                   if os.path.getsize(os.path.join(rig.saved, name))], step=0.01)

        def nothing(what):
            wait_for(what, lambda: not os.listdir(rig.saved))

        begin()
        rig.user.tell('cancel')
        nothing('the file to go, cancelled')
        rig.user.wait('SENT')
        begin()
        rig.user.end()
        nothing('the file to go with its user')
        rig.user = rig.new_user()
        begin()
        rig.stop(rig.agent)
        nothing('the file to go with the session')
        rig.user.wait('AGENT 0')
        rig.start_agent()
        rig.user.wait('AGENT 1')
        begin()
        rig.agentd.kill()
        nothing('the file to go with the daemon')
        rig.user.wait('AGENT 0')
        rig.start_agentd()
        rig.user.wait('AGENT 1')
        require(send(rig, rig.path('small', b'abc')) == 'ok', 'a file is not taken afterwards')


def test_restarts(folder):
    """the agent, the daemon, the session and the user may come and go; each time the clipboard works again"""
    with Rig(folder) as rig:
        def check(text):
            rig.user.forget()
            rig.copy(CLIPBOARD, text)
            rig.user.wait('GRAB 0')
            rig.user.tell('ask', CLIPBOARD, TEXT, os.path.join(folder, 'pasted'))
            rig.user.wait('CONTENT 0 1 %d' % len(text))
            rig.user.tell('offer', PRIMARY, TEXT, rig.path('copied', text))
            wait_for('paste', lambda: rig.paste(PRIMARY, '-t', 'UTF8_STRING') == text)

        check(b'first')
        rig.stop(rig.agent)
        rig.user.wait('AGENT 0')
        rig.start_agent()
        rig.user.wait('AGENT 1')
        rig.user.wait('GRAB 0')  # what was copied before it came is offered
        check(b'after the agent')
        rig.stop(rig.agentd)
        rig.user.wait('AGENT 0')
        rig.start_agentd()
        rig.user.wait('AGENT 1')
        rig.user.wait('GRAB 0')
        check(b'after the daemon')
        rig.user.end()
        rig.user = rig.new_user()
        rig.user.wait('GRAB 0')
        check(b'after the user')
        require(rig.agent.poll() is None and rig.agentd.poll() is None, 'one of them has ended')
        rig.x.kill()
        require(rig.agent.wait(30) == 0, 'the agent does not end with its X server')
        rig.user.wait('AGENT 0')


def screen_of(rig):
    """-> the desktop's size, and its monitors that are on, by number"""
    words = (rig.call('xrandr', '--current') or b'').decode()  # it fails while another is changing them
    desktop = re.search(r'current (\d+) x (\d+)', words)
    monitors = re.findall(r'^\D+?(\d*) (?:dis)?connected (?:primary )?(\d+x\d+\+\d+\+\d+)', words, re.M)
    return desktop and 'x'.join(desktop.groups()), {int(number or 0): place for number, place in monitors}


def test_monitors(folder):
    """the guest's only monitor takes the sizes that the user's window has"""
    with Rig(folder) as rig:
        for size in '800x600', '1000x700', '1366x768', '1600x1200', '1023x767':
            rig.user.tell('monitors', size + '+0+0')
            wait_for(size, lambda: screen_of(rig) == (size, {0: size + '+0+0'}), 20)
        rig.user.tell('monitors', '9000x9000+0+0')  # more than it can
        rig.user.tell('monitors', '1024x768+0+0')
        wait_for('a possible one', lambda: screen_of(rig)[0] == '1024x768')
        modes = rig.call('xrandr', '--current').decode()
        require(modes.count('minivm-') <= 1, 'modes that were made are left: ' + modes)


DUMMY = '''Section "Device"
    Identifier "card"
    Driver "dummy"
    VideoRam 256000
EndSection
Section "Screen"
    Identifier "screen"
    Device "card"
    DefaultDepth 24
    SubSection "Display"
        Depth 24
        Virtual 4096 2160
    EndSubSection
EndSection
Section "ServerFlags"
    Option "AutoAddDevices" "False"
EndSection
'''


def test_several_monitors(folder):
    """several monitors: where they are placed, sparse ones, on and off"""
    config = os.path.join(folder, 'xorg.conf')
    with open(config, 'w') as f:
        f.write(DUMMY)
    server = ['/usr/lib/xorg/Xorg', '-config', config, '-noreset', '-nolisten', 'tcp', '-novtswitch', '-sharevts',
              '-logfile', os.path.join(folder, 'xorg.log')]
    with Rig(folder, x=server) as rig:
        for wish, desktop, shown in (
                ('800x600+0+0 1024x768+800+0', '1824x768', {0: '800x600+0+0', 1: '1024x768+800+0'}),
                ('800x600+0+0 0x0+0+0 1024x768+0+600', '1024x1368', {0: '800x600+0+0', 2: '1024x768+0+600'}),
                ('640x480+100+50 0x0+0+0 0x0+0+0', '640x480', {0: '640x480+0+0'}),
                ('1111x777+1000+0 1000x900+0+100 0x0+0+0', '2111x1000', {0: '1111x777+1000+0', 1: '1000x900+0+100'})):
            rig.user.tell('monitors', wish)
            try:
                wait_for(wish, lambda: screen_of(rig) == (desktop, shown), 10)
            except Failed as e:
                raise Failed('%s; but %s' % (e, screen_of(rig)))


def test_pointer(folder):
    """without a device for it, the session moves the pointer itself, and presses its buttons"""
    with Rig(folder, agentd=('--uinput', '/nonexistent')) as rig:
        window = rig.run('xev', '-root', '-event', 'button', log='xev.log')

        def place():
            return rig.call('xdotool', 'getmouselocation').split()[:2]

        for x, y in (0, 0), (123, 456), (1599, 1199):
            def there():
                rig.user.tell('point', str(x), str(y), '0')
                return place() == [b'x:%d' % x, b'y:%d' % y]
            wait_for('the pointer at %d, %d' % (x, y), there)
        require(window.poll() is None, 'nobody looks at buttons')
        for buttons in 1, 0, 4, 0:
            rig.user.tell('point', '50', '60', str(buttons))
        wait_for('buttons', lambda: re.findall(r'(Press|Release) event.*?button (\d)', rig.log('xev.log'), re.S) ==
                 [('Press', '1'), ('Release', '1'), ('Press', '3'), ('Release', '3')], 20)


SEAT = '''mount -t tmpfs tmpfs /run && cd /run && mkdir -p systemd/seats systemd/sessions &&
printf 'IS_SEAT0=1\\nACTIVE=1\\nACTIVE_UID=%d\\n' >systemd/seats/seat0 && cd "$0" && exec "$@"'''


def test_seat(folder):
    """with logind's files, in a name space of their own: only the agent of who sits at the seat is heard"""
    with Rig(folder, before=('unshare', '-m', 'sh', '-c', SEAT % os.getuid(), os.getcwd())) as rig:
        def sits(session, uid):
            seat = '/proc/%d/root/run/systemd/seats/' % rig.agentd.pid
            with open(seat + 'new', 'w') as f:
                f.write('IS_SEAT0=1\nACTIVE=%s\nACTIVE_UID=%d\n' % (session, uid))
            os.rename(seat + 'new', seat + 'seat0')

        rig.copy(CLIPBOARD, b'mine')
        rig.user.wait('GRAB 0')
        sits('2', 4711)
        rig.user.wait('AGENT 0')
        sits('1', os.getuid())
        rig.user.wait('AGENT 1')
        rig.user.wait('GRAB 0')
        require(rig.agentd.poll() is None, 'the daemon has ended')


def test_remote_viewer(folder):
    """remote-viewer: text both ways, and the guest's desktop takes the size of its window"""
    with Rig(folder, user=False) as rig, Viewer(folder, 'spice://127.0.0.1:' + rig.spice, screen='1280x1024') as viewer:
        there = dict(viewer.env)

        def paste_there():
            return subprocess.run(['xclip', '-o', '-selection', 'clipboard', '-t', 'UTF8_STRING'], env=there,
                                  timeout=PATIENCE,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout

        def copy_there(text):
            subprocess.run(['xclip', '-i', '-selection', 'clipboard'], env=there, input=text, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, timeout=PATIENCE, check=True)

        def follows(width, height):
            viewer.resize_window(width, height)  # again: it looks at that only once it shows something
            shown = [int(n) for n in screen_of(rig)[0].split('x')]
            return width - 40 < shown[0] <= width and height - 100 < shown[1] < height  # there are borders, and a menu

        for width, height in (900, 700), (1111, 888):
            wait_for('a window of %dx%d' % (width, height), lambda: follows(width, height), 40, step=1)
        for size in 1, 5000, 1 << 20:
            text = text_of(size)
            rig.copy(CLIPBOARD, text)
            wait_for('%d bytes from the guest' % size, lambda: paste_there() == text)
            text = b'<' + text_of(size)
            copy_there(text)
            wait_for('%d bytes to the guest' % size, lambda: rig.paste(CLIPBOARD, '-t', 'UTF8_STRING') == text)


def test_strangers(folder):
    """whoever else connects to the daemon's socket: refused, or not heard, and the session's agent goes on"""
    hello = struct.pack('<4I', 0x100, 8, 0x4741564d, 1)
    with Rig(folder) as rig:
        def stranger(data):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(PATIENCE)
            s.connect(rig.link)
            try:
                s.sendall(data)
            except ConnectionError:
                pass  # it has been refused already
            return s

        def received(s):
            try:
                return s.recv(65536)
            except ConnectionError:
                return b''

        def ends(s):
            while received(s):
                pass

        for data in (b'GET / HTTP/1.0', struct.pack('<4I', 0x100, 8, 0x4741564d, 2), struct.pack('<2I', 7, 0), hello,
                     struct.pack('<2I', 4, 1 << 31)):
            ends(stranger(data))  # the fourth: a second agent of the session
        crowd = [stranger(b'') for _ in range(40)]
        refused = [s for s in crowd if select.select([s], [], [], 0.2)[0] and not received(s)]
        require(len(refused) >= 32, 'nobody of a crowd is refused')
        rig.copy(CLIPBOARD, b'all the same')
        rig.user.wait('GRAB 0')
        require(rig.agentd.poll() is None and rig.agent.poll() is None, 'one of them has ended')


def test_stopped_session(folder):
    """a session's agent that is stopped in the middle of a file is dropped, and the next one works"""
    with Rig(folder) as rig:
        large = rig.path('large', b'')
        os.truncate(large, 1 << 30)
        rig.user.tell('send', large)
        rig.user.wait('PROGRESS')
        rig.agent.send_signal(signal.SIGSTOP)
        rig.user.wait('AGENT 0')
        rig.agent.kill()
        rig.start_agent()
        rig.user.wait('AGENT 1')
        require(send(rig, rig.path('small', b'abc')) == 'ok', 'a file is not taken afterwards')


TESTS = [test_guest_to_user, test_user_to_guest, test_files, test_file_ends, test_restarts, test_monitors,
         test_several_monitors, test_pointer, test_seat, test_remote_viewer, test_strangers, test_stopped_session]
run_tests([test for test in TESTS if len(sys.argv) < 2 or test.__name__ in sys.argv[1:]],
          ['Xvfb', 'xclip', 'xdotool', 'xdpyinfo', 'xrandr', 'remote-viewer', 'xev', 'unshare', '/usr/lib/xorg/Xorg'])
