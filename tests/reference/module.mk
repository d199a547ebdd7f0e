# This project's codecs against libspice-server and spice-gtk. Needs libspice-server-dev and libspice-client-glib-2.0-dev.
#
#   make reference                                    builds the tools
#   build/tests/reference/view                        spice-gtk decodes what we encode (tests/e2e/test_codecs runs it)
#   build/tests/reference/check                       we decode what libspice-server encodes (and this)
#   build/tests/reference/record tests/data/codec     makes the recorded pictures anew
#   build/tests/bench/bench_codec --encode build/tests/reference/encode --decode build/tests/reference/decode
REFERENCE_BIN := $(patsubst %,$(BUILD)/tests/reference/%,record encode view decode check)
REFERENCE_OBJ := $(patsubst %,$(BUILD)/tests/lib/%.o,pictures recorded)
SHOW_OBJ := $(patsubst %,$(BUILD)/tests/reference/%.o,show host)
FEED_OBJ := $(patsubst %,$(BUILD)/tests/reference/%.o,feed core link)

CFLAGS_tests_reference_feed = $(shell pkg-config --cflags spice-server)
CFLAGS_tests_reference_core = $(CFLAGS_tests_reference_feed)
CFLAGS_tests_reference_device = $(CFLAGS_tests_reference_feed)
CFLAGS_tests_reference_show = $(shell pkg-config --cflags spice-client-glib-2.0) -Wno-deprecated-declarations

.PHONY: reference
reference: $(REFERENCE_BIN)
$(patsubst %,$(BUILD)/tests/reference/%,record encode check): $(FEED_OBJ)
$(BUILD)/tests/reference/view $(BUILD)/tests/reference/decode: $(SHOW_OBJ)
$(REFERENCE_BIN): $(BUILD)/%: $(BUILD)/%.o $(REFERENCE_OBJ) $(LIB)
	@echo "  LD    $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) \
		$(shell pkg-config --libs $(if $(filter %/view %/decode,$@),spice-client-glib-2.0,spice-server)) $(LIBS)

E2E_NEEDS += $(BUILD)/tests/reference/view $(BUILD)/tests/reference/check
