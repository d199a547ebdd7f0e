#!/usr/bin/env python3
"""The boot matrix: stock media from Debian's packages, each booted to its first screen or prompt, small and large. What
is on the screen is read character by character, with its colours (tests/lib/screen.py). TAP on stdout.

    tests/e2e/test_boot_matrix.py [--small] [--pictures FOLDER] [WORDS...]

WORDS: only rows whose names contain one of them; --small: not with 4 CPUs and 6 GiB. FOLDER gets each picture that a
step was content with, or failed on, and the state of a machine that failed. Needs `make media`.
"""
import argparse, os, re, shutil, subprocess, sys, tempfile, time

sys.path.insert(0, 'tests/lib')
import media, qmp, screen
from machine import BOOT, CLIENT, DEMO, Machine, Tap, colours, is_photograph
from viewer import Failed, read_ppm, require

POLL = 1  # seconds between two looks at the screen
PATIENCE = 1200  # ... that a step may take, with four processors in an emulated one on a busy computer
TEXT_9, TEXT_8 = screen.Reader(screen.vga_font(9)), screen.Reader(screen.vga_font(8))
UNIFONT = screen.unifont()
GRAPHIC_GRUB = screen.Reader(UNIFONT, (2, 10))


class Guest(Machine):
    def __init__(self, folder, pictures, name, cpus, memory, *args):
        self.folder, self.pictures, self.name, self.count = folder, pictures, name, 0
        self.size = {'cpus': cpus, 'memory': memory}
        super().__init__(folder, *args, '--cpus', str(cpus), '--memory', memory, '--spice', '0', '--control',
                         folder + '/control')
        self.port = self.ready_port()
        self.control = qmp.Qmp(folder + '/control', BOOT)

    def qmp(self, command, **arguments):
        try:
            return self.control(command, **arguments)
        except (OSError, qmp.Error):
            raise Failed('%s: minivm has gone: %s' % (command, self.messages.decode(errors='replace')))

    def picture(self):
        path = os.path.join(self.folder, 'now.ppm')
        self.qmp('screendump', filename=path)
        return read_ppm(path)

    def keep(self):
        """A picture for people."""
        self.count += 1
        self.keep_file('%d.png' % self.count, 'screendump', format='png')

    def keep_file(self, ending, command, **arguments):
        if self.pictures:
            self.qmp(command, filename=self.folder + '/kept', **arguments)
            name = re.sub(r'\W+', '-', self.name).strip('-')
            shutil.move(self.folder + '/kept', os.path.join(self.pictures, '%s.%s' % (name, ending)))

    def keep_machine(self):
        """For who looks for what went wrong: minivm run --restore goes on where it stands still."""
        if self.pictures:
            self.qmp('stop')
        self.keep_file('state', 'save')

    def type(self, text):
        """-> what kept the client from staying to its end, or nothing"""
        done = subprocess.run([CLIENT, '--headless', '--type', text, 'spice://127.0.0.1:%d' % self.port], timeout=BOOT,
                              capture_output=True, text=True)
        return done.returncode and 'status %d: %s' % (done.returncode, done.stdout + done.stderr)

    def wait(self, what, test, seconds):
        end = time.monotonic() + seconds
        while True:
            missing = test()
            if not missing:
                return
            if time.monotonic() > end:
                self.keep()
                self.keep_machine()
                raise Failed('%s: not within %d s: %s' % (what, seconds, missing))
            time.sleep(POLL)


# --- steps: each makes a function of the guest, which fails or returns ---

def missing_words(s, words, colors, unknown):
    lacking = [w for w in (*words, *colors) if w not in s.text]
    wrong = ['%s is %s' % (w, s.colors(w)) for w in colors if w in s.text and s.colors(w) != {colors[w]}]
    too_many = ['%d cells are no characters' % s.unknown] if s.unknown > unknown else []
    if lacking or wrong or too_many:
        return 'lacking %s, colours %s, %s; there is:\n%s' % (lacking, wrong, too_many, s.text)
    return None


def sees(*words, colors={}, reader=None, unknown=0, size=None, seconds=PATIENCE):
    """All the words, {cpus} and {memory} in them being the machine's; those in `colors` as {words: (ink, paper)} says.
    `unknown`: how many cells may be no character. Without a reader the screen is a text mode's."""
    def step(guest):
        wanted = [w.format(**guest.size) for w in words]
        def look():
            picture = guest.picture()
            if size and picture[:2] != size:
                return 'the screen is %dx%d' % picture[:2]
            if reader is None and picture[:2] not in ((720, 400), (640, 400)):
                return 'the screen is %dx%d: no text mode of 80x25' % picture[:2]
            found = reader or (TEXT_9 if picture[0] == 720 else TEXT_8)
            return missing_words(found.read(picture), wanted, colors, unknown)
        guest.wait(' '.join((*words, *colors)), look, seconds)
        guest.keep()
    return step


