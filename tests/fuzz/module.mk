# Fuzz targets: each tests/fuzz/fuzz_NAME.c has LLVMFuzzerTestOneInput() and links with the whole product, all built by
# clang with libFuzzer, ASan and UBSan in a directory of their own.
#
#   make fuzz [TIME=60]    each target for so many seconds; what it finds that is new is kept in FUZZ_CORPUS
#   make check-fuzz        each target over its corpus (tests/fuzz/corpus/NAME) and a little more; counted by tests/run
#   make fuzz FUZZ=quic    one target
#   make fuzz-coverage     how many branches of its files (tests/fuzz/covers) each target sees with both corpora
FUZZ_CC ?= clang
FUZZ_BUILD := build/fuzz
COVERAGE_BUILD := build/coverage
FUZZ_CORPUS ?= build/fuzz/corpus
FUZZ_NEEDS += fuzz-bin
FUZZ_SAN := address,undefined
FUZZ_FLAGS := -O1 -g -fsanitize=fuzzer-no-link,$(FUZZ_SAN) -fno-sanitize-recover=all -Wno-error -Wno-unknown-warning-option
COVERAGE_FLAGS := -O1 -g -fsanitize=fuzzer-no-link -fprofile-instr-generate -fcoverage-mapping -Wno-error \
	-Wno-unknown-warning-option
FUZZ_LDFLAGS := -fsanitize=fuzzer,$(FUZZ_SAN)
COVERAGE_LDFLAGS := -fsanitize=fuzzer -fprofile-instr-generate
FUZZ_NAMES = $(if $(FUZZ),$(addprefix fuzz_,$(FUZZ)),$(basename $(notdir $(FUZZ_SRC))))
FUZZ_BIN = $(addprefix $(FUZZ_BUILD)/,$(FUZZ_NAMES))
COVERAGE_BIN = $(addprefix $(COVERAGE_BUILD)/,$(FUZZ_NAMES))
TIME ?= 60

.PHONY: fuzz fuzz-bin fuzz-coverage coverage-bin
ifeq ($(FUZZ_INNER),)
# The product's own rules build its objects: the same Makefile again, with another compiler, flags and directory.
fuzz-bin:
	$(Q)$(MAKE) --no-print-directory FUZZ_INNER=1 CC="$(FUZZ_CC)" BUILD="$(FUZZ_BUILD)" SAN= \
		CFLAGS="$(FUZZ_FLAGS)" LDFLAGS="$(FUZZ_LDFLAGS)" FUZZ="$(FUZZ)" $(FUZZ_BIN)
coverage-bin:
	$(Q)$(MAKE) --no-print-directory FUZZ_INNER=1 CC="$(FUZZ_CC)" BUILD="$(COVERAGE_BUILD)" SAN= \
		CFLAGS="$(COVERAGE_FLAGS)" LDFLAGS="$(COVERAGE_LDFLAGS)" FUZZ="$(FUZZ)" $(COVERAGE_BIN)
else
# Targets may share headers and helpers: tests/lib is linked as a library, so that only what is used is taken.
$(BUILD)/libtests.a: $(patsubst %.c,$(BUILD)/%.o,$(TEST_LIB_SRC))
	$(Q)rm -f $@ && ar crs $@ $^

$(addprefix $(BUILD)/,$(FUZZ_NAMES)): $(BUILD)/%: $(BUILD)/tests/fuzz/%.o $(BUILD)/libtests.a $(CLIENT_LIB) \
		$(AGENT_LIB) $(LIB)
	@echo "  LD    $@"
	$(Q)$(CC) -pthread $(LDFLAGS) -o $@ $^ $(CLIENT_LIBS) $(AGENT_LIBS) $(LIBS) -lcmocka
endif

fuzz: fuzz-bin
	$(Q)FUZZ_CORPUS=$(FUZZ_CORPUS) tests/fuzz/run $(TIME) $(FUZZ_BIN)

fuzz-coverage: coverage-bin
	$(Q)FUZZ_CORPUS=$(FUZZ_CORPUS) tests/fuzz/coverage $(COVERAGE_BIN)
