"""A screen reader: the characters and colours of a picture (width, height, RGB bytes), by comparison with a font.

A cell is read only if its pixels are exactly a glyph in two colours; what is no glyph reads as UNKNOWN. So a row that is
shifted, a wrong font byte or a wrong colour shows. The fonts are not minivm's: the VGA's is the one in SeaBIOS' vgabios,
which sets the text modes; GNU Unifont, which GRUB and Debian's installer draw with, is in GRUB's package.
"""
import gzip, struct

VGABIOS = '/usr/share/seabios/vgabios-qxl.bin'
UNIFONT = '/usr/share/grub/unicode.pf2'
CELL_HEIGHT = 16  # of most fonts
UNKNOWN = '\ufffd'
LETTER_A = {16: bytes.fromhex('000010386cc6c6fec6c6c6c600000000'), 8: bytes.fromhex('386cc6fec6c6c600')}
# Code page 437, the VGA's: Python's codec has control characters where the VGA has these.
LOW = ' ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼'


class Font:
    """glyphs: {the cell's pixels as one number, the first row's left one highest: character}"""

    def __init__(self, width, glyphs, height=CELL_HEIGHT):
        self.width, self.height, self.glyphs = width, height, glyphs
        self.row = (1 << width) - 1


def number(rows, width):
    value = 0
    for bits in rows:
        value = value << width | bits
    return value


def vga_font(width, path=VGABIOS, height=CELL_HEIGHT):
    """The 256 characters in a program, which may be packed. Cells of 8 or 9 by 16 or 8 pixels; in the ninth stands what is
    in the eighth for box drawing characters, else nothing. With 8 lines the A is the one of Linux, which Xen has too."""
    with gzip.open(path) if path.endswith('.gz') else open(path, 'rb') as f:
        rom = f.read()
    start = rom.index(LETTER_A[height]) - ord('A') * height
    glyphs = {}
    for code in range(255, -1, -1):  # of equal glyphs the space is the last
        rows = rom[start + code * height:start + (code + 1) * height]
        if width == 9:
            rows = [row << 1 | (row & 1 if 0xc0 <= code < 0xe0 else 0) for row in rows]
        glyphs[number(rows, width)] = LOW[code] if code < 32 else '⌂' if code == 127 else bytes([code]).decode('cp437')
    return Font(width, glyphs, height)


def pf2_sections(data):
    at = 0
    while at + 8 <= len(data):
        name, size = data[at:at + 4], struct.unpack_from('>I', data, at + 4)[0]
        if name == b'DATA':
            return
        yield name, data[at + 8:at + 8 + size]
        at += 8 + size


def unifont(last=0x2600):
    """GRUB's format PFF2: an index of code point, flags and offset; a glyph is its measures and packed bits."""
    with open(UNIFONT, 'rb') as f:
        data = f.read()
    sections = dict(pf2_sections(data))
    ascent = int.from_bytes(sections[b'ASCE'], 'big')
    glyphs = {}
    for code, _, offset in struct.iter_unpack('>IBI', sections[b'CHIX']):
        width, height, left, bottom, advance = struct.unpack_from('>HHhhh', data, offset)
        top = ascent - bottom - height
        if code >= last or advance != 8 or left < 0 or left + width > 8 or top < 0 or top + height > CELL_HEIGHT:
            continue
        bits = int.from_bytes(data[offset + 10:offset + 10 + (width * height + 7) // 8], 'big')
        bits >>= -(width * height) % 8
        rows = [bits >> (height - 1 - y) * width & (1 << width) - 1 for y in range(height)]
        rows = [0] * top + [row << 8 - left - width for row in rows] + [0] * (CELL_HEIGHT - top - height)
        glyphs.setdefault(number(rows, 8), chr(code))
    glyphs[0] = ' '
    return Font(8, glyphs)


class Reader:
    """Of pictures in one font, whose first cell lies at `origin`. With an ink, all other colours are paper."""

    def __init__(self, font, origin=(0, 0), ink=None):
        self.font, self.origin, self.ink = font, origin, ink
        self.known = {}  # a cell's bytes: what they are

    def read(self, picture):
        width, height, rgb = picture
        left, top = self.origin
        size = self.font.width * 3
        return Screen([[self.cell(b''.join(rgb[at:at + size] for at in self.cell_rows(width, x, y)))
                        for x in range(left, width - self.font.width + 1, self.font.width)]
                       for y in range(top, height - self.font.height + 1, self.font.height)])

    def cell_rows(self, width, x, y):
        return range((y * width + x) * 3, ((y + self.font.height) * width + x) * 3, width * 3)

    def cell(self, data):
        """-> (character, ink, paper), the colours as 'rrggbb'"""
        if data not in self.known:
            self.known[data] = self.recognize(data)
        return self.known[data]

    def recognize(self, data):
        pixels = [data[i:i + 3] for i in range(0, len(data), 3)]
        colors = sorted(set(pixels), key=pixels.count)
        if self.ink:
            return self.match(pixels, bytes.fromhex(self.ink)) or UNKNOWN, self.ink, ''
        if len(colors) == 1:
            return ' ', colors[0].hex(), colors[0].hex()
        if len(colors) == 2:
            for ink, paper in (colors, colors[::-1]):  # the rarer colour is the ink if both make sense
                character = self.match(pixels, ink)
                if character:
                    return character, ink.hex(), paper.hex()
        return UNKNOWN, '', ''

    def match(self, pixels, ink):
        bits = int(''.join('1' if p == ink else '0' for p in pixels), 2)
        return self.font.glyphs.get(bits) or self.under_cursor(bits)

    def under_cursor(self, bits):
        """A cursor fills whole rows at the cell's foot, where the glyphs of most characters have nothing."""
        rows = [y for y in range(self.font.height) if bits >> y * self.font.width & self.font.row == self.font.row]
        if not rows or rows[-1] > 3:
            return None
        for y in rows:
            bits &= ~(self.font.row << y * self.font.width)
        return self.font.glyphs.get(bits)


class Screen:
    def __init__(self, cells):
        self.cells = cells
        self.lines = [''.join(cell[0] for cell in row) for row in cells]
        self.text = '\n'.join(line.rstrip() for line in self.lines)
        self.unknown = self.text.count(UNKNOWN)

    def colors(self, words):
        """Of the first place where the words stand: {(ink, paper)} of their letters, None if they are not there."""
        for line, row in zip(self.lines, self.cells):
            at = line.find(words)
            if at >= 0:
                return {cell[1:] for cell in row[at:at + len(words)] if cell[0] != ' '}
        return None
