#!/usr/bin/env python3
"""The sound cards with the stock kernel's driver and ALSA's tools, heard and fed by the client. TAP on stdout.

A software host has no real speed: what is late there is a hole that is not the card's. So the test asks for the right
tones at the right pitch and level, on the right side, and counts the holes.
"""
import os, re, sys, tempfile, time, wave

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(TESTS, folder) for folder in ('lib', 'display')]
import tones
from machine import ANSWER, BOOT, KERNEL, Machine, Tap, with_tree
from qmp import Qmp
from test_client_sound import Client
from viewer import require, wait_for

SOUND = 'build/guest/sound.cpio.gz'
APPEND = 'console=ttyS0 quiet load='
RATES = (8000, 16000, 44100, 48000, 96000)
# Card, drivers (nothing loads modules on demand), name, rates, what is mute as the driver leaves it.
CARDS = (('ich6', 'snd-hda-codec-generic,snd-hda-intel', 'HDA Intel', RATES, ('Master 100% unmute', 'Capture 100% cap')),
         ('ac97', 'snd-intel8x0', 'Intel 82801AA-ICH', RATES[:4],
          ('Master 100% unmute', 'PCM -- 0dB unmute', 'Capture 0 cap')))
HOLES = 0.1  # of the time, at most; said in the output


def write_wave(path, rate, seconds, channels=2):
    with wave.open(path, 'wb') as w:
        w.setnchannels(channels)
        w.setsampwidth(2)
        w.setframerate(rate)
        data = tones.make(rate, seconds)
        w.writeframes(data if channels == 2 else b''.join(data[i:i + 2] for i in range(0, len(data), 4)))


def with_waves(folder):
    """An initrd with the files that the guest is to play."""
    tree = os.path.join(folder, 'waves')
    os.mkdir(tree)
    for rate in RATES:
        write_wave(os.path.join(tree, '%d.wav' % rate), rate, 3)
    write_wave(os.path.join(tree, 'mono.wav'), 48000, 3, 1)
    write_wave(os.path.join(tree, 'long.wav'), 48000, 20)
    return with_tree(SOUND, tree)


def say(text):
    print('# ' + text, flush=True)


def tenths(sound):
    """When each tenth of a second of what was heard begins, but for the edges."""
    begin, end = sound.begin(), sound.end()
    return [begin + 0.2 + n * 0.1 for n in range(int((end - begin - 0.5) * 10))]


def check_heard(sound, seconds, what, mono=False):
    begin, end = sound.begin(), sound.end()
    require(begin is not None and end - begin > 0.8 * seconds, '%s: heard from %s to %s s' % (what, begin, end))
    right = tones.LEFT if mono else tones.RIGHT
    times = tenths(sound)
    levels = [(sound.level(0, tones.LEFT, at), sound.level(1, right, at)) for at in times]
    good = [at for at, (a, b) in zip(times, levels) if min(a, b) > 0.9 * tones.LEVEL and max(a, b) < 1.1 * tones.LEVEL]
    say('%s: %d of %d tenths of a second whole' % (what, len(good), len(times)))
    require(len(good) >= (1 - HOLES) * len(times), '%s: levels %s' % (what, [tuple(map(int, pair)) for pair in levels]))
    if not mono:
        require(sound.level(0, tones.RIGHT, good[0]) < tones.LEVEL / 20, '%s: the left has the other tone' % what)


def play(m, folder, port, command, seconds, what, mono=False):
    client = Client(folder, port, audio='playback')
    m.output(command)
    time.sleep(1)
    check_heard(client.stop(), seconds, what, mono)


def check_rates(m, folder, port, rates):
    for rate in rates:
        play(m, folder, port, 'aplay -q -D hw:0 /%d.wav' % rate, 3, '%d Hz' % rate)
    play(m, folder, port, 'aplay -q -D plughw:0 /mono.wav', 3, 'mono', mono=True)


def check_mixer(m, folder, port):
    """20 dB less is a tenth of the level; mute is silence."""
    client = Client(folder, port, audio='playback')
    marks = []
    m.send('aplay -q -D hw:0 /long.wav &\n')
    time.sleep(4)
    for setting in ('100%', '-- -20dB', 'mute', 'unmute'):
        m.output('amixer -q sset Master %s' % setting)
        time.sleep(2)
        marks.append(client.size() / 4 / 48000 - 1)
    m.output('killall aplay; wait')
    sound = client.stop()
    levels = [sound.level(0, tones.LEFT, at) / tones.LEVEL for at in marks]
    say('levels at full, -20 dB, mute, -20 dB: ' + ' '.join('%.3f' % level for level in levels))
    require(abs(levels[0] - 1) < 0.1 and abs(levels[1] - 0.1) < 0.02 and levels[2] < 0.001 and abs(levels[3] - 0.1) < 0.02,
            'levels %s' % levels)
    m.output('amixer -q sset Master 100%')


