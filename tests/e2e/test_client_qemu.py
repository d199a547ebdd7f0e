#!/usr/bin/env python3
"""minivm-client on QEMU's SPICE server: pictures, typing, passwords, refusals. Prints TAP.

usage: tests/e2e/test_client_qemu.py [CLIENT]

Starts QEMU under TCG with a boot sector that echoes the keyboard, so that what is typed is seen in the picture. The pictures
are compared pixel for pixel with spicy-screenshot's, a client with other decoders. Needs no display and no KVM.
"""
import contextlib, json, os, shutil, socket, subprocess, sys, tempfile, time

from viewer import free_port

CLIENT = sys.argv[1] if len(sys.argv) > 1 else 'build/minivm-client'

# Hide the cursor, which blinks; then read a key (int 16h), write it (int 10h); after Enter a line feed too; again.
ECHO = bytes.fromhex('b401b90020cd10' 'b400cd16b40ebb0700cd103c0d75f1b00ab40ecd10ebe9').ljust(510, b'\0') + b'\x55\xaa'


@contextlib.contextmanager
def qemu(folder, *spice, devices=(), boot=ECHO):
    """QEMU with its SPICE server on a free port, until the block ends."""
    disk = os.path.join(folder, 'echo.img')
    with open(disk, 'wb') as f:
        f.write(boot.ljust(1 << 20, b'\0'))
    port = free_port()
    option = ','.join(['addr=127.0.0.1,port=%d' % port, *spice])
    command = ['qemu-system-x86_64', '-accel', 'tcg', '-m', '32', '-vga', 'qxl', '-display', 'none', '-net', 'none',
               '-monitor', 'none', '-drive', 'format=raw,snapshot=on,file=' + disk, '-spice', option, *devices]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError):
                socket.create_connection(('127.0.0.1', port)).close()
                break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


def client(port, *options, timeout=60):
    return subprocess.run([CLIENT, '--headless', 'spice://127.0.0.1:%d' % port, *options], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)


def ppm(path):
    with open(path, 'rb') as f:
        data = f.read()
    return data.split(b'\n255\n', 1)


def wait_for_boot(port, folder):
    """Until the picture has not changed for a second: the boot sector waits for keys."""
    path, last = os.path.join(folder, 'boot.ppm'), None
    for _ in range(30):
        run = client(port, '--screenshot', path)
        assert run.returncode == 0, run.stderr
        now = ppm(path)
        if now == last and any(now[1]):
            return now
        last = now
        time.sleep(1)
    raise AssertionError('the guest did not settle')


