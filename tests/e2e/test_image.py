#!/usr/bin/env python3
"""minivm image beside qemu-img, qemu-io, qemu-nbd: what either makes, the other calls right. TAP on stdout."""
import json, os, pty, random, re, shutil, signal, socket, struct, subprocess, tempfile, time

from machine import MINIVM, Tap
from viewer import require

MIB = 1 << 20


def run(*args, status=0):
    """A program to its end -> what it printed. `status`: what it must end with, None for anything."""
    p = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       errors='replace', timeout=120)
    require(status is None or p.returncode == status, '%s: status %d: %s' % (' '.join(args), p.returncode, p.stdout))
    return p.stdout


def ours(*args, status=0):
    return run(MINIVM, 'image', *args, status=status)


def qemu_io(image, *commands):
    run('qemu-io', *[word for c in commands for word in ('-c', c)], image)


def check(image):
    """Both programs call it right."""
    run('qemu-img', 'check', '-q', image)
    ours('check', image)


def same(a, b):
    run('qemu-img', 'compare', '-q', a, b)


def raw_of(image):
    """What QEMU reads from an image, for later."""
    copy = image + '.raw'
    run('qemu-img', 'convert', '-O', 'raw', image, copy)
    return copy


def fill(image, seed=1):
    """Data of several kinds: random, repeated, zeroes, and much nothing."""
    r = random.Random(seed)
    with tempfile.NamedTemporaryFile(dir='.') as f:
        f.write(r.randbytes(700000))
        f.flush()
        qemu_io(image, 'write -s %s 3M 700000' % f.name, 'write -P 5 0 2M', 'write -P 9 9M 100k', 'write -z 10M 1M',
                'write -P 7 33M 4k', 'write -P 1 63M 1M')


def sparse_raw(path, seed=1):
    with open(path, 'wb') as f:
        f.truncate(64 * MIB)
    fill(path, seed)


def test_create():
    for i, options in enumerate([[], ['--version', '2'], ['--cluster-size', '512', '--refcount-bits', '1'],
                                 ['--cluster-size', '2M', '--refcount-bits', '64'], ['--compression', 'zstd'],
                                 ['--lazy-refcounts'], ['--cluster-size', '4K', '--refcount-bits', '2']]):
        image = 'create%d.qcow2' % i
        ours('create', *options, image, '64M')
        check(image)
        fill(image)
        check(image)
        require('exists already' in ours('create', image, '1M', status=1), 'an image was written over')
    ours('create', '--force', 'create0.qcow2', '128M')
    require(json.loads(ours('info', '--json', 'create0.qcow2'))['virtual-size'] == 128 * MIB, 'size')
    ours('create', '--format', 'raw', 'create.raw', '5M')
    require(os.path.getsize('create.raw') == 5 * MIB and os.stat('create.raw').st_blocks == 0, 'raw')
    for bad in (['--cluster-size', '3K'], ['--refcount-bits', '3'], ['--version', '2', '--compression', 'zstd'],
                ['--backing', 'create.raw'], ['--format', 'raw', '--cluster-size', '4K']):
        ours('create', *bad, 'bad.qcow2', '1M', status=1)
        require(not os.path.exists('bad.qcow2'), '%s left a file' % bad)


def test_info():
    run('qemu-img', 'create', '-q', '-f', 'qcow2', 'base.qcow2', '64M')
    run('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', 'base.qcow2', '-F', 'qcow2', 'over.qcow2')
    qemu_io('over.qcow2', 'write 0 1M')
    run('qemu-img', 'snapshot', '-c', 'föur', 'over.qcow2')
    run('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', 'compat=0.10', 'old.qcow2', '1G')
    run('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', 'lazy_refcounts=on,refcount_bits=8,cluster_size=4k,'
        'compression_type=zstd', 'new.qcow2', '1G')
    run('qemu-img', 'create', '-q', '-f', 'raw', 'plain.raw', '3M')
    for image in ('base.qcow2', 'over.qcow2', 'old.qcow2', 'new.qcow2', 'plain.raw'):
        a, b = json.loads(ours('info', '--json', image)), json.loads(run('qemu-img', 'info', '--output=json', image))
        for key in set(a) | (set(b) - {'full-backing-filename'}):
            require(a.get(key) == b.get(key), '%s: %s is %s, not %s' % (image, key, a.get(key), b.get(key)))
    chain = json.loads(ours('info', '--json', '--chain', 'over.qcow2'))
    require([c['format'] for c in chain] == ['qcow2', 'qcow2'], 'chain')
    os.rename('base.qcow2', 'away.qcow2')
    ours('check', 'over.qcow2')
    ours('snapshot', 'list', 'over.qcow2')
    ours('info', 'over.qcow2')  # names a file that is not there, which nobody opens
    require('does not exist' in ours('info', '--chain', 'over.qcow2', status=1), 'chain without its end')
    os.rename('away.qcow2', 'base.qcow2')


