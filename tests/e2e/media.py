"""Boot media, made from the files of Debian's packages (build/media: `make media`). Each function makes one in a folder
and gives its path back."""
import os, shutil, subprocess

PACKAGES = 'build/media'
INSTALLER = PACKAGES + '/debian-installer-12-netboot-amd64/usr/lib/debian-installer/images/12/amd64'
TEXT_INSTALLER = INSTALLER + '/text/debian-installer/amd64'
GTK_INSTALLER = INSTALLER + '/gtk/debian-installer/amd64'
IPXE_CD = PACKAGES + '/ipxe/usr/lib/ipxe/ipxe.iso'
IPXE_KERNEL = PACKAGES + '/ipxe/boot/ipxe.lkrn'
GRUB_RESCUE = PACKAGES + '/grub-rescue-pc/usr/lib/grub-rescue/grub-rescue-'
GRUB_LEGACY = PACKAGES + '/grub-legacy/usr/lib/grub/x86_64-pc/stage2_eltorito'
ISOLINUX = PACKAGES + '/isolinux/usr/lib/ISOLINUX/isolinux.bin'
SYSLINUX = PACKAGES + '/syslinux/usr/bin/syslinux'
SYSLINUX_MBR = PACKAGES + '/syslinux/usr/lib/SYSLINUX/mbr.bin'
SYSLINUX_COMMON = PACKAGES + '/syslinux-common/usr/lib/syslinux'
XEN = PACKAGES + '/xen-hypervisor-4.17-amd64/boot/xen-4.17-amd64.gz'
GNUMACH = PACKAGES + '/gnumach-image-1.8-486/boot/gnumach-1.8-486.gz'
INVADERS = PACKAGES + '/grub-invaders/boot/invaders.exec'
MEMTEST = '/boot/memtest86+x64.bin'
MEMTEST_CD = '/usr/lib/memtest86+/memtest86+x64.iso'
GRUB = '/usr/lib/grub/i386-pc'

# Each entry is started by its key. Those of the first kind change where GRUB itself draws, and come back to the menu.
GRUB_CFG = """
set timeout=-1
menuentry "VBE 800x600" --hotkey=1 { insmod vbe; loadfont unicode; set gfxmode=800x600x32; terminal_output gfxterm }
menuentry "Planar VGA" --hotkey=2 { insmod vga; loadfont unicode; set gfxmode=auto; terminal_output gfxterm }
menuentry "Bochs VBE" --hotkey=3 { insmod video_bochs; loadfont unicode; set gfxmode=1024x768; terminal_output gfxterm }
menuentry "Memtest86+" --hotkey=4 { linux16 /memtest }
menuentry "GRUB Invaders" --hotkey=5 { multiboot /invaders }
menuentry "GNU Mach" --hotkey=6 { multiboot /gnumach.gz }
menuentry "Xen" --hotkey=7 { multiboot2 /xen.gz placeholder console=vga,com1 com1=115200,8n1 vga=current,keep noreboot; module2 /memtest }
menuentry "Debian installer" --hotkey=8 { linux /linux vga=normal fb=false; initrd /initrd.gz }
menuentry "Reboot" --hotkey=r { reboot }
menuentry "Power off" --hotkey=h { halt }
"""

GRUB_LEGACY_CFG = """
title Debian's old GRUB
root (cd)
kernel /memtest
title Power off
halt
"""

TOOLS_CFG = """
prompt 1
timeout 0
say ISOLINUX with tools
label mem
  com32 meminfo.c32
label hdt
  com32 hdt.c32
label menu
  com32 menu.c32
label floppy
  kernel memdisk
  initrd floppy.img
label ipxe
  kernel ipxe.krn
"""


def quietly(*command, **options):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)


def fill(folder, files):
    """{name: path to copy, or text}"""
    for name, what in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.exists(what):
            shutil.copy(what, path)
        else:
            with open(path, 'w') as f:
                f.write(what)
    return folder