def reference(port, folder):
    path = os.path.join(folder, 'reference.ppm')
    subprocess.run(['spicy-screenshot', '--uri', 'spice://127.0.0.1:%d' % port, '--out-file=' + path], check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
    return ppm(path)


def lit_rows(picture):
    """The text rows (16 pixels each) in which something is written."""
    width, height = map(int, picture[0].split()[1:3])
    rows = [picture[1][y * width * 3:(y + 16) * width * 3] for y in range(0, height, 16)]
    return [any(row) for row in rows].count(True)


def check_picture(folder, compression):
    with qemu(folder, 'disable-ticketing=on', 'image-compression=' + compression) as port:
        wait_for_boot(port, folder)
        path = os.path.join(folder, 'ours.ppm')
        run = client(port, '--screenshot', path, '--stats')
        assert run.returncode == 0, run.stderr
        stats = json.loads(run.stdout)
        display = [c for c in stats['channels'] if c['type'] == 'display'][0]
        assert sum(display['images'].values()) > 0, stats
        assert ppm(path) == reference(port, folder), 'the pictures differ'


TEXT = 'The QUICK brown fox, {[jumps]} over "3" <lazy> dogs!\\nsecond line\\n'


def check_typing(folder):
    with qemu(folder, 'disable-ticketing=on') as port:
        before = wait_for_boot(port, folder)
        path = os.path.join(folder, 'typed.ppm')
        run = client(port, '--type', TEXT, '--screenshot', path)
        assert run.returncode == 0, run.stderr
        after = ppm(path)
        assert lit_rows(after) >= lit_rows(before) + 2, 'the text did not arrive'
        assert after == reference(port, folder), 'the pictures differ'
        # The same text once more gives the same rows again: no key is lost or doubled by chance.
        width = int(after[0].split()[1])
        run = client(port, '--type', TEXT, '--screenshot', path)
        again = ppm(path)
        size = 16 * width * 3
        rows = [again[1][i:i + size] for i in range(0, len(again[1]), size)]
        texts = [r for r in rows if any(r)]
        assert texts[-4:-2] == texts[-2:], 'typed twice, it looks different'


def check_absolute_mouse(folder):
    with qemu(folder, 'disable-ticketing=on', devices=['-usb', '-device', 'usb-tablet']) as port:
        run = client(port, '--exit-after', '2', '--stats')
        assert run.returncode == 0, run.stderr
        assert len(json.loads(run.stdout)['channels']) == 4


def check_password(folder):
    secret = os.path.join(folder, 'secret')
    with open(secret, 'w') as f:
        f.write('s3cret word\n')
    with qemu(folder, 'password-secret=p', devices=['-object', 'secret,id=p,file=' + secret + '.qemu']) as port:
        path = os.path.join(folder, 'p.ppm')
        run = client(port, '--password-file', secret, '--screenshot', path)
        assert run.returncode == 0 and os.path.getsize(path) > 0, run.stderr
        run = client(port)
        assert run.returncode == 1 and 'password' in run.stderr and len(run.stderr.splitlines()) == 2, run.stderr


def check_refusals(folder):
    run = client(free_port())
    assert run.returncode == 1 and len(run.stderr.splitlines()) == 2 and 'refused' in run.stderr, run.stderr
    run = subprocess.run([CLIENT, '--no-such'], stderr=subprocess.PIPE, text=True)
    assert run.returncode == 2 and '--no-such' in run.stderr
    run = subprocess.run([CLIENT, '--headless', 'spice://h:70000'], stderr=subprocess.PIPE, text=True)
    assert run.returncode == 2 and '70000' in run.stderr
    run = subprocess.run([CLIENT, '--headless', 'spice://no-such-host.invalid:1'], stderr=subprocess.PIPE, text=True)
    assert run.returncode == 1 and 'no-such-host.invalid' in run.stderr


def check_no_spice(folder):
    """Something listens, but it is no SPICE server."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        s.listen()
        port = s.getsockname()[1]
        process = subprocess.Popen([CLIENT, '--headless', 'spice://127.0.0.1:%d' % port], stderr=subprocess.PIPE, text=True)
        peer, _ = s.accept()
        peer.sendall(b'HTTP/1.1 400 Bad Request\r\n\r\n')
        _, err = process.communicate(timeout=20)
        peer.close()
    assert process.returncode == 1 and 'no SPICE server' in err, err


def check_server_dies(folder):
    path = os.path.join(folder, 'never.ppm')
    with qemu(folder, 'disable-ticketing=on') as port:
        wait_for_boot(port, folder)
        process = subprocess.Popen([CLIENT, '--headless', 'spice://127.0.0.1:%d' % port, '--screenshot', path,
                                    '--exit-after', '30'], stderr=subprocess.PIPE, text=True)
        time.sleep(2)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1 and 'screenshot' in err and not os.path.exists(path), err


CHECKS = [
    *[('the picture is the reference client\'s, compression ' + c, lambda f, c=c: check_picture(f, c))
      for c in ('auto_glz', 'auto_lz', 'quic', 'glz', 'lz', 'off')],
    ('typed text arrives', check_typing),
    ('a tablet gives all four channels', check_absolute_mouse),
    ('the password is taken, a missing one is refused in two lines', check_password),
    ('bad command lines and absent servers are refused', check_refusals),
    ('a server that speaks something else is refused', check_no_spice),
    ('a server that dies is no success', check_server_dies),
]


def main():
    for tool in ('qemu-system-x86_64', 'spicy-screenshot'):
        if not shutil.which(tool):
            print('%s is missing' % tool)
            return 77
    failed = 0
    print('1..%d' % len(CHECKS))
    for number, (name, check) in enumerate(CHECKS, 1):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, 'secret.qemu'), 'w') as f:
                f.write('s3cret word')
            try:
                check(folder)
                print('ok %d - %s' % (number, name), flush=True)
            except Exception as e:
                failed += 1
                print('not ok %d - %s\n# %s: %s' % (number, name, type(e).__name__, e), flush=True)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