def poke(image, offset, data):
    with open(image, 'r+b') as f:
        f.seek(offset)
        f.write(data)


def peek(image, offset, fmt):
    with open(image, 'rb') as f:
        f.seek(offset)
        return struct.unpack(fmt, f.read(struct.calcsize(fmt)))[0]


def refcount_place(image, cluster):
    table = peek(image, 48, '>Q')
    return peek(image, table, '>Q') + 2 * cluster


def agree(image, status):
    """Both checks find the same."""
    a = json.loads(run('sh', '-c', '%s image check --json %s 2>/dev/null' % (MINIVM, image), status=status))
    b = json.loads(run('sh', '-c', 'qemu-img check --output=json %s 2>/dev/null' % image, status=status))
    for key in ('corruptions', 'leaks', 'allocated-clusters', 'total-clusters', 'compressed-clusters'):
        require(a.get(key, 0) == b.get(key, 0), '%s is %s, not %s' % (key, a.get(key), b.get(key)))


def test_check():
    run('qemu-img', 'create', '-q', '-f', 'qcow2', 'check.qcow2', '64M')
    fill('check.qcow2')
    good = raw_of('check.qcow2')
    agree('check.qcow2', 0)
    for name, cluster, count in (('leak', 4000, 1), ('leak', 6, 9), ('corrupt', 6, 0), ('corrupt', 0, 0)):
        shutil.copyfile('check.qcow2', 'bad.qcow2')
        if cluster == 4000:
            os.truncate('bad.qcow2', 5000 * 65536)
        poke('bad.qcow2', refcount_place('bad.qcow2', cluster), struct.pack('>H', count))
        if name == 'leak' and cluster == 4000:
            agree('bad.qcow2', 3)
        else:
            run('qemu-img', 'check', 'bad.qcow2', status=2)
            ours('check', 'bad.qcow2', status=2)
        if name == 'corrupt' or cluster == 6:
            ours('check', '--repair', 'leaks', 'bad.qcow2', status=2)
        ours('check', '--repair', 'all' if cluster != 4000 else 'leaks', 'bad.qcow2')
        check('bad.qcow2')
        same('bad.qcow2', good)
        fill('bad.qcow2', 3)
        check('bad.qcow2')
    for bad in ('plain.raw', 'missing.qcow2'):
        ours('check', bad, status=1)
    shutil.copyfile('check.qcow2', 'bad.qcow2')
    poke('bad.qcow2', 72, struct.pack('>Q', 2))  # marked corrupt, and nothing is wrong
    ours('check', '--repair', 'all', 'bad.qcow2')
    require(peek('bad.qcow2', 72, '>Q') == 0, 'the mark is still there')


def test_check_after_abort():
    run('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', 'lazy_refcounts=on', 'lazy.qcow2', '64M')
    run('sh', '-c', 'ulimit -c 0; qemu-io -c "write -P 3 1M 9M" -c flush -c abort lazy.qcow2', status=None)
    require(peek('lazy.qcow2', 72, '>Q') & 1, 'not dirty')
    ours('check', '--repair', 'all', 'lazy.qcow2')
    check('lazy.qcow2')
    qemu_io('lazy.qcow2', 'read -P 3 1M 9M')


