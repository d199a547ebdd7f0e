#!/usr/bin/env python3
"""Stock clients, and openssl, against our server with TLS: TAP on stdout.

usage: test_server_tls.py [PATH OF fake_server]
"""
import os, subprocess, sys, time

import fake
from viewer import Viewer, require, run_tests, spicy_screenshot, wait_for

if __name__ == '__main__' and len(sys.argv) > 1:
    fake.PROGRAM = sys.argv[1]


def tls_server(work, *args, env=None):
    """Its certificate is made in `work`."""
    return fake.Server('--tls', '--size', '640x480', *args, env={'XDG_DATA_HOME': work, **(env or {})})


def authority(work):
    return os.path.join(work, 'minivm', 'tls', 'ca-cert.pem')


def screenshot(work, server, *args, port=None, ca=None):
    """It takes whom OpenSSL takes by default."""
    os.environ['SSL_CERT_FILE'] = ca or authority(work)
    return spicy_screenshot(work, '-h', 'localhost', '-s', str(port or server.tls_port), *args)


def test_pictures(work):
    """spicy-screenshot sees the picture, if it trusts the authority and the name is the certificate's"""
    with tls_server(work) as server:
        server.command('draw mixed')
        require(screenshot(work, server) == server.picture(work), 'the pictures differ')
        require(screenshot(work, server, port=server.port) == server.picture(work), 'the other port: the pictures differ')
        require(screenshot(work, server, ca='/dev/null') is None, 'without an authority: a picture')
        require(screenshot(work, server, '-h', '127.0.0.2') is None, 'by another name: a picture')


def test_clear(work):
    """who has only the clear port sees nothing; who has both is led to TLS"""
    with tls_server(work) as server:
        server.command('draw text')
        require(spicy_screenshot(work, '-h', 'localhost', '-p', str(server.port)) is None, 'a picture without TLS')
        require(screenshot(work, server, '-p', str(server.port)) == server.picture(work), 'both ports: no picture')


def test_password(work):
    """TLS and a password: the right one opens until it expires or there is another, a wrong one does not"""
    with tls_server(work, '--password', 'sesame') as server:
        server.command('draw text')
        require(screenshot(work, server, '-w', 'sesame') == server.picture(work), 'the right password: no picture')
        require(screenshot(work, server, '-w', 'simsim') is None, 'the wrong password shows a picture')
        server.command('expire 0')
        require(screenshot(work, server, '-w', 'sesame') is None, 'the password has expired, and shows a picture')
        server.command('password open')
        require(screenshot(work, server, '-w', 'sesame') is None, 'the password before shows a picture')
        require(screenshot(work, server, '-w', 'open') == server.picture(work), 'the new password: no picture')


def viewer_file(work, server, **more):
    with open(authority(work)) as f:
        ca = f.read().strip().replace('\n', '\\n')
    path = os.path.join(work, 'test.vv')
    with open(path, 'w') as f:
        f.write('[virt-viewer]\ntype=spice\ntls-port=%d\nca=%s\\n\n' % (server.tls_port, ca))
        f.writelines('%s=%s\n' % (key.replace('_', '-'), value) for key, value in more.items())
    return path


def check_screen(server, v, work):
    """What is drawn is shown, and a key arrives."""
    server.command('draw mixed')
    server.command('tablet 1')
    x, y = wait_for('first picture', lambda: v.place_of(server.picture(work)))
    server.command('draw text')
    wait_for('text', lambda: v.place_of(server.picture(work)))
    v.xdotool('mousemove', str(x + 300), str(y + 200), 'click', '1')
    v.xdotool('key', 'b')
    wait_for('a key', lambda: [e[0] for e in server.events('key')][-2:] == ['30', 'b0'])


def check_viewer(work, server, program, *args):
    with Viewer(work, *args, program=program) as v:
        check_screen(server, v, work)