def make_cd(tree, out, loader):
    """El Torito without emulation, as both ISOLINUX and GRUB's old stage 2 want it."""
    quietly('xorriso', '-as', 'mkisofs', '-o', out, '-R', '-J', '-b', loader, '-c', 'boot.cat', '-no-emul-boot',
            '-boot-load-size', '4', '-boot-info-table', tree)
    return out


def grub_cd(folder):
    tree = fill(folder + '/grub', {'boot/grub/grub.cfg': GRUB_CFG, 'memtest': MEMTEST, 'invaders': INVADERS,
                                   'gnumach.gz': GNUMACH, 'xen.gz': XEN, 'linux': TEXT_INSTALLER + '/linux',
                                   'initrd.gz': TEXT_INSTALLER + '/initrd.gz'})
    quietly('grub-mkrescue', '-d', GRUB, '-o', folder + '/grub.iso', '--fonts=unicode', '--themes=', '--locales=', tree)
    return folder + '/grub.iso'


def grub_legacy_cd(folder):
    tree = fill(folder + '/legacy', {'boot/grub/stage2_eltorito': GRUB_LEGACY, 'boot/grub/menu.lst': GRUB_LEGACY_CFG,
                                     'memtest': MEMTEST})
    return make_cd(tree, folder + '/legacy.iso', 'boot/grub/stage2_eltorito')


def installer_cd(folder):
    """The network installer's own tree, which has menu and splash."""
    tree = folder + '/installer'
    shutil.copytree(INSTALLER + '/text/debian-installer', tree + '/debian-installer')
    fill(tree, {'isolinux.bin': ISOLINUX, 'ldlinux.c32': TEXT_INSTALLER + '/boot-screens/ldlinux.c32',
                'isolinux.cfg': TEXT_INSTALLER + '/boot-screens/syslinux.cfg'})
    return make_cd(tree, folder + '/installer.iso', 'isolinux.bin')


def tools_cd(folder):
    modules = SYSLINUX_COMMON + '/modules/bios/'
    tree = fill(folder + '/tools', {'isolinux.bin': ISOLINUX, 'isolinux.cfg': TOOLS_CFG,
                                    'memdisk': SYSLINUX_COMMON + '/memdisk',
                                    'floppy.img': GRUB_RESCUE + 'floppy.img', 'ipxe.krn': IPXE_KERNEL,
                                    **{name + '.c32': modules + name + '.c32' for name in
                                       'ldlinux libcom32 libutil libgpl libmenu hdt meminfo menu'.split()}})
    return make_cd(tree, folder + '/tools.iso', 'isolinux.bin')


def syslinux_disk(folder):
    """A partitioned disk: its first sector loads SYSLINUX from the FAT volume in the partition."""
    disk, modules, start = folder + '/syslinux.raw', SYSLINUX_COMMON + '/modules/bios/', 2048
    cfg = fill(folder + '/syslinux', {'syslinux.cfg': 'ui menu.c32\nmenu title SYSLINUX on a disk\ntimeout 0\n'
                                      'label mem\nmenu label Memory map\ncom32 meminfo.c32\n'
                                      'label test\nmenu label Memory test\nlinux memtest\n'}) + '/syslinux.cfg'
    with open(disk, 'wb') as f:
        f.truncate(32 << 20)
    quietly('/usr/sbin/sfdisk', '-q', disk, input=b'%d,,e,*' % start)
    volume = '%s@@%d' % (disk, start * 512)
    quietly('mformat', '-i', volume, '-H', str(start), '-h', '16', '-s', '63', '-T', str(65536 - start), '::')
    for name in 'menu libutil libcom32 meminfo'.split():
        quietly('mcopy', '-i', volume, modules + name + '.c32', '::')
    quietly('mcopy', '-i', volume, cfg, '::')
    quietly('mcopy', '-i', volume, MEMTEST, '::memtest')
    quietly(SYSLINUX, '--install', '--offset', str(start * 512), disk)
    with open(SYSLINUX_MBR, 'rb') as code, open(disk, 'r+b') as f:
        f.write(code.read())
    return disk
