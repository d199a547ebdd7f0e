#!/usr/bin/env python3
"""IDE disks and CD-ROM drives as stock software sees them: SeaBIOS boots GRUB from a CD, a Debian kernel finds and uses
both kinds of drive. TAP on stdout.

    tests/e2e/test_ide.py [--long]    --long also boots memtest86+, from GRUB and from its own CD, and the network's ROM
"""
import hashlib, os, re, shutil, subprocess, sys, time

from machine import BOOT, KERNEL, TINY, Machine, read_png, run_in_folder, run_minivm
from viewer import require

LONG = '--long' in sys.argv
MEMTEST = '/boot/memtest86+x64.bin'
MEMTEST_CD = '/usr/lib/memtest86+/memtest86+x64.iso'
GRUB = '/usr/lib/grub/i386-pc'
GRUB_MODULES = 'normal serial terminal iso9660 biosdisk linux16'
GRUB_CFG = """
serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
set timeout=60
menuentry "MINIVM-CD memtest" { linux16 /memtest console=ttyS0,115200 }
"""
# The host's own KVM even where that is slow: firmware and GRUB run on it.
NATIVE = ['--accel', 'kvm'] if os.access('/dev/kvm', os.W_OK) else []
SMALL = ['--memory', '256M', '--cpus', '1', '--net', 'none']
APPEND = 'console=ttyS0 quiet load=ata_piix,sd_mod,sr_mod,virtio_pci,virtio_blk'
SECTOR = 512