def shows_photograph(guest):
    def look():
        seen = guest.picture()
        return None if is_photograph(seen) else 'a picture of %dx%d with %d colours' % (*seen[:2], colours(seen))
    guest.wait('a photograph', look, PATIENCE)
    guest.keep()


def types(text):
    def step(guest):
        wrong = guest.type(text)
        require(not wrong, 'the client could not type %s: %s' % (text, wrong))
    return step


def says(pattern):
    """On the serial port."""
    return lambda guest: guest.expect(pattern.format(**guest.size), PATIENCE)


def sends(text):
    return lambda guest: guest.send(text)


def resets_itself(guest):
    """A warm reset, which the guest asked for."""
    def look():
        guest.qmp('query-status')
        asked = [e for e in guest.control.events if e['event'] == 'RESET' and e['data']['guest']]
        guest.control.events = []
        return None if asked else 'no reset'
    guest.wait('a reset', look, PATIENCE)


def reset_button(guest):
    guest.qmp('system_reset')


def powers_off_by(text):
    """The guest may be gone before its last key is up."""
    def step(guest):
        guest.type(text)
        status = guest.end(PATIENCE)
        require(status == 0, 'status %d: %s' % (status, guest.messages))
    return step


# --- the table ---

SMALL, LARGE = (1, '64M'), (4, '6G')
BOTH = [SMALL, LARGE]
DESKTOP_SIZES = [(1, '512M'), LARGE]
MACH_SIZES = [SMALL, (4, '2G')]  # with 3 GiB this kernel for the 486 shows nothing, on QEMU neither
WHITE, GREY, BLACK, BLUE = 'ffffff', 'aaaaaa', '000000', '0000aa'
CD = ['--net', 'none', '--cdrom']


class Row:
    """A medium. options: what boots it, from the folder in which media are made; sizes: (CPUs, memory) pairs."""

    def __init__(self, name, options, sizes, *steps):
        self.name, self.options, self.sizes, self.steps = name, options, sizes, steps


made = {}


def cd(make):
    """Made once, for all rows that boot it."""
    def options(folder):
        if make not in made:
            made[make] = make(folder)
        return CD + [made[make]]
    return options


PROMPT = sees('ISOLINUX 6.04', 'ISOLINUX with tools', 'boot:')
INSTALLER_MENU = sees('Debian GNU/Linux installer menu (BIOS mode)', 'Install', size=(640, 480), unknown=30,
                      reader=screen.Reader(screen.vga_font(8), (0, 8), WHITE))
DHCP = sees('iPXE 1.0.0', 'Configuring (net0', 'net0: 10.0.2.15/255.255.255.0')
GRUB_MENU = sees('GNU GRUB  version 2.06', 'Planar VGA', 'Power off')

DEBIAN_MENU = sees('GNU GRUB  version 2.06', 'Debian 12 desktop')

KERNEL_TEXT = screen.Reader(screen.vga_font(8, media.MEMTEST))  # Linux has the same font
GRAPHIC_INSTALLER = KERNEL_TEXT, screen.Reader(UNIFONT)
# Xen asks GRUB for a frame buffer, which is of GRUB's usual size, and writes into it itself.
XEN_TEXT = screen.Reader(screen.vga_font(8, media.XEN, height=8))


LOW_MEMORY, LANGUAGE = ('[!!] Low memory', '<Continue>'), ('[!!] Select a language', 'English')


def installer_rows(name, options, readers, *steps):
    """What the installer asks first depends on how much memory it finds; and in graphics what it draws with: the kernel's
    console, or a terminal of its own with GNU Unifont. Of that the characters are not read that are wider than a cell."""
    return [Row('Debian installer, ' + name, options, [size], *steps, sees(*words, reader=reader, unknown=unknown))
            for size, words, reader, unknown in (((1, '512M'), LOW_MEMORY, readers[0], 0),
                                                 (LARGE, LANGUAGE, readers[1], 100))]


