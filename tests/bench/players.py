"""What the benches of servers and of clients share: recordings, ports, ratios."""
import os, socket, sys

HERE = os.path.dirname(os.path.abspath(__file__))
SMALL_TRACES = os.path.join(HERE, '../data/traces')
PATIENCE = 280


def find_trace(name, folder):
    for place in (SMALL_TRACES, folder):
        for suffix in ('.qxt', '.qxt.zst'):
            path = place and os.path.join(place, name + suffix)
            if path and os.path.exists(path):
                return path
    return None


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as s:
        return s.getsockname()[1]


def read_port(server):
    for line in server.stdout:
        if line.startswith('PORT '):
            return int(line.split()[1])
    sys.exit('no port from: ' + ' '.join(server.args))


def ratio(a, b):
    return '%.2f' % (a / b) if b else '-'


def against(name, ours, theirs, unit, digits=3):
    return '%s %.*f / %.*f %s = %s' % (name, digits, ours, digits, theirs, unit, ratio(ours, theirs))
