#!/usr/bin/env python3
"""A stock kernel under load, paused and saved: nothing of it may be seen by what runs in it. TAP on stdout.

usage: tests/e2e/test_save.py [ROUNDS]
"""
import os, re, subprocess, sys, tempfile, time

from machine import ANSWER, BOOT, Machine, Tap, free_port
from test_guest import APPEND, DIRECT, check_forward
from viewer import Failed, require

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../lib'))
from qmp import Error, Qmp

PAUSE, LONG_PAUSE = 10, 25  # seconds; the long one, when there are ROUNDS, passes the kernel's limits for stalls
CLOCK_SLACK = 3
# Writes, reads back and compares for ever; a mistake ends it.
LOAD = ('while :; do dd if=/dev/urandom of=/tmp/blob bs=64k count=16 && dd if=/tmp/blob of=/dev/vda bs=64k conv=fsync && '
        'echo 3 >/proc/sys/vm/drop_caches && cmp -n 1048576 /tmp/blob /dev/vda || break; echo >>/tmp/rounds; done')
COMPLAINTS = re.compile(r'lockup|stall|hung task|I/O error|unstable|BUG:|WARNING:|Call Trace|skew')


def start_load(m):
    m.output('dmesg -c')  # its start is not what is looked at
    m.output('(%s) >/dev/null 2>&1 & while [ ! -e /tmp/rounds ]; do sleep 1; done' % LOAD)


def check_guest(m):
    """The load still runs, the clock is right, the kernel has no complaint."""
    m.send('\n')
    before = int(m.output('wc -l </tmp/rounds'))
    m.output('for i in 1 2 3 4 5 6 7 8 9 10; do sleep 2; [ $(wc -l </tmp/rounds) -gt %d ] && break; done' % before)
    require(int(m.output('wc -l </tmp/rounds')) > before, 'the load has ended: ' + m.output('ps'))
    check_clock(m)
    bad = [l for l in m.output('dmesg -c').splitlines() if COMPLAINTS.search(l)]
    require(not bad, 'the kernel complains: ' + '\n'.join(bad))


def check_clock(m):
    before = time.time()
    guest = int(m.output('date +%s'))
    after = time.time()
    require(before - CLOCK_SLACK <= guest <= after + CLOCK_SLACK,
            "the guest's clock says %d between %d and %d" % (guest, before, after))


def pause(m, control, seconds):
    qmp = Qmp(control, ANSWER)
    qmp('stop')
    require(qmp('query-status')['status'] == 'paused', 'not paused')
    time.sleep(seconds)
    qmp('cont')
    require([e['event'] for e in qmp.events] == ['STOP', 'RESUME'], 'events: %s' % qmp.events)
    qmp.close()


def check_refused(qmp, command):
    """What is written where only the software host sees it would be lost."""
    try:
        qmp(command, filename='/run/lost')
        raise Failed(command + ' into a folder that is not shared was not refused')
    except Error as e:
        require('shares for writing' in str(e), str(e))


def save(m, control, saved, disk):
    qmp = Qmp(control, ANSWER)
    if b'software host' in m.messages:
        check_refused(qmp, 'screendump')
        check_refused(qmp, 'save')
    qmp('save', filename=saved)
    require(m.end(ANSWER) == 0, 'status %d: %s' % (m.p.returncode, m.messages))
    checked = subprocess.run(['qemu-img', 'check', disk], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    require(checked.returncode == 0, 'the disk of the saved machine: ' + checked.stdout)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    seconds = LONG_PAUSE if len(sys.argv) > 1 else PAUSE
    tap = Tap(2 * rounds + 3)
    with tempfile.TemporaryDirectory() as folder:
        disk, saved = os.path.join(folder, 'disk.qcow2'), os.path.join(folder, 'saved')
        control, port = os.path.join(folder, 'control'), free_port()
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', disk, '64M'], check=True)
        command = [*DIRECT, '--append', APPEND + ' clocksource=kvm-clock', '--disk', disk, '--forward',
                   'tcp:127.0.0.1:%d-:7777' % port, '--control', control]
        with Machine(folder, *command) as m:
            with tap('a guest under load is paused for %d s' % seconds):
                m.expect('tiny# ', BOOT)
                start_load(m)
                pause(m, control, seconds)
                check_guest(m)
            with tap('it is saved, and its disk is clean'):
                save(m, control, saved, disk)
        for i in range(rounds):
            with Machine(folder, *command, '--restore', saved) as m:
                with tap('restored (%d of %d), it goes on as if nothing had been' % (i + 1, rounds)):
                    check_guest(m)
                if i + 1 < rounds:
                    with tap('and is saved again'):
                        save(m, control, saved, disk)
                    continue
                with tap('its network works'):
                    check_forward(m, port)
                with tap('it reboots'):
                    m.send('reboot -f\n')
                    m.expect('INIT-REACHED', BOOT)
    tap.end()


main()