def test_convert():
    sparse_raw('source.raw')
    run('qemu-img', 'convert', '-O', 'qcow2', '-c', 'source.raw', 'source.qcow2')
    run('qemu-img', 'convert', '-O', 'qcow2', '-o', 'cluster_size=2M', 'source.raw', 'large.qcow2')
    for i, options in enumerate([[], ['--to', 'raw'], ['--compress'], ['--compress', '--compression', 'zstd'],
                                 ['--cluster-size', '512'], ['--compress', '--cluster-size', '2M'],
                                 ['--compress', '--cluster-size', '512', '--refcount-bits', '1'],
                                 ['--compress', '--cluster-size', '4K', '--refcount-bits', '2'],
                                 ['--version', '2', '--compress'], ['--lazy-refcounts', '--refcount-bits', '64']]):
        for source in ('source.raw', 'source.qcow2', 'large.qcow2'):
            target = 'target%d.img' % i
            ours('convert', '--force', *options, source, target)
            same(source, target)
            if '--to' not in options:
                check(target)
            peer = 'peer.img'
            run('qemu-img', 'convert', '-O', 'raw' if '--to' in options else 'qcow2', source, peer)
            room = os.stat(target).st_blocks, os.stat(peer).st_blocks
            require(i > 1 or room[0] <= room[1] + 64, '%s %s: %d blocks, QEMU needs %d' % (source, options, *room))
    small = os.path.getsize('target3.img')
    require(small < 1.2 * MIB, 'compressed: %d bytes' % small)
    ours('convert', '--force', 'source.raw', 'source.raw', status=1)
    require(os.path.getsize('source.raw') == 64 * MIB, 'the source was written over')


def test_convert_large():
    """A disk of many terabytes with little in it: what is not there costs nothing."""
    run('qemu-img', 'create', '-q', '-f', 'qcow2', 'huge.qcow2', '60T')
    qemu_io('huge.qcow2', 'write -P 3 59T 1M')
    start = time.monotonic()
    ours('convert', 'huge.qcow2', 'huge2.qcow2')
    require(time.monotonic() - start < 20, 'slow')
    qemu_io('huge2.qcow2', 'read -P 3 59T 1M', 'read -P 0 58T 1M')
    check('huge2.qcow2')


def test_convert_backing():
    sparse_raw('under.raw')
    run('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', 'under.raw', '-F', 'raw', 'old-over.qcow2')
    qemu_io('old-over.qcow2', 'write -P 77 5M 64k', 'write -z 0 1M')
    ours('convert', '--backing', 'under.raw', '--backing-format', 'raw', 'old-over.qcow2', 'new-over.qcow2')
    same('old-over.qcow2', 'new-over.qcow2')
    check('new-over.qcow2')
    n = json.loads(ours('check', '--json', 'new-over.qcow2'))['allocated-clusters']
    require(n <= 2, '%d clusters are there that do not differ' % n)
    run('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', '/etc/hostname', '-F', 'raw', 'out.qcow2', '1M')
    require('outside' in ours('convert', 'out.qcow2', 'x.qcow2', status=1), 'a name in an image was followed')
    require(not os.path.exists('x.qcow2'), 'a target is left')
    ours('convert', '--trust-backing', 'out.qcow2', 'x.qcow2')
    same('out.qcow2', 'x.qcow2')


def test_snapshots():
    for options in (['--cluster-size', '64K'], ['--version', '2'], ['--cluster-size', '512'],
                    ['--refcount-bits', '2', '--cluster-size', '4K']):
        ours('create', '--force', *options, 'snap.qcow2', '64M')
        states = {}
        for i, maker in enumerate(('ours', 'qemu', 'ours')):
            fill('snap.qcow2', i)
            name = 's%d' % i
            if maker == 'ours':
                ours('snapshot', 'create', 'snap.qcow2', name)
            else:
                run('qemu-img', 'snapshot', '-c', name, 'snap.qcow2')
            check('snap.qcow2')
            states[name] = shutil.move(raw_of('snap.qcow2'), name + '.raw')
        fill('snap.qcow2', 8)
        check('snap.qcow2')
        for name, raw in states.items():
            ours('convert', '--force', '--snapshot', name, 'snap.qcow2', 'from-snap.qcow2')
            same('from-snap.qcow2', raw)
        for name, apply in (('s1', 'ours'), ('s2', 'qemu'), ('s0', 'ours')):
            if apply == 'ours':
                ours('snapshot', 'apply', 'snap.qcow2', name)
            else:
                run('qemu-img', 'snapshot', '-a', name, 'snap.qcow2')
            check('snap.qcow2')
            same('snap.qcow2', states[name])
            fill('snap.qcow2', 9)
            check('snap.qcow2')
        ours('snapshot', 'delete', 'snap.qcow2', 's1')
        check('snap.qcow2')
        run('qemu-img', 'snapshot', '-d', 's0', 'snap.qcow2')
        check('snap.qcow2')
        ours('snapshot', 'apply', 'snap.qcow2', 's2')
        ours('snapshot', 'delete', 'snap.qcow2', 's2')
        check('snap.qcow2')
        same('snap.qcow2', states['s2'])
        require('no snapshot' in ours('snapshot', 'apply', 'snap.qcow2', 's2', status=1), 'it is there still')


