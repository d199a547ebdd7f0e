#!/usr/bin/env python3
"""What a machine may still do to this computer while its guest runs: TAP on stdout. Firmware is all that runs.

usage: test_sandbox.py [MINIVM]
"""
import glob, os, signal, subprocess, sys, time

sys.path.insert(0, 'tests/lib')
import processes
from qmp import Error, Qmp
from viewer import PATIENCE, require, run_tests, spicy_screenshot, wait_for

MINIVM = sys.argv[1] if len(sys.argv) > 1 else 'build/minivm'
THREADS = ['minivm', 'display 0', 'io', 'disk', 'vcpu0', 'vcpu1', 'worker']
NOBODY = 65534
DAC_OVERRIDE = 1  # <linux/capability.h>
# A /dev/kvm that is everybody's, seen by nobody else; then the words that follow, as nobody.
ORDINARY = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c',
            'mount -t tmpfs -o mode=755 none /mnt && mknod -m 666 /mnt/kvm c 10 232 && mount --bind /mnt/kvm /dev/kvm && '
            'exec setpriv --reuid=%d --regid=%d --clear-groups "$@"' % (NOBODY, NOBODY), '-']


class Run:
    """A machine with an empty disk, a network, SPICE and --control."""

    def __init__(self, work, *args, accel='kvm', before=(), owner=None):
        self.control, self.errors = work + '/control', open(work + '/errors', 'w+')
        disk = work + '/disk'
        with open(disk, 'wb') as f:
            f.truncate(1 << 20)
        os.chmod(work, 0o777)
        os.chmod(disk, 0o666)
        if owner:
            os.chmod(disk, 0o600)
            os.chown(disk, owner, owner)
        env = dict(os.environ, XDG_RUNTIME_DIR=work + '/run')
        os.makedirs(work + '/run', 0o700, exist_ok=True)
        if before == ORDINARY:
            os.chown(work + '/run', NOBODY, NOBODY)
        self.p = subprocess.Popen([*before, os.path.abspath(MINIVM), 'run', disk, '--accel', accel, '--memory', '64M', '--cpus', '2',
                                   '--serial', 'none', '--spice', '0', '--control', self.control, *args],
                                  env=env, cwd=work, text=True, stdout=subprocess.PIPE, stderr=self.errors)
        self.ready = self.p.stdout.readline()
        require(self.ready.startswith('READY'), 'it began with %r, %s' % (self.ready, self.messages()))
        self.port = self.ready.split(':')[2].strip()
        self.machine = processes.machine(self.p.pid)

    def messages(self):
        with open(self.errors.name) as f:
            return f.read()

    def end(self):
        return self.p.wait(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for _ in range(2):  # no guest listens to the power button
            if self.p.poll() is None:
                self.p.send_signal(signal.SIGTERM)
                time.sleep(0.4)
        self.p.communicate(timeout=PATIENCE)
        self.errors.close()


def all_processes(run):
    return [run.p.pid, *processes.children(run.p.pid)]


def threads(pid):
    """-> [{of /proc/PID/task/TID/status}], but for the kernel's own"""
    found = []
    for path in glob.glob('/proc/%d/task/*/status' % pid):
        with open(path) as f:
            fields = dict(line.split(':', 1) for line in f)
        if not fields['Name'].strip().startswith(('kvm-', 'iou-')):
            found.append({name: value.strip() for name, value in fields.items()})
    return found


def capabilities(thread):
    """-> the sets that there are"""
    return {int(thread['Cap' + kind], 16) for kind in ('Prm', 'Eff', 'Inh', 'Amb', 'Bnd')}


def check_threads(run, uid):
    names = set()
    for pid in all_processes(run):
        for thread in threads(pid):
            what = '%s of %d: %s' % (thread['Name'], pid, thread)
            require(thread['Seccomp'] == '2' and thread['NoNewPrivs'] == '1', what)
            for kind in ('Prm', 'Eff', 'Inh', 'Amb', 'Bnd'):
                require(int(thread['Cap' + kind], 16) == 0 or (kind == 'Bnd' and thread['Name'] == 'net' and uid != 0), what)
            if pid == run.machine:
                names.add(thread['Name'])
                require(thread['Uid'].split() == [str(NOBODY)] * 4, what)
                require(thread['NSpid'].split()[1:], 'the machine sees other processes: ' + what)
    require(names == set(THREADS), 'threads: %s' % sorted(names))


def use(run, work):
    """What a person does with it, which needs files."""
    qmp = Qmp(run.control)
    picture = wait_for('a picture', lambda: spicy_screenshot(work, '-h', '127.0.0.1', '-p', run.port))
    require(picture[:2] == (720, 400), 'picture: %s' % (picture[:2],))
    qmp('screendump', filename='dump.ppm')
    require(os.path.getsize(work + '/dump.ppm') > 720 * 400 * 3, 'screendump')
    for image in (['base', '1M'], ['-b', 'base', '-F', 'qcow2', 'top']):
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', *image], cwd=work, check=True)
        os.chmod(work + '/' + image[-1 if image[0] == '-b' else 0], 0o666)
    qmp('blockdev-add', **{'driver': 'qcow2', 'node-name': 'd', 'file': {'driver': 'file', 'filename': work + '/top'}})
    qmp('device_add', driver='virtio-blk-pci', id='x', drive='d')
    qmp('netdev_add', type='user', id='n')
    qmp('device_add', driver='virtio-net-pci', id='y', netdev='n')
    qmp('system_reset')
    sizes = [block['inserted']['image'].get('actual-size') for block in qmp('query-block') if 'inserted' in block]
    require(len(sizes) == 2 and None not in sizes, 'query-block: %s' % sizes)
    return qmp


def test_threads(work):
    """each thread of each process has a filter, no capability and no new privileges; the machine is nobody, in an empty root"""
    with Run(work) as run:
        time.sleep(1)
        check_threads(run, os.getuid())
        require(os.listdir('/proc/%d/root/' % run.machine) == [], 'its root')
        qmp = use(run, work)
        check_threads(run, os.getuid())
        qmp('save', filename='saved')
        require(run.end() == 0 and os.path.exists(work + '/saved'), 'save: %s' % run.messages())
        require(not os.path.exists(run.control), 'the socket stays')
        require(run.messages() == '', run.messages())


def test_ordinary(work):
    """the same for a user without rights, by a name space of users"""
    with Run(work, before=ORDINARY) as run:
        time.sleep(1)
        check_threads(run, NOBODY)
        require(os.listdir('/proc/%d/root/' % run.machine) == [], 'its root')
        use(run, work)('quit')
        require(run.end() == 0, run.messages())
        require(not os.path.exists(run.control) and os.listdir(work + '/run/minivm') == [], 'files stay')


def test_outside(work):
    """an image that is plugged opens no backing file outside its folder"""
    with Run(work) as run:
        qmp = Qmp(run.control)
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', 'secret', '1M'], cwd=work, check=True)
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-b', work + '/../secret', '-F', 'raw', '-u', 'evil', '1M'], cwd=work,
                       check=True)
        try:
            qmp('blockdev-add', **{'driver': 'qcow2', 'node-name': 'd', 'file': {'driver': 'file', 'filename': work + '/evil'}})
            require(False, 'an image outside was opened')
        except Error as error:
            require('outside' in str(error), str(error))


