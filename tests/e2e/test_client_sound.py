#!/usr/bin/env python3
"""Sound in the client, against libspice-server with a sound card (tests/sound/host): what SDL's disk driver writes and reads.

That driver's clock is up to some per cent slow, so that the client has to leave something out; a real card's is not.

    test_client_sound.py [--seconds N] [NAME...]    the long test, for so long; or those named only
"""
import json, os, random, re, signal, subprocess, sys, time

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(TESTS, folder) for folder in ('e2e', 'lib', 'display')]
import tones
from relay import Relay
from viewer import Viewer, free_port, require, run_tests, wait_for

CLIENT, HOST = 'build/minivm-client', 'build/tests/sound/host'


class Server:
    """A program that says its port, and ends with its input."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = int(self.process.stdout.readline().split()[1])

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.process.stdin.close()
        self.process.stdout.read()
        self.process.wait(10)


class Host(Server):
    """libspice-server with a sound card."""

    def __init__(self, *args):
        super().__init__(HOST, '--port', str(free_port()), *args)

    def do(self, *command):
        self.process.stdin.write(' '.join(map(str, command)) + '\n')
        self.process.stdin.flush()
        return self.process.stdout.readline()


class Wavering(Relay):
    """Holds back each piece by a random time of up to so many seconds, in order."""

    def __init__(self, target, most):
        self.most = most
        super().__init__(target, 0)

    def take(self, source, other):
        self.delay = random.random() * self.most
        if self.waiting:
            self.delay = max(self.delay, self.waiting[-1][0] - time.monotonic())
        super().take(source, other)


class Client:
    """Without a window; what is heard is in a file."""

    def __init__(self, folder, port, *args, spoken=None, audio='both', **env):
        self.out = os.path.join(folder, 'heard')
        self.err = os.path.join(folder, 'client.err')
        env = dict(os.environ, **{'SDL_AUDIODRIVER': 'disk', 'SDL_DISKAUDIOFILE': self.out,
                                  'SDL_DISKAUDIOFILEIN': spoken or '/dev/null', **env})
        with open(self.err, 'w') as err:
            self.process = subprocess.Popen(
                [CLIENT, '--headless', '--verbose', '--stats', '--audio', audio, *args, 'spice://127.0.0.1:%d' % port],
                stdout=subprocess.PIPE, stderr=err, text=True, env=env)
        wait_for('playback channel', lambda: 'channel %s 0 is up' % ('record' if audio == 'record' else 'playback')
                 in open(self.err).read(), 20, 0.05)

    def size(self):
        return os.path.getsize(self.out) if os.path.exists(self.out) else 0

    def stop(self):
        """-> what was heard; self.stats: how many underruns and so on there were"""
        self.process.terminate()
        text, _ = self.process.communicate(timeout=20)
        require(self.process.returncode == 0, 'client: %s' % open(self.err).read())
        channels = {c['type']: c for c in json.loads(text)['channels']}
        self.stats, self.record = channels.get('playback'), channels.get('record')
        return self.heard()

    def heard(self):
        """The device has the rate that it was last opened with."""
        rates = re.findall(r'sound: (\d+) Hz', open(self.err).read())
        return tones.Sound(open(self.out, 'rb').read() if self.size() else b'', int(rates[-1]) if rates else 48000)


def check_tones(sound, start, end, drops=0):
    """Both tones, each on its side, at their level."""
    holes, steps = sound.holes(start, end), sound.steps(start, end)
    require(len(holes) <= drops, 'of %.1f to %.1f s there is something missing at %s' % (start, end, holes[:9]))
    require(len(steps) <= drops, 'it clicks at %s' % steps[:9])
    for channel, here, other in ((0, tones.LEFT, tones.RIGHT), (1, tones.RIGHT, tones.LEFT)):
        middle = (start + end - 0.1) / 2
        require(sound.level(channel, other, middle) < tones.LEVEL / 50, 'channel %d has the other tone' % channel)
        pitch = sound.pitch(channel, start, end)
        require(abs(pitch / here - 1) < 0.003, 'channel %d has %.2f Hz' % (channel, pitch))
        level = sound.level(channel, here, middle)
        require(abs(level / tones.LEVEL - 1) < 0.06, 'channel %d has level %.0f' % (channel, level))


def play(folder, *args, seconds=3, most=None):
    with Host(*args) as host:
        port = Wavering(host.port, most).port if most else host.port
        client = Client(folder, port)
        rate = int(host.do('play').split()[2].rstrip(','))
        time.sleep(seconds)
        sound = client.stop()
    begin = sound.begin()
    require(begin is not None and sound.end() - begin > 0.9 * seconds - 1, 'heard %s s' % sound.seconds)
    return client, sound, begin, rate


def check_opus(folder):
    """Opus: both tones, without a hole; soon heard"""
    client, sound, begin, rate = play(folder)
    require(rate == 48000, 'the server plays at %d Hz' % rate)
    check_tones(sound, begin + 0.1, sound.end() - 0.1)
    require(client.stats['underruns'] == 0 and client.stats['bad_packets'] == 0, str(client.stats))
    require(client.stats['delay_ms'] < 150, str(client.stats))


def check_raw(folder):
    """samples as they are: at 44.1 kHz, which the device then has, and at 32, which become 48"""
    for rate, device in ((44100, 44100), (32000, 48000)):
        client, sound, begin, _ = play(folder, '--raw', '--rate', str(rate))
        require(sound.rate == device, 'the device has %d Hz' % sound.rate)
        check_tones(sound, begin + 0.1, sound.end() - 0.1)
        require(client.stats['underruns'] == 0, str(client.stats))
        require(client.stats['bytes_in'] > rate * 4 * 2, str(client.stats))


def check_jitter(folder):
    """packets that are up to 50 ms late, at random: without a hole"""
    client, sound, begin, _ = play(folder, seconds=5, most=0.05)
    check_tones(sound, begin + 2, sound.end() - 0.1)
    require(client.stats['underruns'] <= 1, str(client.stats))


def check_volume(folder):
    """the guest's volume is cubic, mute is silence, and neither clicks"""
    with Host() as host:
        client = Client(folder, host.port)
        host.do('play')
        wait_for('sound', client.size, 10)
        time.sleep(0.6)
        changes = []
        for command in (('volume', 32768, 65535), ('mute', 1), ('mute', 0)):
            changes.append(client.size() / 4 / 48000)
            host.do(*command)
            time.sleep(0.8)
        sound = client.stop()
    half, mute, back = changes
    levels = [(sound.level(0, tones.LEFT, at + 0.5), sound.level(1, tones.RIGHT, at + 0.5)) for at in changes]
    for (left, right), (wanted_left, wanted_right) in zip(levels, ((1 / 8, 1), (0, 0), (1 / 8, 1))):
        require(abs(left / tones.LEVEL - wanted_left) < 0.02 and abs(right / tones.LEVEL - wanted_right) < 0.06,
                'levels %s' % levels)
    require(sound.loudest(mute + 0.4, back - 0.05) == 0, 'mute is heard')
    require(not sound.steps(sound.begin() + 0.1, sound.end() - 0.1), 'it clicks')