def test_snapshot_limits():
    ours('create', '--refcount-bits', '1', 'one-bit.qcow2', '1M')
    qemu_io('one-bit.qcow2', 'write 0 1M')
    require('refcounts of' in ours('snapshot', 'create', 'one-bit.qcow2', 'x', status=1), 'one bit')
    check('one-bit.qcow2')
    require(peek('one-bit.qcow2', 72, '>Q') == 0, 'the image is left dirty')
    ours('create', '--refcount-bits', '2', 'two-bits.qcow2', '1M')
    qemu_io('two-bits.qcow2', 'write 0 1M')
    for i in range(2):
        ours('snapshot', 'create', 'two-bits.qcow2', str(i + 5))
    require('refcounts of' in ours('snapshot', 'create', 'two-bits.qcow2', 'x', status=1), 'two bits')
    require('refcounts of' in ours('snapshot', 'apply', 'two-bits.qcow2', '5', status=1), 'back, with two bits')
    check('two-bits.qcow2')
    require('already' in ours('snapshot', 'create', 'two-bits.qcow2', '5', status=1), 'a name twice')
    ours('snapshot', 'create', 'two-bits.qcow2', '', status=1)
    ours('snapshot', 'create', 'two-bits.qcow2', 'n' * 256, status=1)
    ours('snapshot', 'create', 'source.raw', 'x', status=1)


def test_resize():
    ours('create', 'size.qcow2', '64M')
    fill('size.qcow2')
    plain = raw_of('size.qcow2')
    for size in ('+512', '200M', '+40G', '3T'):
        ours('resize', 'size.qcow2', size)
        run('qemu-img', 'resize', '-q', '-f', 'raw', plain, size)
        check('size.qcow2')
        same('size.qcow2', plain)
    require('--shrink' in ours('resize', 'size.qcow2', '1M', status=1), 'it became smaller')
    for size in ('9500K', '-1M', '4M', '64M'):
        ours('resize', '--shrink', 'size.qcow2', size)
        run('qemu-img', 'resize', '-q', '-f', 'raw', '--shrink', plain, size)
        check('size.qcow2')
        same('size.qcow2', plain)
    require('more than there is' in ours('resize', '--shrink', 'size.qcow2', '-1T', status=1), 'less than nothing')
    ours('resize', 'source.raw', '+1M')
    require(os.path.getsize('source.raw') == 65 * MIB, 'raw')
    ours('resize', '--shrink', 'source.raw', '-1M')


def test_resize_over_backing():
    """What becomes visible is not what the backing image has there."""
    sparse_raw('under.raw')
    for version in ('2', '3'):
        ours('create', '--force', '--version', version, '--backing', 'under.raw', '--backing-format', 'raw', 'over.img',
             '1M')
        ours('resize', 'over.img', '128M')
        check('over.img')
        qemu_io('over.img', 'read -P 5 0 1M', 'read -P 0 1M 127M')
        ours('snapshot', 'create', 'over.img', 'a')
        ours('resize', 'over.img', '+1M')
        check('over.img')
        ours('snapshot', 'apply', 'over.img', 'a')
        check('over.img')
        require(json.loads(ours('info', '--json', 'over.img'))['virtual-size'] == 128 * MIB, 'size of the snapshot')


