# The guest agent: what runs in guests links with little, so that guests need little.
AGENTD := $(BUILD)/minivm-agentd
AGENT := $(BUILD)/minivm-agent
AGENT_LIB := $(BUILD)/libminivm-agent.a
AGENT_MAINS := guest/agent/agentd.c guest/agent/agent.c
AGENT_SRC := $(filter-out $(AGENT_MAINS),$(wildcard guest/agent/*.c clipboard/*.c))
AGENT_BASE_LIBS := $(shell pkg-config --libs libuv libseccomp 2>/dev/null)
AGENTD_LIBS := $(shell pkg-config --libs libsystemd 2>/dev/null)
AGENT_X_LIBS := $(shell pkg-config --libs xcb xcb-xfixes xcb-randr xcb-xtest 2>/dev/null)
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

# Into a guest's system, where systemd, udev and desktops look for such files.
unitdir ?= $(prefix)/lib/systemd/system
udevdir ?= $(prefix)/lib/udev/rules.d
autostartdir ?= /etc/xdg/autostart
AGENT_MAN := $(addprefix $(BUILD)/man/,minivm-agentd.8 minivm-agent.1)

.PHONY: install-agent
install-agent: agent $(AGENT_MAN)
	install -Dm755 $(AGENT) $(DESTDIR)$(bindir)/minivm-agent
	install -Dm755 $(AGENTD) $(DESTDIR)$(libexecdir)/minivm-agentd
	install -Dm644 -t $(DESTDIR)$(unitdir) guest/agent/minivm-agentd.socket
	sed 's,@libexecdir@,$(libexecdir),' guest/agent/minivm-agentd.service >$(BUILD)/minivm-agentd.service
	install -Dm644 -t $(DESTDIR)$(unitdir) $(BUILD)/minivm-agentd.service
	install -Dm644 -t $(DESTDIR)$(udevdir) guest/agent/70-minivm-agentd.rules
	install -Dm644 -t $(DESTDIR)$(autostartdir) guest/agent/minivm-agent.desktop
	install -Dm644 -t $(DESTDIR)$(mandir)/man8 $(BUILD)/man/minivm-agentd.8
	install -Dm644 -t $(DESTDIR)$(mandir)/man1 $(BUILD)/man/minivm-agent.1
