#!/usr/bin/env python3
"""A stock kernel with a busybox, booted directly: disks, network, reboot, power, exit statuses. TAP on stdout.

The same command lines run on hardware KVM or, where there is none, in the software host.
"""
import os, pty, re, select, shutil, socket, subprocess, termios, time

from machine import ANSWER, BOOT, KERNEL, MINIVM, TINY, Machine, free_port, run_in_folder, run_minivm, with_tree
from viewer import require, wait_for

ENDS = 'build/payload/ports.img'  # a guest that switches itself off within a second
DIRECT = ['--kernel', KERNEL, '--initrd', TINY, '--memory', '512M', '--cpus', '2']
APPEND = 'console=ttyS0 quiet load=virtio_pci,virtio_blk,virtio_net,virtio_rng,virtio_balloon'
MAC = '52:54:00:0a:0b:0c'
OUR_DEVICES = re.compile(r'virtio|vd[ab]|eth0|8250|ttyS0|i8042|psmouse|atkbd|rtc|hwrng|PIIX|piix')
FORWARDED = 'words from the guest'
# Perl's socket functions need no modules: what comes is sent back the other way round, after its size.
UDP_SERVER = ('socket S,2,2,17; bind S,pack"SnC4x8",2,7778,0,0,0,0 or die; print"BOUND\\n"; while(defined($p=recv S,$d,65535,0))'
              '{send S,length($d).":".reverse(substr $d,0,8000),0,$p}')


def check_devices(m):
    require(m.output('nproc').strip() == '2', 'the guest has not two CPUs')
    modules = m.output('lsmod')
    require('virtio_blk' in modules and 'virtio_net' in modules, modules)
    require(m.output('cat /sys/class/misc/hw_random/rng_available').strip().startswith('virtio'), 'no virtio-rng')
    bad = [l for l in m.output('dmesg -r').splitlines() if re.match(r'<[0-4]>', l) and OUR_DEVICES.search(l)]
    require(not bad, 'the kernel complains: ' + '\n'.join(bad))


def features(m, driver):
    """The bits that driver and device agreed on."""
    return [i for i, bit in enumerate(m.output('cat /sys/bus/virtio/drivers/%s/virtio*/features' % driver).split()[0]) if bit == '1']


def check_virtio(m):
    """What the stock drivers make of the devices: offloads, control queue, MTU and address; queues and the write cache of
    a disk; the balloon's reports and statistics."""
    csum, mac, tso4, status, control, stats, reporting = 0, 5, 11, 16, 17, 1, 5
    require({csum, mac, tso4, status, control} <= set(features(m, 'virtio_net')), 'virtio-net: %s' % features(m, 'virtio_net'))
    require({stats, reporting} <= set(features(m, 'virtio_balloon')), 'virtio-balloon: %s' % features(m, 'virtio_balloon'))
    net = m.output('cd /sys/class/net/eth0; cat address mtu carrier_changes').split()
    require(net[0] == MAC and int(net[1]) > 1500, 'eth0: %s' % net)
    m.output('ip link set eth0 up; sleep 3')
    require('fec0' in m.output('grep eth0 /proc/net/if_inet6'), 'no IPv6 address')
    require(m.output('ls /sys/block/vda/mq').split() == ['0', '1'], 'a disk has not a queue for each CPU')
    require(m.output('cat /sys/block/vda/queue/physical_block_size').strip() == '4096', 'vda: physical blocks')
    require(m.output('cat /sys/block/vda/cache_type').strip() == 'write back', 'vda: cache_type')
    m.output('echo "write through" >/sys/block/vda/cache_type')
    require(m.output('cat /sys/block/vda/cache_type').strip() == 'write through', 'vda: the cache cannot be switched off')