def test_commit():
    for under, options in (('raw', []), ('qcow2', []), ('qcow2', ['--cluster-size', '2M']),
                           ('qcow2', ['--cluster-size', '512'])):
        sparse_raw('under.raw')
        ours('convert', '--force', '--to', under, 'under.raw', 'under.img')
        ours('create', '--force', *options, '--backing', 'under.img', '--backing-format', under, 'over.img', '80M')
        qemu_io('over.img', 'write -P 77 5M 64k', 'write -z 0 1M', 'write -P 3 32M 3k', 'write -P 8 79M 1M')
        whole = raw_of('over.img')
        ours('commit', '--keep', 'over.img')
        same('under.img', whole)
        check('over.img')
        require(json.loads(ours('check', '--json', 'over.img'))['allocated-clusters'] > 0, 'emptied')
        ours('commit', 'over.img')
        same('under.img', whole)
        same('over.img', whole)
        check('over.img')
        if under == 'qcow2':
            check('under.img')
        require(json.loads(ours('check', '--json', 'over.img'))['allocated-clusters'] == 0, 'not emptied')
    require('no backing file' in ours('commit', 'source.qcow2', status=1), 'nothing to commit to')


def writers():
    """Each command that writes -> (image that must be locked, command)"""
    run('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', 'preallocation=metadata', 'l-base.qcow2', '4G')
    run('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', 'l-base.qcow2', '-F', 'qcow2', 'l-over.qcow2')
    qemu_io('l-over.qcow2', 'write 0 32M')
    run('qemu-img', 'create', '-q', '-f', 'qcow2', 'l-target.qcow2', '1M')
    run('qemu-img', 'snapshot', '-c', 'one', 'l-base.qcow2')
    return [
        ('l-target.qcow2', ['create', '--force', 'l-target.qcow2', '20G']),
        ('l-target.qcow2', ['convert', '--force', 'source.raw', 'l-target.qcow2']),
        ('l-base.qcow2', ['snapshot', 'create', 'l-base.qcow2', 'two']),
        ('l-base.qcow2', ['snapshot', 'apply', 'l-base.qcow2', 'one']),
        ('l-base.qcow2', ['check', '--repair', 'all', 'l-base.qcow2']),
        ('l-base.qcow2', ['resize', 'l-base.qcow2', '+1G']),
        ('l-over.qcow2', ['commit', '--keep', 'l-over.qcow2']),
        ('l-base.qcow2', ['commit', '--keep', 'l-over.qcow2']),
        ('l-base.qcow2', ['snapshot', 'delete', 'l-base.qcow2', 'two']),
    ]


def refused(command, image):
    before = open(image, 'rb').read(1 << 16)
    out = ours(*command, status=1)
    require('in use' in out, '%s: %s' % (command, out))
    require(open(image, 'rb').read(1 << 16) == before, '%s changed what it may not have' % command)


def serves(path):
    """Whether qemu-nbd greets there. Its socket is there before it opens the image."""
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(path)
        except OSError:
            return False
        return s.recv(8) == b'NBDMAGIC'


def test_locks_of_others():
    for image, command in writers():
        io = subprocess.Popen(['qemu-io', '-f', 'qcow2', image], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True)
        io.stdin.write('length\n')
        io.stdin.flush()
        while not re.search(r'[0-9]', io.stdout.readline()):
            pass
        try:
            refused(command, image)
        finally:
            io.stdin.close()
            io.wait()
        path = os.path.abspath('nbd.sock')
        nbd = subprocess.Popen(['qemu-nbd', '-t', '-f', 'qcow2', '-k', path, image], stderr=subprocess.DEVNULL)
        try:
            while not serves(path):
                time.sleep(0.01)
            refused(command, image)
        finally:
            nbd.terminate()
            nbd.wait()
            if os.path.exists(path):
                os.unlink(path)


def locked(image):
    """By all its bytes: 203 is the last that is taken."""
    inode = os.stat(image).st_ino
    return any(':%d 203 203' % inode in line and 'OFDLCK' in line for line in open('/proc/locks'))


