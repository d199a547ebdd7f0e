# Freestanding test guests: no library, no SSE, 64-bit. NAME.img boots by `minivm run --kernel`, NAME.disk by firmware,
# NAME.elf (with a Multiboot header) by QEMU's -kernel: so the guests are checked against a machine nobody here wrote.
PAYLOAD_DIR := $(BUILD)/payload
PAYLOADS := interrupts ports mmio pci fwcfg acpi clocks smp virtio reset churn fill hotplug late spill draw
PAYLOAD_COMMON := $(addprefix $(PAYLOAD_DIR)/,start.o console.o interrupt.o board.o legacy_virtio.o)
PAYLOAD_CFLAGS := -std=gnu2x -O2 -Wall -Wextra -Werror -Wshadow -ffreestanding -nostdlib -mgeneral-regs-only \
	-Wno-missing-field-initializers -mno-red-zone -mcmodel=small -fno-pic -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
	-fno-tree-loop-distribute-patterns $(shell pkg-config --cflags spice-protocol)
PAYLOAD_FILES := $(foreach p,$(PAYLOADS),$(addprefix $(PAYLOAD_DIR)/$(p).,img disk elf))
PAYLOAD_NEEDS += $(PAYLOAD_FILES)

.PHONY: payload
payload: $(PAYLOAD_FILES)

$(PAYLOAD_DIR)/%.o: guest/payload/%.c $(wildcard guest/payload/*.h)
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(PAYLOAD_CFLAGS) -c -o $@ $<

$(PAYLOAD_DIR)/%.o: guest/payload/%.S
	@mkdir -p $(@D)
	@echo "  AS    $<"
	$(Q)$(CC) $(PAYLOAD_CFLAGS) -c -o $@ $<

$(PAYLOAD_DIR)/%.elf64: $(PAYLOAD_DIR)/%.o $(PAYLOAD_COMMON) guest/payload/payload.lds
	$(Q)$(LD) -nostdlib -static --no-warn-rwx-segments -z noexecstack -z max-page-size=4096 \
		-T guest/payload/payload.lds -o $@ $(filter %.o,$^)

# It draws what tests draw, too, and has pictures that the reference has compressed.
$(PAYLOAD_DIR)/draw.elf64: $(addprefix $(PAYLOAD_DIR)/,drawing.o drawing_qxl.o)
$(PAYLOAD_DIR)/draw.o: tests/data/codec/quic.pictures tests/data/codec/lz.pictures

$(PAYLOAD_DIR)/%.elf: $(PAYLOAD_DIR)/%.elf64
	$(Q)objcopy -O elf32-i386 $< $@

$(PAYLOAD_DIR)/%.bin: $(PAYLOAD_DIR)/%.elf64
	$(Q)objcopy -O binary $< $@

$(PAYLOAD_DIR)/%.head: $(PAYLOAD_DIR)/%.o
	$(Q)objcopy -O binary $< $@

$(PAYLOAD_DIR)/%.img: $(PAYLOAD_DIR)/setup.head $(PAYLOAD_DIR)/%.bin
	@echo "  IMG   $@"
	$(Q)cat $^ >$@

$(PAYLOAD_DIR)/%.disk: $(PAYLOAD_DIR)/boot.head $(PAYLOAD_DIR)/%.bin
	$(Q)cat $^ >$@ && truncate -s 1M $@

.SECONDARY: $(foreach p,$(PAYLOADS),$(addprefix $(PAYLOAD_DIR)/$(p).,o elf64 bin)) \
	$(PAYLOAD_COMMON) $(addprefix $(PAYLOAD_DIR)/,setup.o setup.head boot.o boot.head)
