"""A QMP client of twenty lines, for tests that stop, save and look at machines."""
import json, os, socket, time


class Error(Exception):
    pass


class Qmp:
    def __init__(self, path, patience=30):
        end = time.monotonic() + patience
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(path)
                break
            except OSError:
                self.socket.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)
        # For reading alone: a text file that is written to as well forgets what it has read ahead, and events with it.
        self.lines = self.socket.makefile('r')
        self.greeting = json.loads(self.lines.readline())
        self.events = []
        self('qmp_capabilities')

    def __call__(self, command, **arguments):
        self.socket.sendall(json.dumps({'execute': command, 'arguments': arguments, 'id': command}).encode())
        while True:
            line = self.lines.readline()
            if not line:
                raise Error('%s: the connection ended' % command)
            message = json.loads(line)
            if message.get('id') != command:
                self.events.append(message)
            elif 'error' in message:
                raise Error(message['error']['desc'])
            else:
                return message['return']

    def wait(self, event, patience=60):
        """The next event of that name, which is taken from those that came."""
        while True:
            for message in self.events:
                if message.get('event') == event:
                    self.events.remove(message)
                    return message
            self.socket.settimeout(patience)
            line = self.lines.readline()
            self.socket.settimeout(None)
            if not line:
                raise Error('%s: the connection ended' % event)
            self.events.append(json.loads(line))

    def close(self):
        self.lines.close()
        self.socket.close()