ROWS = [
    Row('memtest86+, its CD', lambda folder: CD + [media.MEMTEST_CD], BOTH,
        sees('Memory  : ', '{memory}B', 'F1', colors={' Memtest86': (BLACK, GREY), 'CLK/Temp': (GREY, BLUE)}),
        types('\\n'),
        sees('{cpus} Cores', 'Status: Testing', 'Errors: 0'), types('\\e'), resets_itself, sees('{memory}B')),
    Row('memtest86+, its kernel', lambda folder: ['--net', 'none', '--kernel', media.MEMTEST], BOTH,
        sees('{memory}B', '{cpus} Cores', 'Status: Testing', 'Errors: 0', size=(800, 600),
             reader=screen.Reader(screen.vga_font(8, media.MEMTEST), (80, 100)), colors={'CLK/Temp': (GREY, BLUE)})),
    Row('GRUB, its menu and prompt', cd(media.grub_cd), BOTH,
        GRUB_MENU, types('c'), sees('grub>'), types('echo "a|B" $grub_platform\\n'), sees('a|B pc'), types('\\e'),
        GRUB_MENU, types('r'), resets_itself, GRUB_MENU, reset_button, GRUB_MENU, powers_off_by('h')),
    Row('GRUB, by VBE', cd(media.grub_cd), BOTH,
        GRUB_MENU, types('1'), sees('GNU GRUB  version 2.06', 'Planar VGA', reader=GRAPHIC_GRUB, size=(800, 600))),
    Row('GRUB, planar VGA', cd(media.grub_cd), BOTH,
        GRUB_MENU, types('2'), sees('GNU GRUB  version 2.06', 'Planar VGA', reader=GRAPHIC_GRUB, size=(640, 480))),
    Row('GRUB, Bochs VBE', lambda folder: cd(media.grub_cd)(folder) + ['--video', 'vga'], BOTH,
        GRUB_MENU, types('3'), sees('GNU GRUB  version 2.06', 'Planar VGA', reader=GRAPHIC_GRUB, size=(1024, 768))),
    Row('GRUB, memtest86+', cd(media.grub_cd), BOTH, GRUB_MENU, types('4'), sees('Memtest86+ v6', 'Pass')),
    Row('GRUB, Invaders', cd(media.grub_cd), BOTH,
        GRUB_MENU, types('5'), sees(' -*-           -*-        -*--*-', '/ \\')),
    Row('GRUB, GNU Mach', cd(media.grub_cd), MACH_SIZES,
        GRUB_MENU, types('6'),
        sees('GNU Mach 1.8', 'vm_page: DMA: min:500', 'No bootstrap code loaded')),
    Row('GRUB rescue CD', lambda folder: CD + [media.GRUB_RESCUE + 'cdrom.iso'], BOTH,
        sees('GNU GRUB  version 2.06', 'GNU (aka GNU/Hurd)')),
    Row('GRUB 0.97, a CD', cd(media.grub_legacy_cd), BOTH,
        sees('GNU GRUB  version 0.97', "Debian's old GRUB"), types('\\n'), sees('Memtest86+ v6')),
    Row('ISOLINUX, its prompt and memory map', cd(media.tools_cd), BOTH,
        PROMPT, types('mem\\n'), sees('INT 12h: 639K', '[-] usable')),
    Row('ISOLINUX, hardware detection tool', cd(media.tools_cd), BOTH,
        PROMPT, types('hdt\\n'), sees('Hardware Detection Tool', 'PCI Devices(', 'Switch to CLI')),
    Row('ISOLINUX, a floppy in memory', cd(media.tools_cd), BOTH,
        PROMPT, types('floppy\\n'), sees('GNU GRUB  version 2.06', 'GNU (aka GNU/Hurd)')),
    Row('SYSLINUX, a disk', lambda folder: [
        '--net', 'none', '--disk', media.syslinux_disk(folder) + ',format=raw,snapshot=on'], BOTH,
        sees('SYSLINUX on a disk', 'Memory map'), types('\\n'), sees('INT 12h: 639K', '[-] usable')),
    Row('iPXE, its CD', lambda folder: ['--cdrom', media.IPXE_CD], BOTH, DHCP),
    Row('iPXE, from ISOLINUX', lambda folder: ['--cdrom', cd(media.tools_cd)(folder)[-1]], BOTH,
        PROMPT, types('ipxe\\n'), DHCP),
    Row('Debian installer, its menu by the network', lambda folder: [
        '--boot', 'network', '--net', 'user,tftp=%s,bootfile=pxelinux.0' % (media.INSTALLER + '/text')], BOTH,
        INSTALLER_MENU),
    Row('Debian installer, its menu from a CD', cd(media.installer_cd), BOTH,
        INSTALLER_MENU),
    *installer_rows('its kernel', lambda folder: [
        '--kernel', media.TEXT_INSTALLER + '/linux', '--initrd', media.TEXT_INSTALLER + '/initrd.gz',
        '--append', 'console=tty0', '--net', 'none'], GRAPHIC_INSTALLER),
    *installer_rows('from a CD by VBE', cd(media.installer_cd), GRAPHIC_INSTALLER, INSTALLER_MENU, types('\\n')),
    *installer_rows('from GRUB in text mode', cd(media.grub_cd), (None, None), GRUB_MENU, types('8')),
    Row('GRUB, Xen', cd(media.grub_cd), BOTH,
        GRUB_MENU, types('7'), says('Xen version 4.17'),
        sees('Brought up {cpus} CPUs', '(XEN) Could not construct domain 0', 'Manual reset required', size=(640, 480),
             reader=XEN_TEXT)),
    Row('Debian disk', lambda folder: ['--net', 'none', '--disk', DEMO + ',snapshot=on'], DESKTOP_SIZES,
        DEBIAN_MENU, says('DESKTOP-READY'), shows_photograph),
    Row('Debian disk, by UEFI', lambda folder: [
        '--net', 'none', '--disk', DEMO + ',snapshot=on', '--firmware', 'uefi', '--uefi-vars', folder + '/vars.fd'],
        DESKTOP_SIZES, says('GNU GRUB  version 2.06'), says('DESKTOP-READY'), shows_photograph),
]


