#!/usr/bin/env python3
"""Recordings of stock guests, seen through our server by spice-gtk and by our client: every pixel must be right.

spice-gtk's viewer leads and checks each slice of 40 ms. Beside it look on: our client, our client slowed down, and another
that comes while the guest draws, after one that went away in the middle of it. Prints TAP.
"""
import os, subprocess, sys, time

PROGRAMS = 'build/tests/display/'
TRACES = 'tests/data/traces/'
PATIENCE = 300

# What is played; settings of the server; settings of the leading viewer.
CASES = [
    ('term', [], []),
    ('office', [], []),
    ('office, QUIC, little cache', ['--compression', 'quic'], ['--cache', str(1 << 16)]),
    ('office, LZ, large cache', ['--compression', 'lz'], ['--cache', str(128 << 20)]),
]


class Failed(Exception):
    pass


def start(program, *args):
    return subprocess.Popen([PROGRAMS + program, *args], stdout=subprocess.PIPE, text=True)


def first_line(process):
    line = process.stdout.readline().split()
    if not line:
        raise Failed('%s ended at once' % process.args[0])
    return line


def check(name, process):
    if process.wait(timeout=PATIENCE):
        raise Failed('%s: status %d, %s' % (name, process.returncode, process.stdout.read()))


def run_case(trace, settings, viewer_settings):
    scene = ['--trace', trace, '--seconds', str(PATIENCE)]
    processes = []

    def launch(program, *args):
        processes.append(start(program, *args))
        return processes[-1]

    try:
        server = launch('ours', '--stay', *settings, *scene)
        port = ['--port', first_line(server)[1]]
        others = {'our client': launch('viewer', *port, *scene),
                  'our client, slow': launch('viewer', *port, '--slow', '30', *scene)}
        early = launch('viewer', *port, *scene)
        for viewer in [early, *others.values()]:
            first_line(viewer)
        leader = launch('client', *port, *viewer_settings, *scene)
        time.sleep(3)  # into the play; when exactly does not matter
        early.kill()
        others['our client, late'] = launch('viewer', *port, *scene)
        check('spice-gtk', leader)
        for name, process in others.items():
            check(name, process)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def main():
    failed = 0
    print('1..%d' % len(CASES))
    for i, (scene, settings, viewer_settings) in enumerate(CASES, 1):
        try:
            run_case(TRACES + scene.split(',')[0] + '.qxt.zst', settings, viewer_settings)
            print('ok %d - %s' % (i, scene), flush=True)
        except (Failed, subprocess.TimeoutExpired) as e:
            failed += 1
            print('not ok %d - %s\n# %s' % (i, scene, e), flush=True)
    sys.exit(failed > 0)


if __name__ == '__main__':
    main()
