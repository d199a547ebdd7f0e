"""A stock guest agent without a guest: spice-vdagentd and spice-vdagent on an X server, a SPICE server at the other end."""
import os, subprocess, threading

from viewer import free_port, require, wait_for

# Each with the agent's port as a Unix socket.
SERVERS = {'libspice-server': ['build/tests/agent/host', '--socket'], 'our server': ['build/tests/e2e/fake_server', '--agent']}
PROGRAMS = ['spice-vdagentd', 'spice-vdagent', 'Xvfb', 'xdotool']


class StockAgent:
    """.port is the server's; files come into .files."""

    def __init__(self, folder, server):
        self.folder, self.files = folder, os.path.join(folder, 'files')
        os.mkdir(self.files)
        self.started = []
        self.port_path, self.socket = os.path.join(folder, 'agent-port'), os.path.join(folder, 'agent-socket')
        self.port = str(free_port())
        self.host = self.start(*SERVERS[server], self.port_path, '--port', self.port, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
        require(self.host.stdout.readline().startswith('PORT'), 'the server does not start')
        self.said = []
        threading.Thread(target=lambda: self.said.extend(iter(self.host.stdout.readline, '')), daemon=True).start()
        self.display = self.start_display()
        self.start_daemon()
        self.start_session()

    def start(self, *args, **options):
        options = {'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL, **options}
        p = subprocess.Popen(args, **options)
        self.started.append(p)
        return p

    def start_display(self):
        read, write = os.pipe()
        self.start('Xvfb', '-displayfd', str(write), '-screen', '0', '1024x768x24', '-nolisten', 'tcp', '-noreset',
                   pass_fds=[write])
        os.close(write)
        with os.fdopen(read) as f:
            return ':' + f.readline().strip()

    def start_daemon(self):
        self.daemon = self.start('spice-vdagentd', '-x', '-X', '-f', '-u', '/dev/null', '-s', self.port_path, '-S', self.socket)
        wait_for('agent\'s socket', lambda: os.path.exists(self.socket))

    def start_session(self):
        """The agent of the desktop's user; the daemon connects to the port when it is there."""
        env = dict(os.environ, DISPLAY=self.display, HOME=self.folder)
        self.agent = self.start('spice-vdagent', '-x', '-s', self.port_path, '-S', self.socket, '-f', self.files, '-o', '0', env=env)
        self.wait_for(True)

    def wait_for(self, there):
        """What the server knows of the agent."""
        wait_for('agent', lambda: [l for l in self.said if l.startswith('agent ')][-1:] == ['agent %d\n' % there])

    def stop(self, process):
        process.terminate()
        process.wait(20)
        self.started.remove(process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for p in reversed(self.started):
            p.terminate()
        for p in self.started:
            p.wait(20)


def with_each_server(*tests):
    """For run_tests(): test(work, server), each with each server."""
    def bind(test, server):
        def bound(work):
            test(work, server)
        bound.__name__ = test.__name__
        bound.__doc__ = '%s: %s' % (server, test.__doc__)
        return bound

    return [bind(test, server) for server in SERVERS for test in tests]