def draw(text, reader, ink, paper):
    """A line of text as a picture."""
    glyphs, width = {c: bits for bits, c in reader.font.glyphs.items()}, reader.font.width
    shifts = [(screen.CELL_HEIGHT - 1 - y) * width for y in range(screen.CELL_HEIGHT)]
    rows = [''.join(format(glyphs[c] >> shift & reader.font.row, '0%db' % width) for c in text) for shift in shifts]
    colors = {'0': bytes.fromhex(paper), '1': bytes.fromhex(ink)}
    return len(text) * width, screen.CELL_HEIGHT, b''.join(colors[bit] for row in rows for bit in row)


def check_reader():
    """It reads what is right, and sees a wrong dot, a wrong colour and rows or columns that are shifted."""
    for reader in TEXT_9, TEXT_8, GRAPHIC_GRUB:
        reader = screen.Reader(reader.font)
        width, height, rgb = draw('Memory 64 ok', reader, WHITE, BLUE)
        s = reader.read((width, height, rgb))
        require(s.text == 'Memory 64 ok' and s.colors('Memory') == {(WHITE, BLUE)}, s.text)
        require(reader.read(draw('Memory', reader, GREY, BLUE)).colors('Memory') != {(WHITE, BLUE)}, 'another ink')
        dot = (3 * width + 10) * 3
        for bad in (rgb[:dot] + b'abc' + rgb[dot + 3:], rgb[width * 3:] + rgb[:width * 3], rgb[3:] + rgb[:3]):
            s = reader.read((width, height, bad))
            require(missing_words(s, ['Memory 64 ok'], {}, 0), 'read in spite of an error: ' + s.text)


def run_row(row, folder, pictures, cpus, memory):
    name = '%s, %d CPU%s, %s' % (row.name, cpus, '' if cpus == 1 else 's', memory)
    place = tempfile.mkdtemp(prefix='run.', dir=folder)
    with Guest(place, pictures, name, cpus, memory, *row.options(folder)) as guest:
        for step in row.steps:
            step(guest)


def select(args):
    """-> (row, size) pairs"""
    rows = [row for row in ROWS if not args.words or any(word in row.name for word in args.words)]
    pairs = [(row, size) for row in rows for size in row.sizes]
    return [(row, size) for row, size in pairs if not args.small or size != LARGE]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--small', action='store_true')
    parser.add_argument('--pictures', metavar='FOLDER')
    parser.add_argument('words', nargs='*')
    args = parser.parse_args()
    if args.pictures:
        os.makedirs(args.pictures, exist_ok=True)
    pairs = select(args)
    tap = Tap(1 + len(pairs))
    folder = tempfile.mkdtemp(prefix='minivm-matrix-')
    try:
        with tap('the screen reader finds wrong dots, colours and places'):
            check_reader()
        for row, (cpus, memory) in pairs:
            start = time.monotonic()
            with tap('%s, %d x CPU, %s' % (row.name, cpus, memory)):
                run_row(row, folder, args.pictures, cpus, memory)
            print('# %.0f s' % (time.monotonic() - start), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    tap.end()


main()