def test_killed(work):
    """whichever process is killed, the others go too; the broker tells how, and removes what is left"""
    with Run(work) as run:
        others = all_processes(run)[1:]
        run.p.kill()
        run.p.wait()
        wait_for('their end', lambda: not any(os.path.exists('/proc/%d' % pid) for pid in others))
    with Run(work) as run:
        os.kill(run.machine, signal.SIGKILL)
        require(run.end() == 1 and 'ended by signal 9' in run.messages(), run.messages())
        require(not os.path.exists(run.control), 'the socket stays')


def test_net_killed(work):
    """without the network's process the machine goes on, and says so"""
    with Run(work) as run:
        net = [pid for pid in all_processes(run) if processes.status('/proc/%d/status' % pid, 'Name') == 'net']
        os.kill(net[0], signal.SIGKILL)
        wait_for('the message', lambda: 'network any more' in run.messages())
        require(Qmp(run.control)('query-status')['running'], 'it stopped')


def test_ctrl_c(work):
    """Ctrl-C, which all processes get, presses the power button once; the second one ends it"""
    with Run(work) as run:
        for pid in all_processes(run):
            os.kill(pid, signal.SIGINT)
        time.sleep(1)
        require(run.p.poll() is None, 'it was ended at once: %s' % run.messages())
        run.p.send_signal(signal.SIGINT)
        require(run.end() == 1 and 'a second Ctrl-C' in run.messages(), run.messages())


