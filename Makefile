# One Makefile, no recursion: every .c file of a listed folder belongs to the program, every test file is a test.
#
#   make run      install what is missing, build, make the demo disk, run it
#   make check    install what is missing, build, run all tests of the default tier
#   make install-agent   the guest agent, into a guest's system
#   make bench    minivm beside its peers, in one run
#   SAN=address,undefined | SAN=thread   build with sanitizers, into a directory of its own
#   V=1           show the commands

SAN ?=
CC := $(if $(findstring default,$(origin CC)),gcc,$(CC))
BUILD ?= build$(if $(SAN),/$(subst $(comma),-,$(SAN)))
comma := ,
Q := $(if $(V),,@)

prefix ?= /usr/local
bindir ?= $(prefix)/bin
libexecdir ?= $(prefix)/lib/minivm
datadir ?= $(prefix)/share
mandir ?= $(datadir)/man

CORE_DIRS := base backend spice/protocol spice/codec spice/sound canvas
SERVER_DIRS := spice/server
DEVICE_DIRS := devices/platform devices/disk devices/ide devices/net devices/char devices/virtio devices/qxl devices/audio
VMM_DIRS := vmm
CLIENT_DIRS := client clipboard
ALL_DIRS := $(CORE_DIRS) $(SERVER_DIRS) $(DEVICE_DIRS) $(VMM_DIRS) $(CLIENT_DIRS)

PKGS := libuv jansson libxml-2.0 openssl libsasl2 krb5 krb5-gssapi libseccomp liblz4 zlib libdeflate libzstd libjpeg vpx opus pixman-1 libpng slirp \
	liburing spice-protocol
CLIENT_PKGS := sdl2 SDL2_ttf fontconfig xcb xcb-xfixes
PKG_OF = $(PKGS) $(CLIENT_PKGS)

CFLAGS ?= $(if $(SAN),-O1,-O2) -g
ALL_CFLAGS = -std=gnu2x -D_GNU_SOURCE -I. -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wvla \
	-Wno-missing-field-initializers -Wno-format-truncation -fno-strict-aliasing -fno-omit-frame-pointer -pthread \
	-DMINIVM_LIBEXECDIR='"$(libexecdir)"' $(CFLAGS) $(if $(SAN),$(SAN_CFLAGS)) $(if $(findstring thread,$(SAN)),-Wno-tsan)
# With little optimisation, which halves the time to compile them, gcc sees less of what is initialised.
SAN_CFLAGS = -fsanitize=$(SAN) -fno-sanitize-recover=all -Wno-maybe-uninitialized
PKG_CFLAGS := $(shell pkg-config --cflags $(PKG_OF) 2>/dev/null)
LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lm -lwslay
CLIENT_LIBS := $(shell pkg-config --libs $(CLIENT_PKGS) 2>/dev/null)
ALL_LDFLAGS = -pthread $(LDFLAGS) $(if $(SAN),-fsanitize=$(SAN))

