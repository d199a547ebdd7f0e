"""Our server with a display that needs no guest: build/tests/e2e/fake_server."""
import os, re, subprocess, threading

from viewer import read_ppm, require, wait_for

PROGRAM = 'build/tests/e2e/fake_server'
CHANNELS = 4  # that a client opens: main, display, cursor, inputs
WARM_UP = 30  # clients


class Server:
    """fake_server: commands go to its stdin; what it prints is collected; its log goes to a file, if one is named."""

    def __init__(self, *args, env=None, log=os.devnull):
        with open(log, 'w') as f:
            self.p = subprocess.Popen([PROGRAM, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=f, text=True,
                                      bufsize=1, env=dict(os.environ, **(env or {})))
        self.port, self.tls_port, self.web_port = (int(port) for port in self.p.stdout.readline().split()[1:])
        self.lines = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.p.stdout:
            self.lines.append(line.rstrip())

    def command(self, text):
        before = self.lines.count('done')
        self.p.stdin.write(text + '\n')
        self.p.stdin.flush()
        wait_for(text, lambda: self.lines.count('done') > before, step=0.01)

    def events(self, kind):
        return [l.split()[1:] for l in self.lines if l.startswith(kind + ' ')]

    def resources(self):
        """-> (descriptors, resident KiB)"""
        self.command('fds')
        last = [l for l in self.lines if l.startswith('fds ')][-1].split()
        return int(last[1]), int(last[3])

    def status(self, key):
        """A number of its /proc/PID/status: KiB, or a count."""
        with open('/proc/%d/status' % self.p.pid) as f:
            return int(re.search(r'^%s:\s*(\d+)' % key, f.read(), re.M).group(1))

    def frames(self):
        """How many its film has had."""
        self.command('frames')
        return int(self.events('frames')[-1][0])

    def picture(self, folder):
        source = os.path.join(folder, 'source.ppm')
        self.command('dump ' + source)
        return read_ppm(source)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.stdin.close()
        require(self.p.wait(10) == 0, 'the server ended with status %s' % self.p.returncode)


def come_and_go(server, command, idle):
    """A client opens all channels, and is ended while it gets the first picture."""
    p = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for('all channels', lambda: server.resources()[0] == idle + CHANNELS, step=0.05)
    finally:
        p.terminate()
        p.wait()
    wait_for('descriptors', lambda: server.resources()[0] == idle, 10, 0.05)


def check_reconnects(server, *command):
    """Of a hundred clients nothing stays; after those before them the server has all that it needs."""
    server.command('draw mixed')
    idle, memory = server.resources()[0], 0
    for _ in range(WARM_UP):
        come_and_go(server, command, idle)
        memory = max(memory, server.status('RssAnon'))  # what is kept for the next one is not always the same
    threads = server.status('Threads')
    for _ in range(100):
        come_and_go(server, command, idle)
    require(server.status('Threads') == threads, 'there are %d threads, not %d' % (server.status('Threads'), threads))
    wait_for('memory within 1 MiB of %d KiB' % memory, lambda: server.status('RssAnon') <= memory + 1024, 10)
    print('# a hundred clients: %d KiB, %d threads' % (server.status('RssAnon') - memory, threads))