def check_restarts(folder):
    """twenty stops and starts: heard each time, all the same; then the device is closed, and opened again"""
    with Host() as host:
        client = Client(folder, host.port)
        host.do('play')
        time.sleep(0.3)
        host.do('restart', 20)
        time.sleep(4.3)
        host.do('stop')
        time.sleep(2.8)
        sound = client.heard()
        time.sleep(0.5)
        require(client.heard().seconds == sound.seconds, 'the device is open though nothing plays')
        host.do('play')  # the disk driver begins its file anew
        time.sleep(0.6)
        again = client.stop()
    require(client.stats['underruns'] == 0, str(client.stats))
    require(again.seconds < sound.seconds and again.begin() is not None, 'it was not opened again')
    loud = [sound.loudest(at / 100, at / 100 + 0.01) > tones.LEVEL / 2 for at in range(int(sound.seconds * 100) - 1)]
    began = sum(1 for before, now in zip(loud, loud[1:]) if now and not before)
    require(began >= 20 and sum(loud) > 180, 'heard %d times, %d ms' % (began, sum(loud) * 10))


def check_stall(folder):
    """a stall of half a second is one hole, and adds no delay for ever"""
    with Host() as host:
        client = Client(folder, host.port)
        host.do('play')
        time.sleep(1)
        os.kill(host.process.pid, signal.SIGSTOP)
        time.sleep(0.5)
        os.kill(host.process.pid, signal.SIGCONT)
        time.sleep(2.5)
        sound = client.stop()
    require(1 <= client.stats['underruns'] <= 2, str(client.stats))
    require(client.stats['delay_ms'] < 200, str(client.stats))
    check_tones(sound, sound.end() - 1, sound.end() - 0.05)
    require(not sound.steps(sound.begin() + 0.1, sound.end() - 0.1), 'it clicks')


