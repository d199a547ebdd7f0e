# Tools that hold this project's codecs against libspice-server. `make reference` builds them; no default target does.
#   build/tests/reference/record tests/data/codec    makes the recorded pictures anew
#   build/tests/bench/bench_codec --encode build/tests/reference/encode
REFERENCE_CFLAGS = $(shell pkg-config --cflags spice-server)
REFERENCE_LIBS = $(shell pkg-config --libs spice-server)
REFERENCE_BIN := $(BUILD)/tests/reference/record $(BUILD)/tests/reference/encode
REFERENCE_OBJ := $(patsubst %.c,$(BUILD)/%.o,tests/reference/feed.c tests/reference/link.c \
	tests/lib/pictures.c tests/lib/recorded.c)

CFLAGS_tests_reference_feed = $(REFERENCE_CFLAGS)

.PHONY: reference
reference: $(REFERENCE_BIN)
$(REFERENCE_BIN): $(BUILD)/%: $(BUILD)/%.o $(REFERENCE_OBJ)  $(LIB)
	@echo "  LD    $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(REFERENCE_LIBS) $(LIBS)
