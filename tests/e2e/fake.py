"""Our server with a display that needs no guest: build/tests/e2e/fake_server."""
import os, subprocess, threading

from viewer import read_ppm, require, wait_for

PROGRAM = 'build/tests/e2e/fake_server'


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
        wait_for(text, lambda: self.lines.count('done') > before)

    def events(self, kind):
        return [l.split()[1:] for l in self.lines if l.startswith(kind + ' ')]

    def resources(self):
        """-> (descriptors, resident KiB)"""
        self.command('fds')
        last = [l for l in self.lines if l.startswith('fds ')][-1].split()
        return int(last[1]), int(last[3])

    def picture(self, folder):
        source = os.path.join(folder, 'source.ppm')
        self.command('dump ' + source)
        return read_ppm(source)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.stdin.close()
        require(self.p.wait(10) == 0, 'the server ended with status %s' % self.p.returncode)