# Aligned and odd, across clusters, over each other, far out; then holes again.
WRITES = """
dd if=/dev/urandom of=/tmp/blob bs=64k count=40 2>/dev/null
for d in /dev/vda /dev/vdb; do
  for at in 0 3 17 100 511 1000 1999; do dd if=/tmp/blob of=$d bs=4k seek=$((at * 16 + at)) count=37 2>/dev/null || exit 1; done
  dd if=/tmp/blob of=$d bs=512 seek=4001 count=333 2>/dev/null || exit 1
  dd if=/tmp/blob of=$d bs=1k seek=200000 count=2000 conv=fsync 2>/dev/null || exit 1
  blkdiscard -o 1048576 -l 1048576 $d || exit 1; dd if=/dev/zero of=$d bs=64k seek=16 count=16 conv=fsync 2>/dev/null || exit 1
done
cmp -n 8000000 /dev/vda /dev/vdb
"""


def check_writes(m):
    command = ' '.join(line if line.endswith('do') else line + ';' for line in WRITES.strip().splitlines())
    status, text = m.shell('(%s)' % command.rstrip(';'), timeout=300)
    require(status == 0, 'status %d: %s' % (status, text))


def check_forward(m, port):
    m.output('ip addr add 10.0.2.15/24 dev eth0 && ip link set eth0 up')
    m.output('(echo %s | nc -l -p 7777 >/tmp/heard) & sleep 1' % FORWARDED)
    with socket.create_connection(('127.0.0.1', port), timeout=30) as s:
        s.settimeout(60)
        s.sendall(b'words from outside\n')
        heard = b''
        while not heard.endswith(b'\n'):
            data = s.recv(100)
            require(data, 'the connection ended after %r' % heard)
            heard += data
    require(heard.decode().strip() == FORWARDED, 'heard %r' % heard)
    wait_for('words in the guest', lambda: m.output('cat /tmp/heard').strip() == 'words from outside')


def with_perl(folder):
    """An initial RAM disk: the tiny guest, and Debian's perl for what its busybox has nothing for."""
    perl, tree = shutil.which('perl'), os.path.join(folder, 'perl')
    libraries = re.findall(r'/\S+', subprocess.run(['ldd', perl], stdout=subprocess.PIPE, check=True, text=True).stdout)
    for source, name in [(perl, '/bin/perl')] + [(name, name) for name in libraries]:
        os.makedirs(tree + os.path.dirname(name), exist_ok=True)
        shutil.copy(source, tree + name)
    return with_tree(TINY, tree)


def check_udp_forward(m, port):
    """Two that ask at once are answered each for itself. The guest's network carries 16,000 bytes in one packet: the
    largest question is fragmented."""
    m.output("perl -e '$|=1;%s' >/tmp/udp 2>&1 & sleep 1" % UDP_SERVER)
    wait_for('the server', lambda: 'BOUND' in m.output('cat /tmp/udp'))
    people = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for s in people:
        s.settimeout(60)
        s.connect(('127.0.0.1', port))
    for size in (1, 2, 3, 100, 512, 1000, 1400, 4000, 20000):
        questions = [os.urandom(size) for _ in people]
        for s, question in zip(people, questions):
            s.send(question)
        for s, question in zip(reversed(people), reversed(questions)):
            answer = s.recv(65536)
            require(answer == b'%d:' % size + question[:8000][::-1], '%d bytes: the answer is %r' % (size, answer[:100]))
    for s in people:
        s.close()


def check_lock(disk):
    status, _, err = run_minivm(disk, '--net', 'none', timeout=60)
    require(status == 1 and disk in err and 'in use' in err, 'a second machine: status %d, %s' % (status, err))
    other = subprocess.run(['qemu-img', 'check', disk], stderr=subprocess.PIPE, text=True)
    require(other.returncode != 0 and 'lock' in other.stderr, 'qemu-img gets at the image: ' + other.stderr)


def check_reboot(m):
    m.send('reboot -f\n')
    m.expect('INIT-REACHED', BOOT)
    m.expect('tiny# ', BOOT)
    m.output('true')


