# A sound card that nobody here wrote, for the client, and a client to compare it with. Needs libspice-server-dev and
# libspice-client-glib-2.0-dev.
SOUND_TEST_BIN := $(patsubst %,$(BUILD)/tests/sound/%,host hear)

CFLAGS_tests_sound_host = $(shell pkg-config --cflags spice-server)
CFLAGS_tests_sound_hear = $(shell pkg-config --cflags spice-client-glib-2.0) -Wno-deprecated-declarations

$(BUILD)/tests/sound/host: $(patsubst %,$(BUILD)/tests/%.o,reference/device reference/core lib/tones)
$(SOUND_TEST_BIN): $(BUILD)/%: $(BUILD)/%.o $(LIB)
	@echo "  LD    $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) \
		$(shell pkg-config --libs $(if $(filter %/hear,$@),spice-client-glib-2.0,spice-server)) $(LIBS)

.PHONY: sound
sound: $(SOUND_TEST_BIN)
E2E_NEEDS += $(SOUND_TEST_BIN)