def caught_with_lock(image, command):
    """Stop the command at a moment when it holds the image's lock."""
    for _ in range(60):
        p = subprocess.Popen([MINIVM, 'image', *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while p.poll() is None:
            os.kill(p.pid, signal.SIGSTOP)
            if locked(image):
                return p
            os.kill(p.pid, signal.SIGCONT)
            time.sleep(0.0002)
    return None


def test_locks_of_ours():
    for image, command in writers():
        p = caught_with_lock(image, command)
        require(p, '%s was never seen with a lock' % command)
        try:
            # What is being made may have no header yet.
            peers = [['qemu-io', '-f', 'raw', '-c', 'write 0 512', image]]
            if '--force' not in command:
                peers += [['qemu-img', 'snapshot', '-c', 'x', image], ['qemu-img', 'check', image]]
            for peer in peers:
                out = run(*peer, status=1)
                require('lock' in out, '%s: %s' % (peer, out))
            nbd = run('timeout', '5', 'qemu-nbd', '-f', 'raw', '-k', os.path.abspath('nbd.sock'), image, status=1)
            require('lock' in nbd, nbd)
        finally:
            os.kill(p.pid, signal.SIGCONT)
            p.wait()
        require(p.returncode == 0 or 'snapshot' in command or 'delete' in command, '%s failed' % command)
        check(image)


def test_readers():
    ours('create', 'shared.qcow2', '64M')
    io = subprocess.Popen(['qemu-io', '-f', 'qcow2', 'shared.qcow2'], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True)
    io.stdin.write('length\n')
    io.stdin.flush()
    while not re.search(r'[0-9]', io.stdout.readline()):
        pass
    try:
        for command in (['info'], ['check'], ['snapshot', 'list']):
            require('in use' in ours(*command, 'shared.qcow2', status=1), '%s' % command)
            ours(*command, '--shared', 'shared.qcow2')
    finally:
        io.stdin.close()
        io.wait()


def test_progress():
    master, slave = pty.openpty()
    p = subprocess.Popen([MINIVM, 'image', 'convert', '--force', 'source.raw', 'progress.qcow2'], stderr=slave)
    os.close(slave)
    text = b''
    try:
        while chunk := os.read(master, 4096):
            text += chunk
    except OSError:
        pass
    require(p.wait() == 0 and b'100.0 %' in text, repr(text))
    require('%' not in ours('convert', '--force', 'source.raw', 'progress.qcow2'), 'progress without a terminal')


def test_words():
    for args, word in ((['chekc', 'x'], "did you mean 'minivm image check'"), (['convert', 'x'], 'needs more words'),
                       (['create', 'x', '1M', 'y'], 'unexpected'), (['create', '--siez', 'x'], 'unknown option'),
                       (['info', '/dev/null'], 'neither a file'), (['info', '.'], 'directory'),
                       (['snapshot', 'make', 'x', 'y'], 'list, create, apply or delete')):
        out = ours(*args, status=1)
        require(word in out and out.count('\n') <= 2, '%s: %s' % (args, out))


TESTS = [
    ('create makes images that qemu-img accepts and qemu-io fills', test_create),
    ('info says what qemu-img info says, and opens nothing else', test_info),
    ('check finds and repairs what qemu-img check finds', test_check),
    ('check repairs an image whose writer aborted', test_check_after_abort),
    ('convert gives what qemu-img reads, and takes as little room', test_convert),
    ('convert of a huge disk with little in it', test_convert_large),
    ('convert over a backing file that is given', test_convert_backing),
    ('snapshots made, applied, deleted in turn with qemu-img', test_snapshots),
    ('limits of snapshots', test_snapshot_limits),
    ('resize gives what qemu-img resize gives', test_resize),
    ('resize over a larger backing file', test_resize_over_backing),
    ('commit', test_commit),
    ('every writing command honours the locks of qemu-io and qemu-nbd', test_locks_of_others),
    ('every writing command is honoured by qemu-io, qemu-img and qemu-nbd', test_locks_of_ours),
    ('reading commands do not look at what is being written, unless told to', test_readers),
    ('progress on a terminal', test_progress),
    ('wrong command lines get words', test_words),
]


def main():
    global MINIVM
    MINIVM = os.path.abspath(MINIVM)
    tap = Tap(len(TESTS))
    home = os.getcwd()
    folder = tempfile.mkdtemp(prefix='minivm-image-', dir='/var/tmp')
    os.chdir(folder)
    try:
        for name, test in TESTS:
            with tap(name):
                test()
    finally:
        os.chdir(home)
        shutil.rmtree(folder, ignore_errors=True)
    tap.end()


main()
