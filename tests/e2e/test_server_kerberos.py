#!/usr/bin/env python3
"""Clients that prove by Kerberos, through SASL's GSSAPI, who they are. TAP on stdout."""
import os, subprocess, time

import kerberos
from test_run_spice import Run, firmware_picture
from test_server_tls import check_screen, tls_server, viewer_file
from viewer import PATIENCE, Viewer, require, run_tests, spicy_screenshot, wait_for


def configure(work, realm):
    """-> what a server needs whose owner has written minivm.conf"""
    folder = os.path.join(work, 'sasl2')
    os.mkdir(folder)
    with open(os.path.join(folder, 'minivm.conf'), 'w') as f:
        f.write('mech_list: GSSAPI\nkeytab: %s\n' % realm.keytab)
    return {'SASL_CONF_PATH': folder, 'KRB5_CONFIG': realm.env['KRB5_CONFIG']}


def own_client(port, authority):
    return subprocess.run(['build/minivm-client', '--list-channels', '--ca-file', authority, 'spice+tls://localhost:%d' % port],
                          text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)


def test_own_client(work):
    """minivm-client with a ticket comes in without a password; without one it says that it needs a user and a password"""
    with kerberos.Realm(work, 'spice/localhost') as realm:
        realm.add_user('alma', 'open sesame')
        with tls_server(work, '--sasl', '/dev/null', env=configure(work, realm)) as server:
            authority = os.path.join(work, 'minivm', 'tls', 'ca-cert.pem')
            os.environ.update(realm.env)
            run = own_client(server.tls_port, authority)
            require(run.returncode == 0 and 'display 0' in run.stdout, 'with a ticket: ' + run.stderr)
            os.environ['KRB5CCNAME'] = 'FILE:' + os.path.join(work, 'none')
            run = own_client(server.tls_port, authority)
            require(run.returncode == 1 and '--user' in run.stderr, 'without one: %s%s' % (run.stdout, run.stderr))


def test_ticket(work):
    """remote-viewer and spicy with a ticket see and type, without a password; without one they see nothing"""
    with kerberos.Realm(work, 'spice/localhost') as realm:
        realm.add_user('alma', 'open sesame')
        with tls_server(work, '--sasl', '/dev/null', env=configure(work, realm)) as server:
            authority = os.path.join(work, 'minivm', 'tls', 'ca-cert.pem')
            commands = [('remote-viewer', viewer_file(work, server, host='localhost')),
                        ('spicy', '-h', 'localhost', '-s', str(server.tls_port), '--spice-ca-file', authority)]
            for tickets, opens in (realm.env['KRB5CCNAME'], True), ('FILE:' + os.path.join(work, 'none'), False):
                os.environ.update(realm.env, KRB5CCNAME=tickets)
                for program, *args in commands:
                    with Viewer(work, *args, program=program) as v:
                        if opens:
                            check_screen(server, v, work)
                        else:
                            wait_for('a window', v.windows)
                            time.sleep(4)
                            require(not v.place_of(server.picture(work)), '%s: a picture' % program)


def test_machine(work):
    """a machine in its sandbox, whose user may not read the keys, takes a ticket; without keys it does not start, and says why"""
    options = ['--spice-tls', '0', '--spice-option', 'sasl=on']
    os.chmod(work, 0o755)  # krb5.conf is everybody's
    with kerberos.Realm(work, 'spice/localhost') as realm:
        realm.add_user('alma', 'open sesame')
        os.environ.update(realm.env, **configure(work, realm))
        require(os.stat(realm.keytab).st_mode & 0o77 == 0, 'the keys are not private')
        with Run(work, *options) as run:
            os.environ['SSL_CERT_FILE'] = os.path.join(work, 'data', 'minivm', 'tls', 'ca-cert.pem')
            place = '-h', 'localhost', '-s', str(run.port('spice+tls'))
            for _ in range(2):
                firmware_picture(work, *place)
            os.environ['KRB5CCNAME'] = 'FILE:' + os.path.join(work, 'none')
            require(spicy_screenshot(work, *place) is None, 'a picture without a ticket')
        os.unlink(realm.keytab)
        with Run(work, *options) as run:
            require(not run.ready, 'it starts')
            run.p.wait(PATIENCE)
        require(run.p.returncode == 1 and 'keys of Kerberos' in run.messages and realm.keytab in run.messages, run.messages)


run_tests([test_own_client, test_ticket, test_machine],
          ('remote-viewer', 'spicy', 'spicy-screenshot', 'Xvfb', 'xdotool', *kerberos.PROGRAMS))