def test_stopped(work):
    """Ctrl-Z stops the machine, too"""
    with Run(work, before=ORDINARY) as run:
        run.p.send_signal(signal.SIGTSTP)
        for pid in (run.p.pid, run.machine):
            wait_for('it stands', lambda: processes.status('/proc/%d/status' % pid, 'State').startswith('T'))
        run.p.send_signal(signal.SIGCONT)
        wait_for('it goes on', lambda: not processes.status('/proc/%d/status' % run.machine, 'State').startswith('T'))
        require(Qmp(run.control)('query-status')['running'], 'it stopped')


def test_software_host(work):
    """of a software host what runs outside, and its QEMU, have filters and no new privileges"""
    with Run(work, accel='nested') as run:
        time.sleep(1)
        for thread in threads(run.p.pid):
            require(thread['Seccomp'] == '2' and thread['NoNewPrivs'] == '1' and int(thread['CapEff'], 16) == 0, 'outside: %s' % thread)
        qemu = processes.children(run.p.pid)
        require(len(qemu) == 1 and threads(qemu[0]), 'children: %s' % qemu)
        for thread in threads(qemu[0]):
            require(thread['Seccomp'] == '2' and thread['NoNewPrivs'] == '1', 'QEMU: %s' % thread)
            require(capabilities(thread) == {0}, 'QEMU: %s' % thread)
        Qmp(run.control)('quit')
        require(run.end() == 0, run.messages())


def test_others_disk(work):
    """of what root may do, QEMU keeps what it takes to write to an image of another user, and nothing else"""
    with Run(work, accel='nested', owner=NOBODY) as run:
        for thread in threads(processes.children(run.p.pid)[0]):
            require(capabilities(thread) == {0, 1 << DAC_OVERRIDE}, 'QEMU: %s' % thread)
        Qmp(run.control)('quit')
        require(run.end() == 0, run.messages())


def test_contained(work):
    """root without the right to make name spaces, as in a container, gets what there is: filters, and another user"""
    without = ['setpriv', '--bounding-set', '-sys_admin', '--inh-caps', '-sys_admin']
    with Run(work, before=without) as run:
        for thread in threads(run.machine):
            require(thread['Seccomp'] == '2' and thread['Uid'].split()[0] == str(NOBODY), thread)
        require(len(thread['NSpid'].split()) == 1, 'a name space of its own: %s' % thread['NSpid'])


def test_off(work):
    """--sandbox off is possible, and said; another user than there is, not"""
    with Run(work, '--sandbox', 'off') as run:
        require('without a sandbox' in run.messages(), run.messages())
        require(run.machine == run.p.pid and threads(run.p.pid)[0]['Seccomp'] == '0', 'it has one')
    done = subprocess.run([MINIVM, 'run', work + '/disk', '--sandbox', 'on,user=nobody-of-this-name'], text=True, stderr=subprocess.PIPE,
                          timeout=PATIENCE)
    require(done.returncode == 2 and 'no such user' in done.stderr, done.stderr)
    with Run(work, '--sandbox', 'on,user=daemon') as run:
        require(threads(run.machine)[0]['Uid'].split()[0] == '1', threads(run.machine)[0]['Uid'])


def test_docs(work):
    """docs/security.md has the calls of each thread, as `minivm doctor --sandbox` says them"""
    said = subprocess.run([MINIVM, 'doctor', '--sandbox'], text=True, stdout=subprocess.PIPE).stdout
    with open('docs/security.md') as f:
        require(said and said in f.read(), said)


needs_root = [test_threads, test_ordinary, test_killed, test_stopped, test_contained, test_others_disk, test_off] if os.getuid() == 0 else []
run_tests([*needs_root, test_software_host, test_outside, test_net_killed, test_ctrl_c, test_docs], [MINIVM, 'spicy-screenshot', 'qemu-img', 'qemu-system-x86_64'])
