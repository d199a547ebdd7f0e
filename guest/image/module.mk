# Guest disks and kernels, made from Debian's packages. They do not depend on how minivm is built, so all builds share
# them. build-demo itself knows whether its disk is up to date.
KERNEL_DIR ?= build/kernel
TINY := build/guest/tiny.cpio.gz
EFI := build/guest/efi.raw
MEDIA_DIR := build/media
ALSA := $(MEDIA_DIR)/alsa-utils
SOUND := build/guest/sound.cpio.gz
XEN := $(MEDIA_DIR)/xen-hypervisor-4.17-amd64
DEMO := build/demo/demo.qcow2

.PHONY: demo tiny
demo:
	$(Q)guest/image/build-demo $(DEMO)
tiny: $(TINY)

$(KERNEL_DIR)/vmlinuz: guest/image/fetch-kernel
	$(Q)guest/image/fetch-kernel $(KERNEL_DIR)

$(TINY): $(addprefix guest/image/,build-tiny tiny-init copy-modules) $(KERNEL_DIR)/vmlinuz
	@echo "  TINY  $@"
	$(Q)guest/image/build-tiny $(KERNEL_DIR) $@

$(SOUND): $(addprefix guest/image/,build-sound copy-modules) $(TINY) $(ALSA)
	@echo "  SOUND $@"
	$(Q)guest/image/build-sound $(KERNEL_DIR) $(TINY) $(ALSA) $@

$(EFI): guest/image/build-efi $(TINY)
	@echo "  EFI   $@"
	$(Q)guest/image/build-efi $(KERNEL_DIR) $(TINY) $@

# A package's files, without installing it.
$(MEDIA_DIR)/%: guest/image/fetch-package
	@echo "  FETCH $*"
	$(Q)guest/image/fetch-package $* $@

.PHONY: deps
deps:
	$(Q)guest/image/install-deps deps.txt

# Packages come first, in a make of their own: what pkg-config says is only known afterwards.
PORT ?= 5902
.PHONY: run
run:
	$(Q)$(MAKE) --no-print-directory deps
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all demo
	@echo "Watch it, once it says READY, with   $(CLIENT) spice://127.0.0.1:$(PORT)"
	@echo "                               or    remote-viewer spice://127.0.0.1:$(PORT)"
	@echo "User and password are demo. Ctrl-C here powers it off."
	$(Q)$(MINIVM) run $(DEMO) --memory 1G --spice $(PORT)
