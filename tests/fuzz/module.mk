# Fuzz targets: each tests/fuzz/fuzz_NAME.c has LLVMFuzzerTestOneInput() and links with the whole product, all built by
# clang with libFuzzer, ASan and UBSan in a directory of their own.
#
#   make fuzz [TIME=60]    each target for so many seconds
#   make check-fuzz        each target over its corpus (tests/fuzz/corpus/NAME) and a little more; counted by tests/run
#   make fuzz FUZZ=quic    one target
FUZZ_CC ?= clang
FUZZ_BUILD := build/fuzz
FUZZ_NEEDS += fuzz-bin
FUZZ_FLAGS := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -Wno-error \
	-Wno-unknown-warning-option
FUZZ_NAMES = $(if $(FUZZ),$(addprefix fuzz_,$(FUZZ)),$(basename $(notdir $(FUZZ_SRC))))
FUZZ_BIN = $(addprefix $(FUZZ_BUILD)/,$(FUZZ_NAMES))
TIME ?= 60

.PHONY: fuzz fuzz-bin
ifeq ($(FUZZ_INNER),)
# The product's own rules build its objects: the same Makefile again, with another compiler, flags and directory.
fuzz-bin:
	$(Q)$(MAKE) --no-print-directory FUZZ_INNER=1 CC="$(FUZZ_CC)" BUILD="$(FUZZ_BUILD)" SAN= \
		CFLAGS="$(FUZZ_FLAGS)" FUZZ="$(FUZZ)" $(FUZZ_BIN)
else
# Targets may share headers and helpers: tests/lib is linked as a library, so that only what is used is taken.
$(FUZZ_BUILD)/libtests.a: $(patsubst %.c,$(BUILD)/%.o,$(TEST_LIB_SRC))
	$(Q)rm -f $@ && ar crs $@ $^

$(FUZZ_BIN): $(FUZZ_BUILD)/%: $(FUZZ_BUILD)/tests/fuzz/%.o $(FUZZ_BUILD)/libtests.a $(CLIENT_LIB) $(LIB)
	@echo "  LD    $@"
	$(Q)$(CC) -pthread -fsanitize=fuzzer,address,undefined -o $@ $^ $(CLIENT_LIBS) $(LIBS) -lcmocka
endif

fuzz: fuzz-bin
	$(Q)tests/fuzz/run $(TIME) $(FUZZ_BIN)
