#!/usr/bin/env python3
"""What `minivm run` says of its screen, and that viewers get there with it: TAP on stdout. Firmware is all that runs.

usage: test_run_spice.py [MINIVM]
"""
import os, re, signal, socket, ssl, stat, subprocess, sys, threading, time, urllib.request

sys.path.insert(0, 'tests/lib')
from qmp import Error, Qmp
from viewer import PATIENCE, Viewer, read_ppm, require, run_tests, spicy_screenshot, wait_for

MINIVM = sys.argv[1] if __name__ == '__main__' and len(sys.argv) > 1 else 'build/minivm'
PRINT = '(?:[0-9A-F]{2}:){31}[0-9A-F]{2}'


class Run:
    """A machine with an empty disk; what it says until READY is in .lines, the last one in .ready."""

    def __init__(self, work, *args, accel='kvm'):
        self.env = dict(os.environ, XDG_DATA_HOME=os.path.join(work, 'data'), XDG_RUNTIME_DIR=work)
        disk = os.path.join(work, 'empty')
        with open(disk, 'wb') as f:
            f.truncate(1 << 20)
        self.p = subprocess.Popen([MINIVM, 'run', disk, '--snapshot', '--accel', accel, '--memory', '64M', '--net', 'none',
                                   '--serial', 'none', '--name', 'a/machine', *args], env=self.env, text=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
        self.lines = []
        for line in self.p.stdout:
            self.lines.append(line.rstrip())
            if line.startswith('READY'):
                break
        self.ready = self.lines[-1] if self.lines else ''

    def port(self, scheme):
        found = re.search(r'\b%s://[^ ]*:(\d+)' % re.escape(scheme), '\n'.join(self.lines))
        require(found, 'no %s:// in %s' % (scheme, self.lines))
        return int(found.group(1))

    def minivm(self, *args):
        return subprocess.run([MINIVM, *args], env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for _ in range(2):  # no guest listens to the power button
            self.p.send_signal(signal.SIGTERM)
            time.sleep(0.3)
        self.messages = self.p.communicate(timeout=PATIENCE)[1]


def letters(picture):
    """The picture if there is something on its black."""
    return picture if picture and any(picture[2]) else None


def firmware_picture(work, *args):
    """Letters of the firmware on black, when they are there."""
    return wait_for('picture', lambda: letters(spicy_screenshot(work, *args)))


def first_words(picture):
    """The part of a picture that begins with its first letters: black is everywhere."""
    width, height, rows = picture
    y = next(y for y in range(height) if any(rows[y * width * 3:(y + 1) * width * 3]))
    return width, 8, rows[y * width * 3:(y + 8) * width * 3]


def shows(viewer, take):
    """Whether it shows what the machine does, now: a picture of before may be one of half a word."""
    picture = letters(take())
    return picture and viewer.place_of(first_words(picture))


def check_view(run):
    """minivm-client comes in by what `minivm view` tells it."""
    seen = run.minivm('view', 'a/machine', '--list-channels')
    require(seen.returncode == 0 and 'display 0' in seen.stdout, 'view: %s%s' % (seen.stdout, seen.stderr))


def test_plain(work):
    """--spice: a line with an address, and a file for viewers that goes with the machine"""
    with Run(work, '--spice', '0') as run:
        require(re.fullmatch(r'READY spice://127\.0\.0\.1:\d+', run.ready), run.ready)
        firmware_picture(work, '-h', '127.0.0.1', '-p', str(run.port('spice')))
        file = run.minivm('vv', 'a/machine').stdout
        require(file == '[virt-viewer]\ntype=spice\nhost=127.0.0.1\nport=%d\ntitle=a/machine\n' % run.port('spice'), file)
        require(run.minivm('list').stdout == 'a_machine\n', 'list: %r' % run.minivm('list').stdout)
        check_view(run)
        require('host=desk.example\n' in run.minivm('vv', 'a/machine', 'desk.example').stdout, 'another host')
        with Run(work, '--spice', '0') as second:
            pass
        require("named 'a/machine' runs already" in second.messages, second.messages)
        require(run.minivm('list').stdout == 'a_machine\n', 'the second took the first one away')
    gone = run.minivm('vv', 'a/machine')
    require(gone.returncode == 1 and "no machine named 'a/machine' runs" in gone.stderr, 'gone: %s' % gone.stderr)
    require(run.minivm('list').stdout == '', 'list of none')
    gone = run.minivm('view', 'a/machine')
    require(gone.returncode == 1 and "no machine named 'a/machine' runs" in gone.stderr, 'view of none: %s' % gone.stderr)


def test_left_behind(work):
    """what a killed machine leaves is known as such"""
    with Run(work, '--spice', '0') as run:
        run.p.kill()
        run.p.wait()
        require(os.listdir(os.path.join(work, 'minivm')) == ['a_machine.vv'], 'the file')
        # The broker was killed; the machine itself goes when it notices, and until then holds the file.
        wait_for('that it is not listed', lambda: run.minivm('list').stdout == '')
        require(os.listdir(os.path.join(work, 'minivm')) == [], 'the file stays')


def test_everywhere(work):
    """--spice-listen 0.0.0.0 makes a password, and says it; with disable-ticketing it says that there is none"""
    with Run(work, '--spice', '0', '--spice-listen', '0.0.0.0') as run:
        found = re.fullmatch(r'READY spice://0\.0\.0\.0:\d+ password ([a-z2-9]{16})', run.ready)
        require(found, run.ready)
        port = str(run.port('spice'))
        firmware_picture(work, '-h', '127.0.0.1', '-p', port, '-w', found.group(1))
        require(spicy_screenshot(work, '-h', '127.0.0.1', '-p', port) is None, 'a picture without it')
        require('password=%s\n' % found.group(1) in run.minivm('vv', 'a/machine').stdout, 'not in the file')
        check_view(run)
        mode = os.stat(os.path.join(work, 'minivm', 'a_machine.vv')).st_mode
        require(stat.S_IMODE(mode) == 0o600, 'mode %o' % mode)
    with Run(work, '--spice', '0', '--spice-listen', '0.0.0.0', '--spice-option', 'disable-ticketing=on') as run:
        require(re.fullmatch(r'READY spice://0\.0\.0\.0:\d+', run.ready), run.ready)
    require('asks nobody for a password' in run.messages, run.messages)


def domain(work, **changes):
    """centos.xml for this host: its disk is a file of ours, its port a free one"""
    with open('tests/data/domains/centos.xml') as f:
        xml = f.read()
    disk = os.path.join(work, 'centos, first.qcow2')
    subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', disk, '1M'], check=True)
    changes = {'/var/lib/libvirt/images/centos, first.qcow2': disk, "'5902'": "'-1'", **changes}
    for old, new in changes.items():
        require(old in xml, old)
        xml = xml.replace(old, new)
    path = os.path.join(work, 'centos.xml')
    with open(path, 'w') as f:
        f.write(xml)
    return path


def test_domain(work):
    """a libvirt domain that listens everywhere without a password: one is made, and said; here and in a software host"""
    for accel in 'kvm', 'nested':
        with Run(work, '--domain', domain(work), '--memory', '64M', '--serial', 'none', accel=accel) as run:
            found = re.fullmatch(r'READY spice://0\.0\.0\.0:\d+ password ([a-z2-9]{16})', run.ready)
            require(found, run.ready)
            port = str(run.port('spice'))
            require(spicy_screenshot(work, '-h', 'localhost', '-p', port) is None, 'it opens without a password')
            require(spicy_screenshot(work, '-h', 'localhost', '-p', port, '-w', found.group(1)), 'the password does not open it')
            require('centos' in run.minivm('list').stdout, 'its name')
        require("<channel>: not known here" in run.messages, run.messages)
        require(run.messages.count('<channel>') == 1, 'it is said twice')


def test_domain_password(work):
    """a libvirt domain's own password"""
    path = domain(work, **{"listen='0.0.0.0'>": "listen='0.0.0.0' passwd='open &amp; see'>"})
    with Run(work, '--domain', path, '--memory', '64M', '--serial', 'none') as run:
        require(re.fullmatch(r'READY spice://0\.0\.0\.0:\d+', run.ready), run.ready)
        port = str(run.port('spice'))
        require(spicy_screenshot(work, '-h', 'localhost', '-p', port, '-w', 'open') is None, 'another opens it')
        require(spicy_screenshot(work, '-h', 'localhost', '-p', port, '-w', 'open & see'), 'it does not open')


def test_tls(work):
    """--spice-tls: a certificate that is made once, and a file with which remote-viewer trusts it"""
    prints = []
    for _ in range(2):
        with Run(work, '--spice-tls', '0', '--web', '0') as run:
            found = re.fullmatch(r'READY spice\+tls://127\.0\.0\.1:\d+ certificate (%s)' % PRINT, run.ready)
            require(found and run.lines[-2].startswith('WEB https://127.0.0.1:'), run.lines)
            prints.append(found.group(1))
            certificate = os.path.join(work, 'data', 'minivm', 'tls', 'server-cert.pem')
            said = subprocess.run(['openssl', 'x509', '-noout', '-fingerprint', '-sha256', '-in', certificate], text=True,
                                  stdout=subprocess.PIPE).stdout
            require(said.strip().endswith('=' + found.group(1)), said)
            check_view(run)
            file = os.path.join(work, 'x.vv')
            with open(file, 'w') as f:
                f.write(run.minivm('vv', 'a/machine', '127.0.0.1').stdout)
            os.environ['SSL_CERT_FILE'] = os.path.join(work, 'data', 'minivm', 'tls', 'ca-cert.pem')
            with Viewer(work, file) as v:
                wait_for('remote-viewer by the file', lambda: shows(v, lambda: spicy_screenshot(
                    work, '-h', 'localhost', '-s', str(run.port('spice+tls')))))
    require(prints[0] == prints[1], 'the certificate was made twice')


def test_sasl(work):
    """--spice-option sasl=on: a user of the data base comes in, another does not, though the machine is in its sandbox"""
    users = os.path.join(work, 'users')
    os.chmod(work, 0o755)  # the machine looks at it as nobody
    subprocess.run(['saslpasswd2', '-f', users, '-p', '-a', 'minivm', '-c', 'alma'], input='open sesame', text=True, check=True)
    with Run(work, '--spice-tls', '0', '--spice-option', 'sasl=on', '--spice-option', 'sasl-db=' + users, '--control',
             os.path.join(work, 'control')) as run:
        qmp, dump = Qmp(os.path.join(work, 'control')), os.path.join(work, 'dump.ppm')

        def take():
            qmp('screendump', filename=dump)
            return read_ppm(dump)

        for password, opens in ('open sesame', True), ('open', False):
            file = os.path.join(work, 'x.vv')
            with open(file, 'w') as f:
                f.write(run.minivm('vv', 'a/machine', '127.0.0.1').stdout + 'username=alma\npassword=%s\n' % password)
            with Viewer(work, file) as v:
                if opens:
                    wait_for('remote-viewer', lambda: shows(v, take))
                else:
                    wait_for('a question', lambda: len(v.windows()) > 0)
                    time.sleep(3)
                    require(letters(take()) and not shows(v, take), 'a picture')
        require(run.p.poll() is None, 'it ended')
    os.chmod(users, 0o600)
    with Run(work, '--spice-tls', '0', '--spice-option', 'sasl-db=' + users) as run:
        run.p.wait(PATIENCE)
    require(run.p.returncode == 1 and users in run.messages and '--sandbox on,user=' in run.messages, run.messages)


def test_passwords(work):
    """a password by --control opens, until it expires"""
    password = os.path.join(work, 'password')
    with open(password, 'w') as f:
        f.write('first\n')
    control = os.path.join(work, 'control')
    with Run(work, '--spice', '0', '--spice-password-file', password, '--control', control) as run:
        def opens(word):
            return spicy_screenshot(work, '-h', '127.0.0.1', '-p', str(run.port('spice')), '-w', word) is not None

        q = Qmp(control)
        wait_for('picture', lambda: opens('first'))
        q('set_password', protocol='spice', password='second', connected='keep')
        require(opens('second') and not opens('first'), 'set_password')
        q('expire_password', protocol='spice', time='now')
        require(not opens('second'), 'expire_password now')
        q('expire_password', protocol='spice', time='+60')
        require(opens('second'), 'expire_password +60')
        for bad in dict(protocol='vnc', password='x'), dict(protocol='spice', password=''), \
                dict(protocol='spice', password='x', connected='perhaps'):
            try:
                q('set_password', **bad)
                require(False, '%s was taken' % bad)
            except Error:
                pass


class From(threading.Thread):
    """A port that leads to another one, where those who come by it have another address."""

    def __init__(self, address, port):
        super().__init__(daemon=True)
        self.address, self.to = address, port
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            ends = self.listener.accept()[0], socket.create_connection(('127.0.0.1', self.to), 10, (self.address, 0))
            for one, other in ends, ends[::-1]:
                threading.Thread(target=self.copy, args=(one, other), daemon=True).start()

    @staticmethod
    def copy(one, other):
        try:
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def test_software_host(work):
    """in a software host: TLS, the page, the password that it made; guessing from one address locks no other one out"""
    with Run(work, '--spice-tls', '0', '--web', '0', '--spice-listen', '0.0.0.0', accel='nested') as run:
        password = re.search(' password ([a-z2-9]+) certificate', run.ready).group(1)
        require('password=%s\n' % password in run.minivm('vv', 'a/machine').stdout, 'another password in the file')
        authority = os.path.join(work, 'data', 'minivm', 'tls', 'ca-cert.pem')
        os.environ['SSL_CERT_FILE'] = authority
        page = urllib.request.urlopen('https://localhost:%d/' % run.port('https'),
                                      context=ssl.create_default_context(cafile=authority)).read()
        require(b'<h1>a/machine</h1>' in page, page)
        port = run.port('spice+tls')
        guesser, friend = From('127.0.0.1', port), From('127.0.0.7', port)
        firmware_picture(work, '-h', 'localhost', '-s', str(guesser.port), '-w', password)
        for _ in range(10):
            require(spicy_screenshot(work, '-h', 'localhost', '-s', str(guesser.port), '-w', 'guess') is None, 'a wrong one opens')
        require(spicy_screenshot(work, '-h', 'localhost', '-s', str(guesser.port), '-w', password) is None, 'the 11th is looked at')
        require(spicy_screenshot(work, '-h', 'localhost', '-s', str(friend.port), '-w', password), 'the friend is locked out')


if __name__ == '__main__':
    run_tests([test_plain, test_left_behind, test_everywhere, test_domain, test_domain_password, test_tls, test_sasl, test_passwords,
               test_software_host], ('spicy-screenshot', 'remote-viewer', 'Xvfb', 'xdotool', 'openssl', 'qemu-img'))
