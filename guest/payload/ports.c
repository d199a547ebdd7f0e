/* Port accesses of every width, in strings, in parts, and to nothing. */
#include "payload.h"

static void test_widths(void)
{
    outl(0xcf8, 0x80000000);
    check_equal(inl(0xcf8), 0x80000000, "a dword port keeps a dword");
    check_equal(inl(0xcfc), 0x12378086, "a dword is read whole");
    check_equal(inw(0xcfc), 0x8086, "its low word");
    check_equal(inw(0xcfe), 0x1237, "its high word");
    check_equal(inb(0xcfd), 0x80, "one byte of it");
    outb(0x3ff, 0x5a);
    check_equal(inw(0x3fe) >> 8, 0x5a, "a word read is two byte registers");
    outw(0x3fe, 0xa500);
    check_equal(inb(0x3ff), 0xa5, "a word write is two byte registers");
    outl(0xcf8, 0x80000860); /* the PIIX3's interrupt routes */
    outl(0xcfc, 0x8b8a0b0a);
    check_equal(inb(0xcfe), 0x8a, "a dword write is four byte registers");
    outb(0xcfd, 0x80);
    check_equal(inl(0xcfc), 0x8b8a800a, "a byte write changes one of them");
}

static void test_nothing(void)
{
    check_equal(inb(0xe000), 0xff, "nothing reads as ones: byte");
    check_equal(inw(0xe000), 0xffff, "nothing reads as ones: word");
    check_equal(inl(0xe000), 0xffffffff, "nothing reads as ones: dword");
    outl(0xe000, 0);
    check_equal(inl(0xfffc), 0xffffffff, "the last ports");
}

static void test_strings(void)
{
    static const char text[] = "# written by rep outsb\n";
    const char *from = text;
    uint8_t signature[4], *to = signature;
    uint64_t count = 4;

    outw(0x510, 0);
    asm volatile("rep insb" : "+D"(to), "+c"(count) : "d"((uint16_t)0x511) : "memory");
    check(memcmp(signature, "QEMU", 4) == 0 && count == 0, "rep insb reads a port for each byte");
    count = sizeof(text) - 1;
    asm volatile("rep outsb" : "+S"(from), "+c"(count) : "d"((uint16_t)0x3f8) : "memory");
    check(from == text + sizeof(text) - 1 && count == 0, "rep outsb writes a port for each byte");
}

/* Bit 4 is the memory refresh's clock, bit 5 the speaker timer's output: old software times itself by them. */
static void test_port_61(void)
{
    uint8_t first = inb(0x61), seen = 0;
    unsigned i;

    outb(0x61, (first & 0xfc) | 1);
    outb(0x43, 0xb6); /* channel 2: a square wave of 1 kHz */
    outb(0x42, 0xa9);
    outb(0x42, 0x04);
    for (i = 0; i < 20000 && seen != 0x30; i++)
        seen |= inb(0x61) ^ first;
    outb(0x61, first & 0xfc);
    check(seen & 0x10, "port 0x61 shows the refresh clock");
    check(seen & 0x20, "port 0x61 shows the speaker timer");
}

int main(void)
{
    test_widths();
    test_nothing();
    test_strings();
    test_port_61();
    return 0;
}