def check_sigterm(m):
    m.output('sleep 1; pidof acpid')
    m.terminate()
    m.expect('POWER-BUTTON', BOOT)
    require(m.end(BOOT) == 0, 'status %d: %s' % (m.p.returncode, m.messages))


def check_images(qcow2, raw):
    for command in (['qemu-img', 'check', qcow2], ['qemu-img', 'compare', qcow2, raw]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        require(done.returncode == 0, '%s: %s' % (' '.join(command), done.stdout))
    require(os.path.getsize(qcow2) > 2 << 20, 'the image has not grown')


def test_machine(tap, folder):
    qcow2, raw = os.path.join(folder, 'disk.qcow2'), os.path.join(folder, 'disk.raw')
    subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', qcow2, '256M'], check=True)
    with open(raw, 'wb') as f:
        f.truncate(256 << 20)
    port, udp_port = free_port(), free_port(socket.SOCK_DGRAM)
    with Machine(folder, *DIRECT, '--initrd', with_perl(folder), '--append', APPEND, '--disk', qcow2, '--disk', raw, '--net',
                 'user,mac=' + MAC, '--forward', 'tcp:127.0.0.1:%d-:7777' % port, '--forward',
                 'udp:127.0.0.1:%d-:7778' % udp_port) as m:
        with tap('Linux boots directly to its shell'):
            m.expect('INIT-REACHED', BOOT)
            m.expect('tiny# ', BOOT)
        if tap.failed:
            return
        with tap('it has two CPUs and its drivers have no complaints'):
            check_devices(m)
        with tap('stock drivers use what the virtio devices offer'):
            check_virtio(m)
        with tap('the images are locked against a second writer'):
            check_lock(qcow2)
        with tap('a qcow2 and a raw disk written alike read alike'):
            check_writes(m)
        with tap('a forwarded port leads into the guest and back'):
            check_forward(m, port)
        with tap('a forwarded UDP port leads into the guest, and its answers back to who asked'):
            check_udp_forward(m, udp_port)
        with tap('reboot starts it anew'):
            check_reboot(m)
        with tap('SIGTERM presses the power button, and the guest\'s power-off is status 0'):
            check_sigterm(m)
    with tap('the qcow2 image has grown, is clean, and equals its raw twin'):
        check_images(qcow2, raw)


def test_statuses(tap, folder):
    with tap('an expectation that is met is status 0, with a screenshot'):
        shot = os.path.join(folder, 'shot.png')
        status, out, err = run_minivm('--accel', 'kvm', '--kernel', ENDS, '--headless', '--expect', 'written by rep outsb',
                                      '--timeout', str(BOOT), '--screenshot', shot)
        require(status == 0 and 'rep outsb' in out, 'status %d: %s%s' % (status, out, err))
        with open(shot, 'rb') as f:
            require(f.read(8) == b'\x89PNG\r\n\x1a\n', 'the screenshot is no PNG')
    with tap('a power-off before the expectation is met is status 4'):
        status, out, err = run_minivm('--accel', 'kvm', '--kernel', ENDS, '--headless', '--expect', 'NEVER-SEEN')
        require(status == 4 and 'NEVER-SEEN' in err, 'status %d: %s' % (status, err))
    with tap('time that runs out is status 3'):
        status, out, err = run_minivm(*DIRECT, '--append', APPEND, '--headless', '--expect', 'NEVER-SEEN', '--timeout', '2')
        require(status == 3 and 'NEVER-SEEN' in err, 'status %d: %s' % (status, err))


def read_until(fd, words, seconds=ANSWER):
    seen, end = b'', time.monotonic() + seconds
    while words not in seen:
        require(time.monotonic() < end, '%r: not within %d s; there was %r' % (words, seconds, seen[-400:]))
        if select.select([fd], [], [], 1)[0]:
            seen += os.read(fd, 65536)
    return seen


def check_size(person):
    """Of a guest with memory on both sides of the hole below 4 GiB."""
    os.write(person, b'echo CPUS-$(nproc)-; grep MemTotal /proc/meminfo; echo en""d\r')
    seen = read_until(person, b'end')
    require(b'CPUS-16-' in seen, seen)
    require(int(re.search(rb'MemTotal:\s*(\d+)', seen).group(1)) > 5.5 * 2**20, seen)


def check_keys(p, person):
    """Quotes tell a command's output from its echo."""
    os.write(person, b'echo do""ne; sleep 1000\r')
    read_until(person, b'done')
    time.sleep(1)
    os.write(person, b'\x03')
    os.write(person, b'sleep 1; pidof acpid && echo rea""dy\r')
    read_until(person, b'ready')
    os.write(person, b'\x1d\x1d')
    read_until(person, b'POWER-BUTTON')
    require(p.wait(ANSWER) == 0, 'status %d' % p.returncode)


def test_terminal(tap, _):
    person, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    p = subprocess.Popen([MINIVM, 'run', *DIRECT, '--memory', '6G', '--cpus', '16', '--append', APPEND, '--serial', 'stdio'],
                         stdin=terminal, stdout=terminal, stderr=subprocess.DEVNULL)
    try:
        with tap('16 CPUs and 6 GiB of memory'):
            read_until(person, b'tiny# ', BOOT)
            check_size(person)
        with tap("on a terminal Ctrl-C is the guest's, and Ctrl-] twice powers it off"):
            check_keys(p, person)
            require(termios.tcgetattr(terminal) == before, 'the terminal is left in another mode')
    finally:
        p.kill()
        p.wait()
    os.close(person)
    os.close(terminal)


def refused(status, *args, words=()):
    """The run ends at once with this status, and at most two lines (a warning aside) that have the words in them."""
    got, out, err = run_minivm(*args, timeout=60)
    lines = [l for l in err.splitlines() if 'warning: the machine runs in a software host' not in l]
    require(got == status and 1 <= len(lines) <= 2 and all(w in ' '.join(lines) for w in words),
            '%s: status %d: %s' % (' '.join(args), got, err))


def test_refusals(tap, folder):
    def file(name, data):
        path = os.path.join(folder, name)
        with open(path, 'wb') as f:
            f.write(data)
        return path

    with tap('bad images, ports and options are refused in two lines'):
        refused(1, os.path.join(folder, 'missing.qcow2'), words=['missing.qcow2'])
        refused(1, '--disk', file('text.qcow2', b'not an image\n' * 400) + ',format=qcow2', words=['text.qcow2'])
        refused(1, file('cut.qcow2', b'QFI\xfb\0\0\0\3' + bytes(8)), words=['cut.qcow2'])
        refused(1, '--kernel', file('kernel', b'no kernel'), '--accel', 'kvm', words=['kernel'])
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            s.listen()
            port = s.getsockname()[1]
            refused(1, file('blank.raw', bytes(1 << 20)), '--spice', str(port), words=[str(port), 'in use'])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(('127.0.0.1', 0))
            port = s.getsockname()[1]
            for accel in 'kvm', 'nested':
                refused(1, file('blank.raw', bytes(1 << 20)), '--accel', accel, '--forward', 'udp::%d-:9' % port,
                        words=['UDP port %d' % port, 'in use'])
        refused(2, '--no-such-option', words=['--no-such-option'])
        refused(2, '--memory', '1K', words=['memory'])
        refused(2, 'd.raw', '--initrd', 'x', words=['--initrd', '--kernel'])
        refused(2, 'd.raw', '--net', 'user,mac=53:00:00:00:00:01', words=['--net', 'group'])
        refused(2, 'd.raw', '--net', 'user,queues=2', words=['queues', 'tap'])
        refused(1, file('tap.raw', bytes(1 << 20)), '--accel', 'nested', '--net', 'tap=tap9', words=['tap9', 'software host'])


if __name__ == '__main__':
    run_in_folder(16, test_refusals, test_machine, test_statuses, test_terminal)
