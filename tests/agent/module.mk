# A host and a user that nobody here wrote, for the guest agent between them. Needs libspice-server-dev and
# libspice-client-glib-2.0-dev.
AGENT_TEST_BIN := $(patsubst %,$(BUILD)/tests/agent/%,host user)

CFLAGS_tests_agent_host = $(shell pkg-config --cflags spice-server)
CFLAGS_tests_agent_user = $(shell pkg-config --cflags spice-client-glib-2.0) -Wno-deprecated-declarations

$(BUILD)/tests/agent/host: $(patsubst %,$(BUILD)/tests/reference/%.o,device core)
$(AGENT_TEST_BIN): $(BUILD)/%: $(BUILD)/%.o $(LIB)
	@echo "  LD    $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) \
		$(shell pkg-config --libs $(if $(filter %/user,$@),spice-client-glib-2.0,spice-server)) $(LIBS)

E2E_NEEDS += $(AGENT_TEST_BIN)
