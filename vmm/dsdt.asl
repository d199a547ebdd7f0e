/*
 * dsdt.asl - the machine as ACPI describes it (ACPI 2.0): the PCI root with its interrupt routing and windows, the ISA
 * devices, soft off. Compiled by iasl at build time.
 */
DefinitionBlock("dsdt.aml", "DSDT", 1, "MINIVM", "MINIVM", 1)
{
    Name(\PCIS, 0xe0000000) /* where the PCI window starts, below 4 GiB: acpi.c writes the machine's value here */

    Name(\_S5, Package() { 0, 0, 0, 0 })

    Scope(\_SB) {
        Device(PCI0) {
            Name(_HID, EisaId("PNP0A03"))
            Name(_UID, 0)

            Name(CRES, ResourceTemplate() {
                WordBusNumber(ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0, 0, 1)
                IO(Decode16, 0xcf8, 0xcf8, 1, 8)
                WordIO(ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0, 0x0cf7, 0, 0x0cf8)
                WordIO(ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0x0d00, 0xffff, 0, 0xf300)
                DWordMemory(ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite, 0, 0xa0000,
                            0xbffff, 0, 0x20000)
                DWordMemory(ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite, 0,
                            0xe0000000, 0xfebfffff, 0, 0x1ec00000, , , PWIN)
            })

            /* Fields of buffers are made inside methods: SeaBIOS, which looks for the keyboard here, skips those whole,
               but gives up on a scope where one stands by itself. */
            Method(_CRS, 0, Serialized) {
                CreateDWordField(CRES, \_SB.PCI0.PWIN._MIN, WMIN)
                CreateDWordField(CRES, \_SB.PCI0.PWIN._MAX, WMAX)
                CreateDWordField(CRES, \_SB.PCI0.PWIN._LEN, WLEN)
                WMIN = PCIS
                WLEN = WMAX - WMIN + 1
                Return (CRES)
            }

/* Pin n of slot s is on link (n + s - 1) & 3, as PIIX boards wire it. */
#define PIN(slot, pin, link) Package() { (slot << 16) | 0xffff, pin, link, 0 }
#define SLOT(slot, a, b, c, d) PIN(slot, 0, a), PIN(slot, 1, b), PIN(slot, 2, c), PIN(slot, 3, d)
#define FOUR_SLOTS(s) \
    SLOT((s), \_SB.LNKD, \_SB.LNKA, \_SB.LNKB, \_SB.LNKC), SLOT((s + 1), \_SB.LNKA, \_SB.LNKB, \_SB.LNKC, \_SB.LNKD), \
    SLOT((s + 2), \_SB.LNKB, \_SB.LNKC, \_SB.LNKD, \_SB.LNKA), SLOT((s + 3), \_SB.LNKC, \_SB.LNKD, \_SB.LNKA, \_SB.LNKB)

            Name(_PRT, Package() {
                FOUR_SLOTS(0), FOUR_SLOTS(4), FOUR_SLOTS(8), FOUR_SLOTS(12),
                FOUR_SLOTS(16), FOUR_SLOTS(20), FOUR_SLOTS(24), FOUR_SLOTS(28)
            })

            /* Slots 13 to 28 take and lose devices while the machine runs: devices/platform/pci_hotplug.h */
            Device(HPLG) {
                Name(_HID, EisaId("PNP0A06"))
                Name(_UID, "PCI hot plug")
                Name(_STA, 0x0b)
                Name(_CRS, ResourceTemplate() { IO(Decode16, 0xae00, 0xae00, 1, 20) })
            }
            OperationRegion(HPRG, SystemIO, 0xae00, 20)
            Field(HPRG, DWordAcc, NoLock, WriteAsZeros) { HPUP, 32, HPDN, 32, HPEJ, 32 }

#define HOT_SLOT(n) \
            Device(S##n) { \
                Name(_ADR, (n << 16)) \
                Name(_SUN, n) \
                Method(_EJ0, 1, NotSerialized) { HPEJ = (1 << n) } \
            }
#define FOUR_HOT_SLOTS(a, b, c, d) HOT_SLOT(a) HOT_SLOT(b) HOT_SLOT(c) HOT_SLOT(d)

            FOUR_HOT_SLOTS(13, 14, 15, 16) FOUR_HOT_SLOTS(17, 18, 19, 20)
            FOUR_HOT_SLOTS(21, 22, 23, 24) FOUR_HOT_SLOTS(25, 26, 27, 28)

/* Arg0 has a bit for each slot that Arg1 is about: 1 look what is there, 3 let it go. */
#define TELL(n) If (Arg0 & (1 << n)) { Notify(S##n, Arg1) }
#define TELL_FOUR(a, b, c, d) TELL(a) TELL(b) TELL(c) TELL(d)

            Method(HPTL, 2, NotSerialized) {
                TELL_FOUR(13, 14, 15, 16) TELL_FOUR(17, 18, 19, 20)
                TELL_FOUR(21, 22, 23, 24) TELL_FOUR(25, 26, 27, 28)
            }
            Method(HPEV, 0, Serialized) {
                HPTL(HPUP, 1)
                HPTL(HPDN, 3)
            }

            Device(ISA) {
                Name(_ADR, 0x00010000)
                OperationRegion(PIRQ, PCI_Config, 0x60, 4)
                Field(PIRQ, ByteAcc, NoLock, Preserve) { PRQA, 8, PRQB, 8, PRQC, 8, PRQD, 8 }

                Device(RTC) {
                    Name(_HID, EisaId("PNP0B00"))
                    Name(_CRS, ResourceTemplate() {
                        IO(Decode16, 0x70, 0x70, 0x10, 2)
                        IRQNoFlags() { 8 }
                        IO(Decode16, 0x72, 0x72, 2, 6)
                    })
                }
                Device(KBD) {
                    Name(_HID, EisaId("PNP0303"))
                    Name(_CRS, ResourceTemplate() {
                        IO(Decode16, 0x60, 0x60, 1, 1)
                        IO(Decode16, 0x64, 0x64, 1, 1)
                        IRQNoFlags() { 1 }
                    })
                }
                Device(MOU) {
                    Name(_HID, EisaId("PNP0F13"))
                    Name(_CRS, ResourceTemplate() { IRQNoFlags() { 12 } })
                }
                Device(PANC) { /* devices/platform/pvpanic.h */
                    Name(_HID, "QEMU0001")
                    Name(_CRS, ResourceTemplate() { IO(Decode16, 0x505, 0x505, 1, 1) })
                    Name(_STA, 0x0f)
                }
                Device(COM1) {
                    Name(_HID, EisaId("PNP0501"))
                    Name(_UID, 1)
                    Name(_CRS, ResourceTemplate() {
                        IO(Decode16, 0x3f8, 0x3f8, 0, 8)
                        IRQNoFlags() { 4 }
                    })
                }
            }
        }

        Device(HPET) {
            Name(_HID, EisaId("PNP0103"))
            OperationRegion(REGS, SystemMemory, 0xfed00000, 0x400)
            Field(REGS, DWordAcc, NoLock, Preserve) { CAPS, 32 }
            Method(_STA, 0, NotSerialized) { /* where there is none, all bits read as ones */
                If (CAPS == 0xffffffff) { Return (0) }
                Return (0x0f)
            }
            Name(_CRS, ResourceTemplate() { Memory32Fixed(ReadOnly, 0xfed00000, 0x400) })
        }

        /* Bit 7 of a PIRQ register: not routed. */
        Method(LSTA, 1, NotSerialized) {
            If (Arg0 & 0x80) { Return (0x09) }
            Return (0x0b)
        }
        Name(LRES, ResourceTemplate() { Interrupt(, Level, ActiveHigh, Shared) { 0 } })
        Method(LCRS, 1, Serialized) {
            CreateDWordField(LRES, 5, LINT)
            LINT = 0
            If (!(Arg0 & 0x80)) { LINT = Arg0 }
            Return (LRES)
        }

#define LINK(name, uid, reg)                                                          \
        Device(name) {                                                                \
            Name(_HID, EisaId("PNP0C0F"))                                             \
            Name(_UID, uid)                                                           \
            Name(_PRS, ResourceTemplate() {                                           \
                Interrupt(, Level, ActiveHigh, Shared) { 5, 10, 11 }                  \
            })                                                                        \
            Method(_STA, 0, NotSerialized) { Return (LSTA(\_SB.PCI0.ISA.reg)) }                \
            Method(_DIS, 0, NotSerialized) { \_SB.PCI0.ISA.reg |= 0x80 }                       \
            Method(_CRS, 0, NotSerialized) { Return (LCRS(\_SB.PCI0.ISA.reg)) }                \
            Method(_SRS, 1, NotSerialized) {                                          \
                CreateDWordField(Arg0, 5, GSI)                                        \
                \_SB.PCI0.ISA.reg = GSI                                                        \
            }                                                                         \
        }

        LINK(LNKA, 0, PRQA)
        LINK(LNKB, 1, PRQB)
        LINK(LNKC, 2, PRQC)
        LINK(LNKD, 3, PRQD)
    }

    Scope(\_GPE) {
        Method(_E01, 0, NotSerialized) { \_SB.PCI0.HPEV() }
    }
}