def make_cd(folder):
    tree, cd = os.path.join(folder, 'tree'), os.path.join(folder, 'grub.iso')
    os.makedirs(tree + '/boot/grub')
    with open(tree + '/boot/grub/grub.cfg', 'w') as f:
        f.write(GRUB_CFG)
    shutil.copy(MEMTEST, tree + '/memtest')
    with open(tree + '/random', 'wb') as f:
        f.write(os.urandom(5 << 20))
    subprocess.run(['grub-mkrescue', '-d', GRUB, '-o', cd, '--fonts=', '--themes=', '--locales=',
                    '--install-modules=' + GRUB_MODULES, tree], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    return cd


def blank(folder, name, size):
    path = os.path.join(folder, name)
    with open(path, 'wb') as f:
        f.truncate(size)
    return path


def read(path):
    with open(path, errors='replace') as f:
        return f.read()


def grub_menu(folder, cd):
    """The disk comes first, and has nothing to boot."""
    log, disk = os.path.join(folder, 'firmware.log'), blank(folder, 'blank.raw', 4 << 20)
    status, out, err = run_minivm('--disk', disk + ',format=raw,bus=ide', '--cdrom', cd, *SMALL, *NATIVE, '--headless',
                                  '--expect', 'MINIVM-CD', '--timeout', '400', '--debug-port', 'file:' + log)
    said = read(log)
    require(status == 0, 'status %d: %s%s; the firmware said %s' % (status, out, err, said[-500:]))
    require(re.search(r'Booting from Hard Disk.*Booting from DVD/CD', said, re.S), said[-1500:])
    require('MINIVM HARDDISK' in said and 'MINIVM CD-ROM' in said, said)


def check_drives(m):
    log = m.output('dmesg -r')
    bad = [l for l in log.splitlines() if re.match(r'<[0-4]>', l) and re.search(r'ata|sd[a-z]|sr0|scsi|piix', l, re.I)]
    require(not bad, 'the kernel complains: ' + '\n'.join(bad))
    require(re.search(r'ata\d.*MINIVM HARDDISK.*\n', log) and re.search(r'ata\d.*ATAPI: MINIVM CD-ROM', log), log)
    for drive in 'dev1.0', 'dev2.0':
        mode = m.output('cat /sys/class/ata_device/%s/dma_mode' % drive)
        require('MW_DMA_2' in mode, '%s: not by DMA: %s' % (drive, mode))


def find_disk(m, serial):
    """The kernel looks at several disks at once, and so their names vary."""
    return '/dev/' + m.output('grep -l %s /sys/block/sd*/device/vpd_pg80' % serial).split('/')[3]


def check_sums(m, cd, raw):
    with open(cd, 'rb') as f:
        wanted = hashlib.md5(f.read()).hexdigest()
    require(m.output('md5sum /dev/sr0').startswith(wanted), 'the CD reads otherwise')
    with open(raw, 'rb') as f:
        wanted = hashlib.md5(f.read()).hexdigest()
    require(m.output('md5sum ' + find_disk(m, 'SECOND')).startswith(wanted), 'the disk reads otherwise')


# The same to an IDE disk and to its virtio twin: aligned and odd, large and small, by TRIM, PIO never.
WRITES = ('for d in $IDE /dev/vda; do '
          'dd if=/dev/sr0 of=$d bs=1M seek=3 2>/dev/null || exit 1; '
          'for at in 0 3 17 100 511 777; do '
          'dd if=/dev/sr0 of=$d bs=4k skip=$((at + 1)) seek=$((at * 16 + at)) count=37 2>/dev/null || exit 1; done; '
          'dd if=/dev/sr0 of=$d bs=512 seek=120001 count=333 2>/dev/null || exit 1; '
          'dd if=/dev/sr0 of=$d bs=512 seek=131071 count=1 conv=fsync 2>/dev/null || exit 1; '
          'blkdiscard -o 4194304 -l 1048576 $d || exit 1; '
          'dd if=/dev/zero of=$d bs=64k seek=64 count=16 conv=fsync 2>/dev/null || exit 1; done; '
          'echo 3 >/proc/sys/vm/drop_caches; cmp $IDE /dev/vda')


def check_writes(m):
    status, text = m.shell('(IDE=%s; %s)' % (find_disk(m, 'FIRST'), WRITES), timeout=300)
    require(status == 0, 'status %d: %s' % (status, text))


def check_eject(m):
    """The kernel ejects after the last user, and loads for the next one."""
    use, cdrom = 'dd if=/dev/sr0 of=/dev/null bs=2048 count=1', '/proc/sys/dev/cdrom/'
    m.output('cd %s; echo 1 >autoeject; %s; echo 0 >autoeject; echo 0 >autoclose' % (cdrom, use))
    status, text = m.shell(use)
    require(status != 0 and 'medium' in text.lower(), 'after an eject: %s' % text)
    m.output('echo 1 >%sautoclose; %s; cd /' % (cdrom, use))


def check_end(m):
    log = m.output('dmesg -r')
    words = r'ata\d|sd[ab]|exception|timeout'
    bad = [l for l in log.splitlines() if re.match(r'<[0-3]>', l) and re.search(words, l, re.I)]
    require(not bad, 'the kernel complains: ' + '\n'.join(bad))
    m.send('poweroff -f\n')
    require(m.end(BOOT) == 0, 'status %d: %s' % (m.p.returncode, m.messages))


def compare(a, b):
    for command in (['qemu-img', 'check', a], ['qemu-img', 'compare', a, b]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        require(done.returncode == 0, '%s: %s' % (' '.join(command), done.stdout))


def test_linux(tap, folder, cd):
    first, vda = os.path.join(folder, 'first.qcow2'), blank(folder, 'vda.raw', 64 << 20)
    subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', first, '64M'], check=True)
    second = os.path.join(folder, 'second.raw')
    with open(second, 'wb') as f:
        f.write(os.urandom((10 << 20) + SECTOR))
    with Machine(folder, '--kernel', KERNEL, '--initrd', TINY, '--memory', '512M', '--net', 'none', '--append', APPEND,
                 '--disk', first + ',bus=ide,serial=FIRST-DISK', '--disk', second + ',bus=ide,snapshot=on,format=raw,serial=SECOND-DISK',
                 '--disk', vda + ',format=raw', '--cdrom', cd) as m:
        with tap('ata_piix finds two disks and a CD-ROM drive and has no complaints'):
            m.expect('INIT-REACHED', BOOT)
            m.expect('tiny# ', BOOT)
            check_drives(m)
        if tap.failed:
            return
        with tap('the CD and a disk read as their images are'):
            check_sums(m, cd, second)
        with tap('an IDE disk and a virtio disk written alike read alike'):
            check_writes(m)
        with tap('the tray opens and closes'):
            check_eject(m)
        with tap('no errors until the end'):
            check_end(m)
    with tap('the qcow2 image is clean and equals its raw twin'):
        compare(first, vda)


def test_memtest(folder, cd):
    """GRUB's first entry, by its serial console."""
    with Machine(folder, '--cdrom', cd, *SMALL) as m:
        m.expect('MINIVM-CD', BOOT)
        time.sleep(1)
        m.send('\r')
        m.expect(r'Memtest86\+', BOOT)
        m.expect('Pass', BOOT)


def test_memtest_cd(folder):
    """Its own boot loader; the screen is blue in large parts."""
    shot = os.path.join(folder, 'memtest.png')
    status, out, err = run_minivm('--cdrom', MEMTEST_CD, *SMALL, '--headless', '--timeout', '60', '--screenshot', shot)
    require(status == 3, 'status %d: %s%s' % (status, out, err))
    width, height, pixels = read_png(shot)
    blue = sum(pixels[i:i + 3] == b'\0\0\xaa' for i in range(0, len(pixels), 3))
    require(blue > width * height // 3, '%d of %d pixels are blue' % (blue, width * height))


def test_network(folder):
    log = os.path.join(folder, 'network.log')
    run_minivm('--boot', 'network', '--memory', '256M', *NATIVE, '--headless', '--timeout', '60', '--debug-port',
               'file:' + log)
    require('Booting from ROM' in read(log), read(log)[-1500:])


def refused(*args, words):
    status, _, err = run_minivm(*args, timeout=60)
    few = len(err.splitlines()) <= 2
    require(status == 1 and all(w in err for w in words) and few, 'status %d: %s' % (status, err))


def test_refusals(folder):
    refused('--cdrom', os.path.join(folder, 'missing.iso'), *NATIVE, words=['missing.iso'])
    refused('--cdrom', blank(folder, 'empty.iso', 1024), *NATIVE, words=['empty.iso', '2048'])


def test_all(tap, folder):
    cd = make_cd(folder)
    with tap('media that are missing or empty are refused in two lines'):
        test_refusals(folder)
    test_linux(tap, folder, cd)
    if LONG:
        with tap('SeaBIOS goes from an empty IDE disk on to a CD, whose GRUB shows its menu'):
            grub_menu(folder, cd)
        with tap('GRUB boots memtest86+ from the CD'):
            test_memtest(folder, cd)
        with tap('memtest86+ boots from its own CD'):
            test_memtest_cd(folder)
        with tap("--boot network starts the card's boot ROM"):
            test_network(folder)


run_in_folder(11 if LONG else 7, test_all)
