#!/usr/bin/env python3
"""How minivm-client comes to a server and stays with it: TAP on stdout.

usage: test_connect.py [CLIENT]
"""
import os, signal, socket, subprocess, sys, time

import fake
from viewer import Viewer, require, run_tests, wait_for

CLIENT = sys.argv[1] if __name__ == '__main__' and len(sys.argv) > 1 else 'build/minivm-client'


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def said(v, *words):
    """Whether the client has said all that."""
    with open(v.messages) as f:
        text = f.read()
    return all(word in text for word in words)


def shows(v, server, work):
    wait_for('the picture', lambda: v.place_of(server.picture(work)))


# --- a window's session ---

def test_reconnect(work):
    """the server is killed and comes back: the window waits for it, and shows the new one"""
    port = free_port()
    server = fake.Server('--port', str(port))
    server.command('draw mixed')
    with Viewer(work, 'spice://127.0.0.1:%d' % port, program=CLIENT) as v:
        shows(v, server, work)
        server.p.kill()
        server.p.wait()
        wait_for('a second try', lambda: said(v, 'trying again in 1 s', 'trying again in 2 s'))
        with fake.Server('--port', str(port)) as server:
            server.command('draw text')
            shows(v, server, work)
            server.command('tablet 1')
            v.xdotool('mousemove', '700', '500', 'click', '1', 'key', 'b')
            wait_for('a key', lambda: [e[0] for e in server.events('key')][-2:] == ['30', 'b0'])


TESTS = [test_reconnect]


if __name__ == '__main__':
    run_tests(TESTS, ['Xvfb', 'xdotool'])
