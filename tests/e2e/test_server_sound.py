#!/usr/bin/env python3
"""Sound of our server with a card that needs no guest (fake_server --sound), with our client: what SDL's disk
driver writes, and what of it comes back.

    test_server_sound.py [--seconds N] [NAME...]    the long test, for so long; or those named only
"""
import os, sys, time

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(TESTS, folder) for folder in ('e2e', 'lib', 'display')]
import tones
from test_client_sound import Client, Server, check_tones
from viewer import require, run_tests

SERVER = 'build/tests/e2e/fake_server'


def card(rate):
    return Server(SERVER, '--sound', str(rate))


def hear(folder, rate, seconds):
    with card(rate) as server:
        client = Client(folder, server.port, audio='playback')
        time.sleep(seconds)
        sound = client.stop()
    begin, end = sound.begin() + 0.5, sound.end() - 0.1
    require(end - begin > 0.9 * seconds - 1.5, 'heard %s s' % sound.seconds)
    require(client.stats['bad_packets'] == 0 and client.stats['underruns'] <= seconds // 100, str(client.stats))
    require(client.stats['bytes_in'] < seconds * 25000, 'it is not compressed: %s' % client.stats)
    check_tones(sound, begin, end)


def check_rates(folder):
    """a card of 48 kHz, and one of 44.1, which is resampled for Opus: both tones, each on its side, without a hole"""
    for rate in (48000, 44100):
        hear(folder, rate, 4)


def check_record(folder):
    """what a client speaks is recorded, by cards of 48 and 44.1 kHz: both tones, each on its side"""
    spoken = os.path.join(folder, 'spoken')
    with open(spoken, 'wb') as f:
        f.write(tones.make(48000, 12))
    for rate in (48000, 44100):
        with card(rate) as server:
            client = Client(folder, server.port, '--microphone', 'on', spoken=spoken, audio='record')
            time.sleep(4)
            lines = [server.process.stdout.readline().split() for i in range(3)]
            client.stop()
        for level in lines[1][1:] + lines[2][1:]:
            require(0.8 < int(level) / tones.LEVEL < 1.05, 'levels %s' % lines)


def check_long(folder):
    """the same for long"""
    hear(folder, 48000, SECONDS)


SECONDS = 0
if __name__ == '__main__':
    names = sys.argv[1:]
    chosen = [check_rates, check_record]
    if names[:1] == ['--seconds']:
        SECONDS, chosen = int(names[1]), [check_long]
    elif names:
        chosen = [globals()['check_' + name] for name in names]
    run_tests(chosen, [])
