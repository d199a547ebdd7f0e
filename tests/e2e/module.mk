# What test_connect.py drives.
VIEWER_USER := $(BUILD)/tests/e2e/viewer_user
$(VIEWER_USER): $(VIEWER_USER).o $(CLIENT_LIB) $(LIB)
	@echo "  LD    $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CLIENT_LIBS) $(LIBS)
E2E_NEEDS += $(VIEWER_USER)

# What the tests with guests boot.
E2E_NEEDS += demo $(TINY) $(SOUND) $(EFI) $(XEN) $(BUILD)/payload/ports.img

# And what test_boot_matrix.py does: boot loaders, memory testers, installers, other kernels.
BOOT_MEDIA := $(XEN) $(addprefix $(MEDIA_DIR)/,debian-installer-12-netboot-amd64 gnumach-image-1.8-486 grub-invaders \
	grub-legacy grub-rescue-pc ipxe isolinux syslinux syslinux-common)
.PHONY: media
media: $(BOOT_MEDIA) demo