def processor_seconds(pid):
    fields = open('/proc/%d/stat' % pid).read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def check_no_device(folder):
    """no sound system, or one without a device: no error, and next to no work"""
    for env in ({'SDL_AUDIODRIVER': 'nonsense'}, {'SDL_DISKAUDIOFILE': '/nonsense/file'}):
        with Host() as host:
            client = Client(folder, host.port, **env)
            host.do('play')
            time.sleep(0.7)
            before = processor_seconds(client.process.pid)
            time.sleep(1)
            used = processor_seconds(client.process.pid) - before
            client.stop()
        require(client.stats['packets'] > 100 and used < 0.2, 'took %.2f s of 1 s; %s' % (used, client.stats))
        said = open(client.err).read()
        require(len(re.findall('no sound|nothing can be heard', said)) == 1, said)


def record(folder, rate, *args):
    """-> what the server got of two tones that are spoken"""
    spoken, got = os.path.join(folder, 'spoken'), os.path.join(folder, 'got')
    with open(spoken, 'wb') as f:
        f.write(tones.make(rate, 8))
    with Host('--record', got, *args) as host:
        client = Client(folder, host.port, '--microphone', 'on', spoken=spoken, audio='record')
        host.do('record', 1)
        time.sleep(2)
        host.do('record-volume', 65535, 32768)
        time.sleep(1)
        client.stop()
    return client, tones.Sound(open(got, 'rb').read(), rate)


RING = 8192  # frames of libspice-server's, for what is recorded


def whole(sound, end):
    """What of a packet comes to lie at the ring's beginning libspice-server takes from a wrong place: spans without."""
    at = RING
    while at < end * sound.rate - RING:
        yield (at + 480) / sound.rate + 0.001, (at + RING) / sound.rate - 0.001
        at += RING


def check_record(folder):
    """the microphone is heard by a guest that records, at 48 and 44.1 kHz, with its volume"""
    for rate, args in ((48000, ()), (44100, ('--raw', '--rate', '44100'))):
        client, sound = record(folder, rate, *args)
        begin = sound.begin()
        require(begin is not None and sound.seconds - begin > 2.5, 'the server got %.1f s' % sound.seconds)
        for span in whole(sound, 1.9):
            check_tones(sound, *span)
        at = list(whole(sound, sound.end()))[-1][0]
        levels = sound.level(0, tones.LEFT, at) / tones.LEVEL, sound.level(1, tones.RIGHT, at) / tones.LEVEL
        require(abs(levels[0] - 1) < 0.06 and abs(levels[1] - 1 / 8) < 0.02, 'levels %s' % (levels,))
        require(client.record['packets'] > 250, str(client.record))


def check_shut(folder):
    """without the user's word the microphone is not opened, and nothing is sent"""
    got = os.path.join(folder, 'got')
    with Host('--record', got) as host:
        client = Client(folder, host.port)
        host.do('record', 1)
        time.sleep(1)
        client.stop()
        require(client.record['packets'] == 0, str(client.record))
        require('microphone:' not in open(client.err).read(), 'it was opened')
    require(os.path.getsize(got) == 0, 'something was recorded')