def test_remote_viewer(work):
    """remote-viewer by a file with port, password, authority and subject shows the display and types"""
    with open('/proc/sys/kernel/hostname') as f:
        subject = 'O=minivm,CN=' + f.read().strip()
    with tls_server(work, '--password', 'from the file') as server:
        check_viewer(work, server, 'remote-viewer',
                     viewer_file(work, server, host='127.0.0.1', password='from the file', host_subject=subject))


def test_spicy(work):
    """spicy, too"""
    with tls_server(work) as server:
        check_viewer(work, server, 'spicy', '-h', 'localhost', '-s', str(server.tls_port), '--spice-ca-file', authority(work))


def test_switch_host(work):
    """remote-viewer follows to another server by TLS, where the certificate is the same"""
    with tls_server(work, '--password', 'both') as first, tls_server(work, '--password', 'both') as second:
        first.command('draw mixed')
        with Viewer(work, viewer_file(work, first, host='localhost', password='both')) as v:
            wait_for('picture', lambda: v.place_of(first.picture(work)))
            first.command('switch -1 %d' % second.tls_port)
            check_screen(second, v, work)


def test_sasl(work):
    """remote-viewer by SASL: user and password open, wrong ones do not, nor does the clear or a ticket"""
    users = os.path.join(work, 'users')
    subprocess.run(['saslpasswd2', '-f', users, '-p', '-a', 'minivm', '-c', 'alma'], input='open sesame', text=True, check=True)
    with tls_server(work, '--sasl', users) as server:
        server.command('draw text')
        require(screenshot(work, server) is None, 'by a ticket: a picture')
        require(spicy_screenshot(work, '-h', 'localhost', '-p', str(server.port)) is None, 'in the clear: a picture')
        for user, password, opens in ('alma', 'open sesame', True), ('alma', 'open', False), ('else', 'open sesame', False):
            with Viewer(work, viewer_file(work, server, host='localhost', username=user, password=password)) as v:
                if opens:
                    check_screen(server, v, work)
                else:
                    wait_for('a question', lambda: len(v.windows()) > 0)
                    time.sleep(4)
                    require(not v.place_of(server.picture(work)), '%s: a picture' % user)


def openssl(work, server, *args):
    """-> what `openssl s_client` says, if it connects"""
    p = subprocess.run(['openssl', 's_client', '-connect', 'localhost:%d' % server.tls_port, '-CAfile', authority(work),
                        '-verify_return_error', '-verify_hostname', 'localhost', *args],
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20)
    return p.stdout if p.returncode == 0 else None


def test_openssl(work):
    """`openssl s_client`: TLS 1.2 and 1.3 with forward secrecy, nothing older, nothing weaker, a good certificate"""
    with tls_server(work) as server:
        for version, cipher in ('-tls1_2', 'ECDHE-ECDSA-AES256-GCM-SHA384'), ('-tls1_3', 'TLS_AES_256_GCM_SHA384'):
            said = openssl(work, server, version) or ''
            require('Verify return code: 0 (ok)' in said and 'Cipher is ' + cipher in said, '%s: %s' % (version, said))
        for weak in (['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'], ['-tls1', '-cipher', 'ALL:@SECLEVEL=0'],
                     ['-tls1_2', '-cipher', 'AES128-SHA:AES256-SHA256'], ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-SHA']):
            require(openssl(work, server, *weak) is None, '%s: it connects' % ' '.join(weak))


def test_reconnects(work):
    """a hundred clients, with all channels, leave no descriptors, no threads and no memory"""
    with tls_server(work) as server:
        os.environ['SSL_CERT_FILE'] = authority(work)
        fake.check_reconnects(server, 'spicy-stats', '-h', 'localhost', '-s', str(server.tls_port))


if __name__ == '__main__':
    run_tests([test_pictures, test_clear, test_password, test_remote_viewer, test_spicy, test_switch_host, test_sasl, test_openssl,
               test_reconnects], ('spicy-screenshot', 'spicy-stats', 'spicy', 'remote-viewer', 'Xvfb', 'xdotool', 'openssl',
                                  'saslpasswd2'))
