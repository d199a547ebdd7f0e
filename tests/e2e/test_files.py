#!/usr/bin/env python3
"""Files that the client sends to a guest: to the stock agent, spice-vdagent, by libspice-server and by ours. TAP on stdout."""
import hashlib, os, random, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stock_agent import PROGRAMS, StockAgent, with_each_server
from viewer import Viewer, require, run_tests, wait_for

CLIENT = 'build/minivm-client'
# A desktop's file manager, as far as it is needed: GTK's own drag and drop. Debian's Python has its bindings.
SOURCE = '''
import sys, gi
gi.require_version('Gtk', '3.0')
gi.require_version('Gdk', '3.0')
from gi.repository import Gdk, Gtk
window, box = Gtk.Window(title='source', default_width=150, default_height=150), Gtk.EventBox()
window.add(box)
box.drag_source_set(Gdk.ModifierType.BUTTON1_MASK, [], Gdk.DragAction.COPY)
box.drag_source_add_uri_targets()
box.connect('drag-data-get', lambda b, c, data, i, t: data.set_uris(['file://' + a for a in sys.argv[1:]]))
window.show_all()
window.move(0, 0)
Gtk.main()
'''


def make(folder, name, size, seed=1):
    path = os.path.join(folder, name)
    with open(path, 'wb') as f:
        f.write(random.Random(seed).randbytes(size))
    return path


def digest(path):
    with open(path, 'rb') as f:
        return hashlib.sha256(f.read()).digest()


def send(agent, *paths, status=0):
    args = [word for path in paths for word in ('--send', path)]
    p = subprocess.run([CLIENT, '--headless', '--exit-after', '60', *args, 'spice://127.0.0.1:' + agent.port], timeout=90,
                       text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    require(p.returncode == status, 'status %d: %s' % (p.returncode, p.stderr))
    return p.stderr


def test_send(work, server):
    """--send: files of many sizes and names are there, byte for byte; what is there already is not written over"""
    with StockAgent(work, server) as agent:
        paths = [make(work, name, size, size) for name, size in
                 (('empty', 0), ('one', 1), ('piece', 65536), ('more', 65537), (' lead \\ ä', 300000), ('large', 20 << 20))]
        send(agent, *paths)
        for path in paths:
            got = os.path.join(agent.files, os.path.basename(path))
            require(digest(got) == digest(path), path)
            require(not os.stat(got).st_mode & 0o111, 'a program came of it')
        other = make(work, 'one', 2, 7)
        send(agent, other)
        require(os.path.getsize(os.path.join(agent.files, 'one')) == 1, 'it was written over')
        require(digest(os.path.join(agent.files, 'one (1)')) == digest(other), 'it has another name')


def test_refused(work, server):
    """what the guest has no room for, and what is no file, is said; the others come"""
    with StockAgent(work, server) as agent:
        small = make(work, 'small', 1000)
        large = os.path.join(work, 'large')
        with open(large, 'wb') as f:
            f.truncate(8 << 40)
        said = send(agent, large, work, small, status=1)
        require("'large' was not sent: the guest has not enough space" in said and 'it is a folder' in said, said)
        require(digest(os.path.join(agent.files, 'small')) == digest(small), 'small')


def drag(viewer, agent, *paths):
    """By the mouse, from a window of another program onto ours."""
    source = subprocess.Popen(['/usr/bin/python3', '-c', SOURCE, *paths], env=viewer.env)
    try:
        wait_for('windows', lambda: len(viewer.windows()) == 2)
        window = subprocess.run(['xdotool', 'search', '--name', 'minivm-client'], env=viewer.env, text=True,
                                stdout=subprocess.PIPE).stdout.split()[0]
        viewer.xdotool('windowmove', window, '300', '100')
        time.sleep(1)
        viewer.xdotool('mousemove', '70', '70', 'mousedown', '1')
        for x in range(100, 501, 50):
            time.sleep(0.1)
            viewer.xdotool('mousemove', str(x), '250')
        time.sleep(0.5)
        viewer.xdotool('mouseup', '1')
        time.sleep(0.5)
    finally:
        source.terminate()
        source.wait()
    return window


def test_dropped(work, server):
    """ten files dropped on the window, and one that is cancelled there"""
    with StockAgent(work, server) as agent:
        paths = [make(work, 'file%d' % i, 100000 * i, i) for i in range(10)]
        with Viewer(work, 'spice://127.0.0.1:' + agent.port, program=CLIENT, manager='openbox') as v:
            wait_for('window', v.windows)
            time.sleep(1)
            drag(v, agent, *paths)
            for path in paths:
                got = os.path.join(agent.files, os.path.basename(path))
                wait_for(path, lambda: os.path.exists(got) and digest(got) == digest(path), 30)
            huge = os.path.join(work, 'huge')
            with open(huge, 'wb') as f:
                f.truncate(4 << 30)
            window = drag(v, agent, huge)
            got = os.path.join(agent.files, 'huge')
            wait_for('the beginning of it', lambda: os.path.exists(got) and os.path.getsize(got) > 0, 30)
            size = wait_for('the size of the window', lambda: subprocess.run(
                ['xdotool', 'getwindowgeometry', '--shell', window], env=v.env, text=True, stdout=subprocess.PIPE).stdout)
            size = dict(line.split('=') for line in size.split())
            v.xdotool('mousemove', '--window', window, str(int(size['WIDTH']) - 40), str(int(size['HEIGHT']) - 16), 'click', '1')
            wait_for('the guest has cleared it away', lambda: not os.path.exists(got), 30)


def test_restarted(work, server):
    """an agent that goes while a file comes: it is sent anew to the next one"""
    with StockAgent(work, server) as agent:
        path = make(work, 'file', 50 << 20)
        p = subprocess.Popen([CLIENT, '--headless', '--exit-after', '80', '--send', path, 'spice://127.0.0.1:' + agent.port])
        got = os.path.join(agent.files, 'file')
        wait_for('the beginning of it', lambda: os.path.exists(got) and os.path.getsize(got) > 0, 30)
        agent.stop(agent.daemon)
        agent.stop(agent.agent)
        agent.wait_for(False)
        for name in os.listdir(agent.files):  # what is left of it is the agent's business
            os.unlink(os.path.join(agent.files, name))
        agent.start_daemon()
        agent.start_session()
        require(p.wait(90) == 0, 'status %d' % p.returncode)
        require(digest(got) == digest(path), 'it is another')


if __name__ == '__main__':
    run_tests(with_each_server(test_send, test_refused, test_dropped, test_restarted), PROGRAMS + ['openbox'])