def check_record(m, folder, port):
    spoken = os.path.join(folder, 'spoken')
    with open(spoken, 'wb') as f:
        f.write(tones.make(48000, 60))
    client = Client(folder, port, '--microphone', 'on', spoken=spoken, audio='record')
    m.output('arecord -q -D hw:0 -f S16_LE -r 48000 -c 2 -d 6 /tmp/rec.wav')
    client.stop()
    # Half a second of it, as text: the guest has no other way out.
    text = m.output('tail -c +700001 /tmp/rec.wav | head -c 96000 | od -An -v -tx1 | tr -d " \\n"; echo')
    sound = tones.Sound(bytes.fromhex(re.sub(r'\s', '', text)))
    levels = [(sound.level(0, tones.LEFT, at / 10), sound.level(1, tones.RIGHT, at / 10)) for at in range(5)]
    say('recorded levels, by tenths of a second: ' + ', '.join('%.0f %.0f' % pair for pair in levels))
    good = [at for at, pair in enumerate(levels) if min(pair) > 0.9 * tones.LEVEL]
    # The clock of SDL's disk driver is not a microphone's: what it lacks is made up.
    require(len(good) >= 2, 'levels %s' % levels)
    require(sound.level(0, tones.RIGHT, good[0] / 10) < tones.LEVEL / 20, 'the left has the other tone')


def check_cycles(m, folder, port):
    client = Client(folder, port, audio='playback')
    m.output('for i in $(seq 50); do head -c 30000 /48000.wav >/tmp/s.wav; aplay -q -D hw:0 -d 1 /tmp/s.wav || exit 1; done', 300)
    client.stop()
    require('1' in m.output('aplay -q -D hw:0 -d 1 /48000.wav && echo 1'), 'it does not play after that')


def check_pause(m, folder, port, control):
    client = Client(folder, port, audio='playback')
    m.send('aplay -q -D hw:0 /long.wav; echo PLA""YED-$?\n')
    time.sleep(5)
    qmp = Qmp(control, ANSWER)
    qmp('stop')
    time.sleep(3)
    qmp('cont')
    m.expect('PLAYED-0', ANSWER)
    time.sleep(1)
    sound = client.stop()
    times = tenths(sound)
    whole = sum(sound.level(0, tones.LEFT, at) > 0.9 * tones.LEVEL for at in times)
    say('%d of %d tenths of a second whole, a pause of 3 s among them' % (whole, len(times)))
    require(whole > 0.9 * 190, 'of 20 s are whole %.1f' % (whole / 10))


def check_card(tap, folder, initrd, card, drivers, name, rates, settings):
    control = os.path.join(folder, 'control.' + card)
    with Machine(folder, '--kernel', KERNEL, '--initrd', initrd, '--memory', '512M', '--cpus', '2', '--append', APPEND + drivers,
                 '--net', 'none', '--spice', '0', '--sound', card, '--control', control) as m:
        port = m.ready_port()
        with tap('%s: the stock driver finds the card' % card):
            m.expect('tiny# ', BOOT)
            m.output('export PATH=/usr/bin:/bin')
            # The driver looks at its codecs in the background.
            wait_for('the card', lambda: name in m.output('aplay -l 2>&1; true'), ANSWER, 1)
            require(name in m.output('arecord -l'), 'it cannot record')
            for setting in settings:
                m.output('amixer -q sset ' + setting)
        if tap.failed:
            return
        for what, check, args in (('aplay at %d to %d Hz and in mono: both tones, each on its side' % (rates[0], rates[-1]),
                                   check_rates, (rates,)),
                                  ('the mixer changes what is heard', check_mixer, ()),
                                  ('arecord has what the client speaks', check_record, ()),
                                  ('50 times opened and closed', check_cycles, ()),
                                  ('a pause of the machine loses nothing', check_pause, (control,))):
            with tap('%s: %s' % (card, what)):
                check(m, folder, port, *args)


def main():
    chosen = [card for card in CARDS if card[0] in sys.argv[1:] or not sys.argv[1:]]
    tap = Tap(6 * len(chosen))
    with tempfile.TemporaryDirectory() as folder:
        initrd = with_waves(folder)
        for card in chosen:
            check_card(tap, folder, initrd, *card)
    tap.end()


if __name__ == '__main__':
    main()
