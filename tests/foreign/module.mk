# What foreign servers draw, shown by us and by spice-gtk. Needs libspice-server-dev and libspice-client-glib-2.0-dev.
FOREIGN_BIN := $(patsubst %,$(BUILD)/tests/foreign/%,draws look)

CFLAGS_tests_foreign_draws = $(shell pkg-config --cflags spice-server)
CFLAGS_tests_foreign_look = $(shell pkg-config --cflags spice-client-glib-2.0) -Wno-deprecated-declarations

.PHONY: foreign
foreign: $(FOREIGN_BIN)
$(BUILD)/tests/foreign/draws: $(patsubst %,$(BUILD)/%.o,tests/foreign/fit tests/reference/device tests/reference/core tests/lib/recorded \
	tests/lib/pictures tests/lib/drawing_describe tests/lib/drawing_oracle guest/payload/drawing guest/payload/drawing_qxl)
$(FOREIGN_BIN): $(BUILD)/%: $(BUILD)/%.o $(LIB)
	@echo "  LD    $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) \
		$(shell pkg-config --libs $(if $(filter %/look,$@),spice-client-glib-2.0,spice-server)) $(LIBS)

E2E_NEEDS += $(FOREIGN_BIN)
