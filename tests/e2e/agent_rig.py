"""The guest agent between a host and a user that are not ours: libspice-server (tests/agent/host.c), whose port is a
unix socket, and spice-gtk (tests/agent/user.c); the guest's session is an X server of its own."""
import os, queue, subprocess, threading

from viewer import PATIENCE, XDISPLAY, Failed, free_port, require, wait_for

BUILD = 'build/'
TEXT, PNG, BMP = '1', '2', '3'
CLIPBOARD, PRIMARY = '0', '1'
SELECTION = {CLIPBOARD: 'clipboard', PRIMARY: 'primary'}


class Lines:
    """A program whose lines are waited for."""

    def __init__(self, *command, **more):
        self.p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **more)
        self.lines, self.seen = queue.Queue(), []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.p.stdout:
            self.lines.put(line.rstrip('\n'))

    def tell(self, *words):
        self.p.stdin.write(' '.join(words) + '\n')
        self.p.stdin.flush()

    def wait(self, start, seconds=PATIENCE):
        """The next line that begins so; those before it are dropped."""
        while True:
            try:
                line = self.lines.get(timeout=seconds)
            except queue.Empty:
                raise Failed('no "%s" within %d s, after %s' % (start, seconds, self.seen[-5:]))
            self.seen.append(line)
            if line.startswith(start):
                return line

    def forget(self):
        """What has been said until now."""
        while not self.lines.empty():
            self.seen.append(self.lines.get())

    def end(self):
        self.p.kill()
        self.p.wait()


class Rig:
    def __init__(self, folder, user=True, x=None, agentd=(), agent=(), before=()):
        """before: a command that the daemon is started by, with logind."""
        self.folder, self.processes, self.before = folder, [], before
        self.port, self.link = os.path.join(folder, 'port'), os.path.join(folder, 'link')
        self.saved = os.path.join(folder, 'saved')
        os.makedirs(self.saved, exist_ok=True)
        self.agentd_options, self.agent_options = agentd, agent
        self.display = ':%d' % (XDISPLAY + 2)
        self.env = dict(os.environ, DISPLAY=self.display, HOME=folder)
        self.x = self.run(*(x or ['Xvfb', '-screen', '0', '1600x1200x24', '-nolisten', 'tcp', '-noreset']),
                          self.display)
        wait_for('X server', lambda: self.call('xdpyinfo') is not None)
        self.spice = str(free_port())
        self.host = Lines(BUILD + 'tests/agent/host', '--socket', self.port, '--port', self.spice)
        self.host.wait('PORT')
        self.start_agentd()
        self.start_agent()
        self.user = None
        if user:
            self.user = self.new_user()

    def new_user(self):
        user = Lines(BUILD + 'tests/agent/user', '--port', self.spice)
        user.wait('AGENT 1')
        return user

    def run(self, *command, log=None):
        out = open(os.path.join(self.folder, log), 'a') if log else subprocess.DEVNULL
        p = subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.processes.append(p)
        return p

    def call(self, *command, data=None):
        """-> what a program of the guest's writes, or None if it fails"""
        r = subprocess.run(command, env=self.env, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                           timeout=PATIENCE)
        return r.stdout if r.returncode == 0 else None

    def start_agentd(self):
        self.agentd = self.run(*self.before, BUILD + 'minivm-agentd', *([] if self.before else ['--no-logind']),
                               '--verbose', '--port', self.port, '--socket', self.link,
                               *self.agentd_options, log='agentd.log')
        wait_for('agentd', lambda: os.path.exists(self.link))

    def start_agent(self):
        self.agent = self.run(BUILD + 'minivm-agent', '--verbose', '--socket', self.link, '--save-dir', self.saved,
                              *self.agent_options, log='agent.log')

    def stop(self, p):
        p.terminate()
        require(p.wait(PATIENCE) == 0, 'a program ended with status %s' % p.returncode)

    def log(self, name):
        with open(os.path.join(self.folder, name), errors='replace') as f:
            return f.read()

    def copy(self, selection, data, *options):
        """Somebody in the guest copies something; xclip stays until somebody else does."""
        subprocess.run(['xclip', '-i', '-selection', SELECTION[selection], *options], input=data, env=self.env,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=PATIENCE, check=True)

    def paste(self, selection, *options):
        return self.call('xclip', '-o', '-selection', SELECTION[selection], *options)

    def path(self, name, data):
        path = os.path.join(self.folder, name)
        with open(path, 'wb') as f:
            f.write(data)
        return path

    def __enter__(self):
        return self

    def __exit__(self, kind, error, *_):
        if isinstance(error, Failed):
            error.args = ('%s; agentd said: %s; agent said: %s' % (error, self.log('agentd.log')[-600:].strip(),
                                                                   self.log('agent.log')[-600:].strip()),)
        if self.user:
            self.user.end()
        self.host.end()
        for p in self.processes:
            p.kill()
            p.wait()
