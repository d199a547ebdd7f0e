"""A realm of Kerberos on this host: a key distribution centre (MIT's), a user with a ticket, a service with its key."""
import os, socket, subprocess

from viewer import wait_for

PROGRAMS = 'krb5kdc', 'kdb5_util', 'kadmin.local', 'kinit'
REALM = 'MINIVM.TEST'
# Nothing is asked of DNS. The service goes by another name than the host's: clients come to localhost.
CONFIGURATION = """
[libdefaults]
 default_realm = {realm}
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
 ignore_acceptor_hostname = true
[realms]
 {realm} = {{
  kdc = 127.0.0.1:{port}
 }}
[domain_realm]
 localhost = {realm}
"""
CENTRE = """
[kdcdefaults]
 kdc_listen = 127.0.0.1:{port}
 kdc_tcp_listen = 127.0.0.1:{port}
[realms]
 {realm} = {{
  database_name = {folder}/principal
  key_stash_file = {folder}/stash
  acl_file = {folder}/acl
 }}
"""


class Realm:
    """`with Realm(folder) as realm`: realm.env has what programs need; realm.keytab is the service's."""

    def __init__(self, folder, service):
        self.folder = folder
        self.keytab = self.path('keytab')
        with socket.create_server(('127.0.0.1', 0)) as s:
            self.port = s.getsockname()[1]
        self.env = {'KRB5_CONFIG': self.write('krb5.conf', CONFIGURATION), 'KRB5_KDC_PROFILE': self.write('kdc.conf', CENTRE),
                    'KRB5CCNAME': 'FILE:' + self.path('tickets')}
        self.run('kdb5_util', 'create', '-s', '-P', 'master')
        self.run('kadmin.local', 'addprinc', '-randkey', service)
        self.run('kadmin.local', 'ktadd', '-k', self.keytab, service)
        self.p = subprocess.Popen(['krb5kdc', '-n'], env=dict(os.environ, **self.env), stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), 'w') as f:
            f.write(text.format(realm=REALM, port=self.port, folder=self.folder))
        return self.path(name)

    def run(self, *command, text=''):
        return subprocess.run(command, env=dict(os.environ, **self.env), input=text, text=True, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0

    def add_user(self, name, password):
        """And she gets a ticket."""
        self.run('kadmin.local', 'addprinc', '-pw', password, name)
        wait_for('a ticket', lambda: self.run('kinit', name, text=password + '\n'))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.terminate()
        self.p.wait()
