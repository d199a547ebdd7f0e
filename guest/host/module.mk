# What --accel nested boots: see vmm/nested.h.
HOST_DIR := build/host
KERNEL_DIR ?= build/kernel

.PHONY: host
all: host
host: $(HOST_DIR)/initrd

$(HOST_DIR)/initrd: guest/host/build guest/host/init $(KERNEL_DIR)/vmlinuz
	@echo "  HOST  $(HOST_DIR)"
	$(Q)guest/host/build $(KERNEL_DIR) $(HOST_DIR)
