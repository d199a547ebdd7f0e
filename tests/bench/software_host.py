"""A computer with real KVM semantics for benchmarks: QEMU under TCG with emulated SVM, on one CPU (docs/hosts.md says why), in
which the root file system of this machine is visible, read-only. Its loopback has the address HOST, which guests reach."""
import os, shutil, subprocess, tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), '../..'))
KERNEL = ROOT + '/build/kernel'
HOST = '192.0.2.1'
MODULES = ['kvm-amd', '9p', '9pnet_virtio', 'virtio_pci']
INIT = '''#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin:/sbin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
mkdir -p /dev/shm; mount -t tmpfs shm /dev/shm
ip link set lo up; ip addr add %s/32 dev lo
for m in %s; do modprobe $m; done
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose root /mnt
mount -t proc proc /mnt/proc; mount --rbind /dev /mnt/dev
chroot /mnt /usr/bin/env PATH=/usr/sbin:/usr/bin:/sbin:/bin /usr/bin/python3 %s inside %s 2>&1
poweroff -f
'''


def make_initrd(folder, script, args):
    tree = folder + '/tree'
    for d in ('bin', 'proc', 'sys', 'dev', 'tmp', 'mnt'):
        os.makedirs(tree + '/' + d)
    shutil.copy('/bin/busybox', tree + '/bin')
    subprocess.run([ROOT + '/guest/image/copy-modules', KERNEL, tree] + MODULES, check=True)
    with open(tree + '/init', 'w') as f:
        f.write(INIT % (HOST, ' '.join(MODULES), os.path.abspath(script), ' '.join(args)))
    os.chmod(tree + '/init', 0o755)
    subprocess.run('find . | cpio -o -H newc --quiet > ../initrd', shell=True, cwd=tree, check=True)
    return folder + '/initrd'


def run(script, args, timeout):
    """Run `script inside ARGS...` there; what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(
            ['taskset', '-c', str(min(os.sched_getaffinity(0))),
             'qemu-system-x86_64', '-accel', 'tcg,thread=multi', '-cpu', 'max,+svm,+npt,-xsave,-la57,-erms,-fsrm', '-m', '4096',
             '-nodefaults', '-display', 'none', '-no-reboot', '-kernel', KERNEL + '/vmlinuz',
             '-initrd', make_initrd(folder, script, args), '-append', 'console=ttyS0 quiet panic=-1 mitigations=off',
             '-serial', 'stdio', '-virtfs', 'local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap'],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout).stdout.decode(errors='replace')