sources = $(wildcard $(addsuffix /*.c,$(1)))
objects = $(patsubst %.c,$(BUILD)/%.o,$(1))

MAINS := vmm/main.c client/main.c
LIB_SRC := $(filter-out $(MAINS),$(call sources,$(CORE_DIRS) $(SERVER_DIRS) $(DEVICE_DIRS) $(VMM_DIRS)))
CLIENT_SRC := $(filter-out $(MAINS),$(call sources,$(CLIENT_DIRS)))
UNIT_SRC := $(wildcard tests/unit/test_*.c)
DEVICE_SRC := $(wildcard tests/device/test_*.c)
# What payloads and tests share.
DRAWING_SRC := guest/payload/drawing.c guest/payload/drawing_qxl.c
TEST_LIB_SRC := $(wildcard tests/lib/*.c) $(DRAWING_SRC)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
BENCH_SRC := $(wildcard tests/bench/bench_*.c)

MINIVM := $(BUILD)/minivm
CLIENT := $(BUILD)/minivm-client
LIB := $(BUILD)/libminivm.a
CLIENT_LIB := $(BUILD)/libminivm-client.a
UNIT_BIN := $(patsubst %.c,$(BUILD)/%,$(UNIT_SRC))
DEVICE_BIN := $(patsubst %.c,$(BUILD)/%,$(DEVICE_SRC))
BENCH_BIN := $(patsubst %.c,$(BUILD)/%,$(BENCH_SRC))

# Pieces with rules of their own (payload guests, software host, demo disk, fuzzers, e2e).
include $(sort $(wildcard */module.mk */*/module.mk))

.DEFAULT_GOAL := all
.PHONY: all clean install unit device bench-bin check check-unit check-device check-payload check-e2e \
	check-fuzz check-sanitized tested sanitized threaded bench check-all
all: $(MINIVM) $(CLIENT)

$(MINIVM): $(BUILD)/vmm/main.o $(LIB)
	@echo "  LD    $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(LIB) $(LIBS)

$(CLIENT): $(BUILD)/client/main.o $(CLIENT_LIB) $(LIB)
	@echo "  LD    $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(CLIENT_LIB) $(LIB) $(CLIENT_LIBS) $(LIBS)

$(LIB): $(call objects,$(LIB_SRC))
	@echo "  AR    $@"
	$(Q)rm -f $@ && ar crs $@ $^

$(CLIENT_LIB): $(call objects,$(CLIENT_SRC))
	@echo "  AR    $@"
	$(Q)rm -f $@ && ar crs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(PKG_CFLAGS) $(CFLAGS_$(subst /,_,$*)) -MMD -MP -c -o $@ $<

# A test links with the whole product and with tests/lib.
$(UNIT_BIN) $(DEVICE_BIN): $(BUILD)/%: $(BUILD)/%.o $(call objects,$(TEST_LIB_SRC)) $(CLIENT_LIB) $(AGENT_LIB) $(LIB)
	@echo "  LD    $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CLIENT_LIBS) $(AGENT_LIBS) $(LIBS) -lcmocka

$(BENCH_BIN): $(BUILD)/%: $(BUILD)/%.o $(CLIENT_LIB) $(LIB)
	@echo "  LD    $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CLIENT_LIBS) $(LIBS)

unit: $(UNIT_BIN)
device: $(DEVICE_BIN)
bench-bin: $(BENCH_BIN)

# The tiers. A folder's module.mk adds to E2E_NEEDS, PAYLOAD_NEEDS and FUZZ_NEEDS what its tests need built.
PAYLOAD_TESTS := $(wildcard tests/payload/run tests/payload/save tests/payload/plug tests/payload/full tests/payload/late \
	tests/payload/draw)
MATRIX := tests/e2e/test_boot_matrix.py
# Too long for the default tier.
LONG_TESTS := $(MATRIX) \
	$(addprefix tests/e2e/test_,agent_desktop.py client_wayland.py heads.py displays.py drivers.py record.py viewers_desktop.py \
	soak.py xspice.py)
E2E_TESTS := $(filter-out %.c %.mk $(LONG_TESTS),$(wildcard tests/e2e/test_*))
# Stock systems, booted: where that is in a software host they take minutes, so they come first.
BOOT_TESTS := $(addprefix tests/e2e/test_,desktop.py guest.py platform.py save.py ide.py hotplug.py ports.py)
# Sound that comes late is a hole: these have the machine to themselves.
ALONE_TESTS := $(foreach card,hda ac97,$(addsuffix /tests/device/test_$(card),$(BUILD) build/address-undefined)) \
	$(addprefix tests/e2e/test_,client_sound.py server_sound.py sound.py)
# Those wait for films, clients and clocks most of the time: one runs beside those that need a CPU each.
WAITING_TESTS := $(addprefix $(BUILD)/tests/unit/test_server,_video _link) $(BUILD)/tests/unit/test_server \
	$(filter-out $(BOOT_TESTS) $(ALONE_TESTS),$(E2E_TESTS))
FUZZ_TESTS := $(wildcard tests/fuzz/run)
# What has more than one thread, for the thread sanitizer; the others have nothing for it to find, and take minutes.
THREADED := $(addprefix unit/test_,base chardev client_audio disk_fault disk_raw glz_encode mux nested_datagram net recorded server server_agent% server_alive server_heads \
	server_link server_migrate server_migrate_fails server_port server_return server_sound server_tls server_video server_viewers server_web vmm) $(addprefix device/test_,ide% net_% pci_hotplug qxl% vga virtio_%)
THREADED_BIN := $(filter $(addprefix $(BUILD)/tests/,$(THREADED)),$(UNIT_BIN) $(DEVICE_BIN))
# A sanitizer's own calls are on no list: its builds have no sandbox.
SANITIZED_TESTS = $(patsubst build/%,build/address-undefined/%,$(filter-out %/test_sandbox,$(UNIT_BIN) $(DEVICE_BIN))) \
	$(patsubst build/%,build/thread/%,$(THREADED_BIN))

check-unit: unit
	$(Q)tests/run $(UNIT_BIN)
check-device: device
	$(Q)tests/run $(DEVICE_BIN)
check-payload: $(MINIVM) $(PAYLOAD_NEEDS)
	$(Q)tests/run $(PAYLOAD_TESTS)
check-e2e: all $(E2E_NEEDS) $(FAKE_SERVER)
	$(Q)tests/run --timeout 1800 $(E2E_TESTS)
check-fuzz: $(FUZZ_NEEDS)
	$(Q)tests/run --timeout 600 $(FUZZ_TESTS)
threaded: $(THREADED_BIN)
sanitized:
	$(Q)$(MAKE) --no-print-directory SAN=address,undefined unit device
	$(Q)$(MAKE) --no-print-directory SAN=thread threaded
check-sanitized: sanitized
	$(Q)tests/run $(SANITIZED_TESTS)

# Everything of the default tier in one run, so that the last line counts it all. Packages come first, in a make of
# their own: what pkg-config says is only known afterwards.
check:
	$(Q)$(MAKE) --no-print-directory deps
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) tested
tested: all unit device $(PAYLOAD_NEEDS) $(E2E_NEEDS) $(FAKE_SERVER) $(FUZZ_NEEDS) sanitized
	$(Q)tests/run --jobs 2 --timeout 1800 $(BOOT_TESTS) $(filter-out $(WAITING_TESTS),$(UNIT_BIN)) $(filter-out $(ALONE_TESTS),$(DEVICE_BIN)) \
		$(PAYLOAD_TESTS) $(FUZZ_TESTS) $(filter-out $(ALONE_TESTS),$(SANITIZED_TESTS)) --beside $(WAITING_TESTS) --alone $(ALONE_TESTS)

# And what takes long: every fuzz target for a while, the boot matrix, the payload guests on QEMU too, more of what boots
# from a CD.
check-all: check
	$(Q)$(MAKE) --no-print-directory fuzz TIME=60
	$(Q)$(MAKE) --no-print-directory media
	$(Q)tests/run --timeout 7200 "$(MATRIX) --pictures $(BUILD)/matrix"
	$(Q)tests/run --timeout 1800 "tests/payload/run --qemu" "tests/payload/plug --qemu" "tests/e2e/test_ide.py --long" \
		"tests/payload/save 100" "tests/e2e/test_save.py 10" "tests/payload/draw --first 1000 --seeds 1000" \
		"$(BUILD)/tests/device/test_qxl_random 1000 20000" "tests/e2e/test_desktop.py --reboot"
	$(Q)tests/run --timeout 3600 tests/e2e/test_agent_desktop.py tests/e2e/test_displays.py tests/e2e/test_drivers.py \
		tests/e2e/test_record.py "tests/e2e/test_heads.py --resizes 200" \
		tests/e2e/test_viewers_desktop.py tests/e2e/test_client_wayland.py "tests/e2e/test_xspice.py --seconds 600" \
		"tests/e2e/test_stopped.py 60" "tests/e2e/test_client_sound.py --seconds 600"
	$(Q)tests/run --timeout 7200 tests/e2e/test_soak.py
	$(Q)MINIVM_ROUNDS=300 tests/run --timeout 14400 $(BUILD)/tests/unit/test_disk_torture

# minivm beside QEMU, qemu-img and libspice-server, all in one run; docs/performance.md says what is measured how.
bench: all bench-bin reference display sound payload $(TINY) $(IN_GUEST)
	$(Q)tests/bench/start $(MINIVM)
	$(Q)tests/bench/save $(BUILD)
	$(Q)tests/bench/hosted
	$(Q)tests/bench/guest_io $(IN_GUEST)
	$(Q)tests/bench/display --build $(BUILD)
	$(Q)tests/bench/client --build $(BUILD)
	$(Q)tests/bench/sound --build $(BUILD)
	$(Q)$(BUILD)/tests/bench/bench_disk
	$(Q)$(BUILD)/tests/bench/bench_codec --encode $(BUILD)/tests/reference/encode --decode $(BUILD)/tests/reference/decode

MAN := $(patsubst docs/man/%.scd,$(BUILD)/man/%,$(wildcard docs/man/*.scd))
.PHONY: man
all: man
man: $(MAN)
$(BUILD)/man/%: docs/man/%.scd
	@mkdir -p $(@D)
	$(Q)scdoc <$< >$@

install: all
	install -Dm755 $(MINIVM) $(DESTDIR)$(bindir)/minivm
	install -Dm755 $(CLIENT) $(DESTDIR)$(bindir)/minivm-client
	install -Dm644 -t $(DESTDIR)$(libexecdir)/host $(HOST_DIR)/vmlinux $(HOST_DIR)/initrd
	install -Dm644 -t $(DESTDIR)$(mandir)/man1 $(filter-out $(AGENT_MAN),$(MAN))
	install -Dm644 share/minivm.bash $(DESTDIR)$(datadir)/bash-completion/completions/minivm
	ln -sf minivm $(DESTDIR)$(datadir)/bash-completion/completions/minivm-client
	install -Dm644 -t $(DESTDIR)$(datadir)/applications share/minivm-client.desktop
	install -Dm644 -t $(DESTDIR)$(datadir)/icons/hicolor/scalable/apps share/minivm-client.svg
	install -Dm644 share/minivm-client-mime.xml $(DESTDIR)$(datadir)/mime/packages/minivm-client.xml

clean:
	rm -rf build

-include $(shell find $(BUILD) -name '*.d' -type f 2>/dev/null)