RED, BUTTON = bytes((210, 40, 40)), bytes((74, 82, 96))  # of the mark, and of buttons, in client/voice.c and button.c


def find_colour(viewer, colour, run=12):
    """-> where on the screen there are so many pixels of a colour in a row, or None"""
    width, _, screen = viewer.screen()
    at = screen.find(colour * run)
    while at >= 0 and at % 3:
        at = screen.find(colour * run, at + 1)
    return None if at < 0 else (at // 3 % width, at // 3 // width)


def check_window(folder):
    """the window asks, shows that the microphone is open, and shuts it by a click and by the hotkey"""
    got, spoken = os.path.join(folder, 'got'), os.path.join(folder, 'spoken')
    with open(spoken, 'wb') as f:
        f.write(tones.make(48000, 12))
    os.environ.update({'SDL_AUDIODRIVER': 'disk', 'SDL_DISKAUDIOFILE': '/dev/null', 'SDL_DISKAUDIOFILEIN': spoken})
    with Host('--record', got) as host:
        with Viewer(folder, 'spice://127.0.0.1:%d' % host.port, program=CLIENT, manager='openbox', screen='800x600') as v:
            window = wait_for('window', v.windows)[0]
            wait_for('picture', lambda: find_colour(v, bytes(3), 50) is not None)
            host.do('record', 1)
            x, y = wait_for('question', lambda: find_colour(v, BUTTON), 10)
            time.sleep(0.3)
            require(os.path.getsize(got) == 0, 'it was recorded before the answer')
            v.xdotool('mousemove', str(x + 4), str(y + 1), 'click', '1')
            x, y = wait_for('red mark', lambda: find_colour(v, RED), 10)
            wait_for('sound', lambda: os.path.getsize(got) > 48000, 10)
            require(b'hears the microphone' in v.property('-id', window, 'WM_NAME'), 'the title does not say it')
            v.xdotool('mousemove', str(x + 4), str(y + 1), 'click', '1')
            wait_for('no mark', lambda: not find_colour(v, RED), 10)
            time.sleep(0.3)
            size = os.path.getsize(got)
            time.sleep(0.5)
            require(os.path.getsize(got) == size, 'it goes on though it was shut')
            v.xdotool('windowactivate', '--sync', window)
            v.xdotool('key', 'ctrl+alt+m')
            wait_for('red mark', lambda: find_colour(v, RED), 10)
            wait_for('sound', lambda: os.path.getsize(got) > size + 48000, 10)
            v.xdotool('key', 'ctrl+alt+m')
            wait_for('no mark', lambda: not find_colour(v, RED), 10)


def check_long(folder):
    """for as long as was asked, with some jitter: not one drop-out, and memory stays what it is"""
    with Host() as host:
        client = Client(folder, Wavering(host.port, 0.02).port)
        host.do('play')
        time.sleep(10)
        before = resident(client.process.pid)
        time.sleep(SECONDS)
        grown = resident(client.process.pid) - before
        sound = client.stop()
    require(client.stats['underruns'] == 0, str(client.stats))
    require(grown < 2 << 20, 'it grew by %d KiB' % (grown >> 10))
    check_tones(sound, sound.begin() + 0.1, sound.end() - 0.1)


def resident(pid):
    return int(open('/proc/%d/statm' % pid).read().split()[1]) * 4096


SECONDS = 0
if __name__ == '__main__':
    names = sys.argv[1:]
    chosen = [check_opus, check_raw, check_jitter, check_volume, check_restarts, check_stall, check_no_device,
              check_record, check_shut, check_window]
    if names[:1] == ['--seconds']:
        SECONDS, chosen = float(names[1]), [check_long]
    elif names:
        chosen = [globals()['check_' + name] for name in names]
    run_tests(chosen, ['Xvfb', 'xdotool', 'openbox'])
