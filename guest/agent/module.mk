# The guest agent: what runs in guests links with little, so that guests need little.
AGENTD := $(BUILD)/minivm-agentd
AGENT := $(BUILD)/minivm-agent
AGENT_LIB := $(BUILD)/libminivm-agent.a
AGENT_MAINS := guest/agent/agentd.c guest/agent/agent.c
AGENT_SRC := $(filter-out $(AGENT_MAINS),$(wildcard guest/agent/*.c))
AGENT_BASE_LIBS := $(shell pkg-config --libs libuv libseccomp 2>/dev/null)
AGENTD_LIBS := $(shell pkg-config --libs libsystemd 2>/dev/null)
AGENT_X_LIBS := $(shell pkg-config --libs xcb xcb-xfixes xcb-randr 2>/dev/null)
AGENT_LIBS := $(AGENTD_LIBS) $(AGENT_X_LIBS)

.PHONY: agent
all: agent
agent: $(AGENTD) $(AGENT)

$(AGENT_LIB): $(call objects,$(AGENT_SRC))
	@echo "  AR    $@"
	$(Q)rm -f $@ && ar crs $@ $^

$(AGENTD): $(BUILD)/guest/agent/agentd.o $(AGENT_LIB) $(LIB)
	@echo "  LD    $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(AGENT_LIB) $(LIB) $(AGENTD_LIBS) $(AGENT_BASE_LIBS)

$(AGENT): $(BUILD)/guest/agent/agent.o $(AGENT_LIB) $(LIB)
	@echo "  LD    $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(AGENT_LIB) $(LIB) $(AGENT_X_LIBS) $(AGENT_BASE_LIBS)
