"""Which processes a `minivm run` has: the broker, which was started, and below it the network's and the machine's own."""
import glob, re


def status(path, key):
    with open(path) as f:
        return re.search(r'^%s:\s*(.*)$' % key, f.read(), re.M).group(1)


def children(pid):
    found = []
    for path in glob.glob('/proc/[0-9]*/status'):
        try:
            if int(status(path, 'PPid')) == pid:
                found.append(int(path.split('/')[2]))
        except OSError:
            pass  # it has just ended
    return found


def machine(pid):
    """The machine's, of the `minivm run` that has this number; without a sandbox, and with QEMU, they are the same."""
    below = [child for child in children(pid) if status('/proc/%d/status' % child, 'Name') == 'minivm']
    return below[0] if below else pid
