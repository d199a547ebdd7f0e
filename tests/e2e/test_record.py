#!/usr/bin/env python3
"""A stock desktop recorded (--spice-option record=FILE), and played again: to the picture that the machine had. TAP on stdout."""
import os, shutil

from machine import ANSWER, BOOT, DEMO, DESKTOP, Machine, client_picture, difference, is_photograph, machine_picture, run_in_folder
from qmp import Qmp
from test_drivers import LOAD, in_session
from test_traces import PROGRAMS, first_line, run_case, start
from viewer import require, spicy_screenshot, wait_for

PATIENCE = 300


def rest(m, folder, control):
    """-> the picture when nothing is drawn any more: a software host may take long to write what was typed"""
    def same():
        before = machine_picture(folder, control)
        m.output('sleep 5')
        now = machine_picture(folder, control)
        return now if not difference(before, now) else None

    return wait_for('a picture that stays', same, ANSWER)


def record(folder, disk, control, recording):
    """-> the machine's last picture"""
    with Machine(folder, disk, *DESKTOP, '--control', control, '--spice-option', 'record=' + recording) as m:
        port = m.ready_port()
        m.wait_for_desktop(BOOT)
        m.output(in_session('x11perf -repeat 1 -reps 1 ' + ' '.join('-' + l for l in LOAD.split())) + ' >/tmp/load.log 2>&1', BOOT)
        client_picture(folder, port, '--type', r'seq 2000\n')
        seen = rest(m, folder, control)
        Qmp(control)('quit')
        require(m.end(ANSWER) == 0, 'status %d: %s' % (m.p.returncode, m.messages))
    require(is_photograph(seen), 'this is no desktop')
    return seen


def play(folder, recording):
    """-> the picture that stays"""
    scene = ['--trace', recording, '--seconds', str(PATIENCE)]
    server = start('ours', '--stay', *scene)
    try:
        port = first_line(server)[1]
        leader = start('client', '--port', port, *scene)
        try:
            require(leader.wait(PATIENCE) == 0, 'spice-gtk has another picture')
            return wait_for('picture', lambda: spicy_screenshot(folder, '-h', '127.0.0.1', '-p', port))
        finally:
            leader.kill()
            leader.wait()
    finally:
        server.kill()
        server.wait()


def test_record(tap, folder):
    disk, control, recording = (os.path.join(folder, name) for name in ('demo.qcow2', 'control', 'recording.qxt'))
    shutil.copyfile(DEMO, disk)
    with tap('a desktop is recorded while it is used'):
        seen = record(folder, disk, control, recording)
    if tap.failed:
        return
    with tap('each step of the recording is right in spice-gtk and in our client, quick, slow, early and late'):
        run_case(recording, [], [])
    with tap('it ends with the picture that the machine had'):
        found = difference(play(folder, recording), seen)
        require(not found, found)


if __name__ == '__main__':
    run_in_folder(3, test_record)
