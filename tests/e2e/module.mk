# What the tests with guests boot.
E2E_NEEDS += demo $(TINY) $(EFI) $(XEN) $(BUILD)/payload/ports.img

# And what test_boot_matrix.py does: boot loaders, memory testers, installers, other kernels.
BOOT_MEDIA := $(XEN) $(addprefix $(MEDIA_DIR)/,debian-installer-12-netboot-amd64 gnumach-image-1.8-486 grub-invaders \
	grub-legacy grub-rescue-pc ipxe isolinux syslinux syslinux-common)
.PHONY: media
media: $(BOOT_MEDIA) demo
