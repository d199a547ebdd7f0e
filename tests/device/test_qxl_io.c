/* test_qxl_io.c - QXL's rings, interrupts, monitors, IO commands, resets and saved state. */
#include "tests/device/qxl_oracle.h"

/* --- rings --- */

static bool something_released(void *arg)
{
    struct driver *d = arg;

    return shared_load(FIELD(d, release_ring.prod)) != shared_load(FIELD(d, release_ring.cons));
}

static void releases_come_at_once(void **state)
{
    struct driver *d = *state;
    uint64_t addr = nop(d);

    shared_store(FIELD(d, release_ring.notify_on_prod),
                 shared_load(FIELD(d, release_ring.prod)) + 1);
    driver_push(d, QXL_CMD_DRAW, addr);
    assert_true(driver_wait_irq(d, QXL_INTERRUPT_DISPLAY) & QXL_INTERRUPT_DISPLAY);
    assert_true(something_released(d));
    driver_collect(d);
    assert_int_equal(times_released(d, addr), 1);
    /* Not asked for: no interrupt. */
    driver_push(d, QXL_CMD_DRAW, nop(d));
    assert_true(fake_machine_wait(&d->machine, something_released, d, WAIT_MS));
    driver_sync(d);
    assert_int_equal(shared_load(FIELD(d, int_pending)) & QXL_INTERRUPT_DISPLAY, 0);
}

static void full_release_ring_loses_nothing(void **state)
{
    struct driver *d = *state;
    static uint64_t addrs[400];

    for (unsigned i = 0; i < 400; i++) {
        addrs[i] = nop(d);
        driver_push(d, QXL_CMD_DRAW, addrs[i]);
        if (i % 3 == 0)
            driver_sync(d); /* each of them hands over a list until the ring is full */
    }
    driver_sync(d);
    assert_int_equal(
        shared_load(FIELD(d, release_ring.prod)) - shared_load(FIELD(d, release_ring.cons)), 7);
    driver_collect(d);
    /* The rest follows by itself, soon, also if no command does. */
    assert_true(fake_machine_wait(&d->machine, something_released, d, WAIT_MS));
    driver_collect(d);
    assert_int_equal(d->release_count, 400);
    for (unsigned i = 0; i < 400; i++)
        assert_int_equal(times_released(d, addrs[i]), 1);
}

static void tells_of_room_in_the_ring(void **state)
{
    struct driver *d = *state;
    uint32_t cons;

    driver_sync(d);
    cons = shared_load(FIELD(d, cmd_ring.cons));
    shared_store(FIELD(d, cmd_ring.notify_on_cons), cons + 2);
    driver_push(d, QXL_CMD_DRAW, nop(d));
    driver_sync(d);
    assert_int_equal(shared_load(FIELD(d, int_pending)) & QXL_INTERRUPT_DISPLAY, 0);
    driver_push(d, QXL_CMD_DRAW, nop(d));
    assert_true(driver_wait_irq(d, QXL_INTERRUPT_DISPLAY) & QXL_INTERRUPT_DISPLAY);
    /* Empty again: it wants to be told of the very next item. */
    driver_sync(d);
    assert_int_equal(shared_load(FIELD(d, cmd_ring.notify_on_prod)),
                     shared_load(FIELD(d, cmd_ring.prod)) + 1);
}

static bool tells_of_the_next(void *arg)
{
    struct driver *d = arg;

    return shared_load(FIELD(d, cmd_ring.notify_on_prod)) == shared_load(FIELD(d, cmd_ring.prod)) + 1;
}

static bool all_taken(void *arg)
{
    struct driver *d = arg;

    return shared_load(FIELD(d, cmd_ring.cons)) == shared_load(FIELD(d, cmd_ring.prod));
}

/* How far ahead of what is there the device wants to be told. */
static uint32_t ahead(struct driver *d)
{
    return shared_load(FIELD(d, cmd_ring.notify_on_prod)) - shared_load(FIELD(d, cmd_ring.prod));
}

/* A ring full of commands appears at once, and the device is told. */
static void fill_ring(struct driver *d)
{
    uint32_t prod = shared_load(FIELD(d, cmd_ring.prod));

    for (unsigned i = 0; i < QXL_COMMAND_RING_SIZE; i++) {
        QXLCommand command = {.data = nop(d), .type = QXL_CMD_DRAW};

        memcpy((uint8_t *)FIELD(d, cmd_ring.items) + (prod + i) % QXL_COMMAND_RING_SIZE * sizeof(command), &command,
               sizeof(command));
    }
    shared_store(FIELD(d, cmd_ring.prod), prod + QXL_COMMAND_RING_SIZE);
    driver_out(d, QXL_IO_NOTIFY_CMD, 0);
}

/* A guest that floods the ring is looked after: it tells of half a ring, and what it does not tell of is taken, too. */
static void does_not_ask_of_each(void **state)
{
    struct driver *d = *state;
    bool busy = false;

    driver_sync(d);
    /* It may have become quiet before we look. */
    for (unsigned round = 0; round < 100 && !busy; round++) {
        fill_ring(d);
        assert_true(fake_machine_wait(&d->machine, all_taken, d, WAIT_MS));
        for (unsigned i = 0; i < 100 && !busy; i++)
            busy = ahead(d) == QXL_COMMAND_RING_SIZE / 2;
        driver_collect(d);
        d->release_count = 0;
    }
    assert_true(busy);
    for (unsigned i = 0; i < 3; i++)
        driver_put(d, QXL_CMD_DRAW, nop(d));
    assert_true(fake_machine_wait(&d->machine, all_taken, d, WAIT_MS));
    assert_true(fake_machine_wait(&d->machine, tells_of_the_next, d, WAIT_MS));
}

static void out_of_memory_flushes(void **state)
{
    struct driver *d = *state;
    uint64_t addr = nop(d);
    QXLCommand command = {.data = addr, .type = QXL_CMD_DRAW};

    driver_sync(d);
    driver_collect(d);
    /* A command that nobody was notified of. */
    memcpy((uint8_t *)FIELD(d, cmd_ring.items) +
               shared_load(FIELD(d, cmd_ring.prod)) % 32 * sizeof(command),
           &command, sizeof(command));
    shared_store(FIELD(d, cmd_ring.prod), shared_load(FIELD(d, cmd_ring.prod)) + 1);
    driver_out(d, QXL_IO_NOTIFY_OOM, 0);
    assert_true(fake_machine_wait(&d->machine, something_released, d, WAIT_MS));
    driver_collect(d);
    assert_int_equal(times_released(d, addr), 1);
}

/* --- monitors --- */

static void monitors_follow_the_guest(void **state)
{
    struct driver *d = *state;
    uint64_t addr;
    QXLMonitorsConfig *config = driver_alloc(d, sizeof(*config) + 3 * sizeof(QXLHead), &addr);

    *config = (QXLMonitorsConfig){.count = 3, .max_allowed = 9};
    config->heads[0] = (QXLHead){.id = 0, .width = 160, .height = HEIGHT};
    config->heads[1] = (QXLHead){.id = 1};
    config->heads[2] = (QXLHead){.id = 2, .width = 160, .height = 100, .x = 160};
    memcpy(FIELD(d, monitors_config), &addr, sizeof(addr));
    assert_int_equal(d->display->head_count, 1);
    assert_int_equal(d->display->max_heads, 1);
    driver_async(d, QXL_IO_MONITORS_CONFIG_ASYNC, 0);
    assert_int_equal(d->display->head_count, 2);
    assert_int_equal(d->display->max_heads, QXL_MAX_HEADS);
    assert_int_equal(d->display->heads[1].id, 2);
    assert_int_equal(d->display->heads[1].x, 160);
    assert_int_equal(d->display->heads[1].height, 100);
    config->max_allowed = 3;
    driver_async(d, QXL_IO_MONITORS_CONFIG_ASYNC, 0);
    assert_int_equal(d->display->max_heads, 3);
}

/* A monitor shows what there is to show, has an id of its own, and there are no more than the device has. */
static void impossible_monitors_are_off(void **state)
{
    struct driver *d = *state;
    uint64_t addr;
    QXLMonitorsConfig *config = driver_alloc(d, sizeof(*config) + 5 * sizeof(QXLHead), &addr);

    *config = (QXLMonitorsConfig){.count = 5, .max_allowed = 5};
    config->heads[0] = (QXLHead){.id = 1, .width = 100, .height = 9999, .x = 300, .y = 50};
    config->heads[1] = (QXLHead){.id = 1, .width = 10, .height = 10};
    config->heads[2] = (QXLHead){.id = 2, .width = UINT32_MAX, .height = 10, .x = UINT32_MAX};
    config->heads[3] = (QXLHead){.id = 4, .width = 10, .height = 10};
    config->heads[4] = (QXLHead){.id = 3, .width = 10, .height = 10};
    memcpy(FIELD(d, monitors_config), &addr, sizeof(addr));
    driver_async(d, QXL_IO_MONITORS_CONFIG_ASYNC, 0);
    assert_int_equal(d->display->head_count, 1);
    assert_int_equal(d->display->heads[0].x, 300);
    assert_int_equal(d->display->heads[0].width, WIDTH - 300);
    assert_int_equal(d->display->heads[0].height, HEIGHT - 50);
    driver_async(d, QXL_IO_DESTROY_PRIMARY_ASYNC, 0);
    driver_async(d, QXL_IO_MONITORS_CONFIG_ASYNC, 0);
    assert_false(in_bug(d));
    /* The last one's end is beyond the slot's. */
    addr = d->main_slot | (d->rom->ram_header_offset - sizeof(*config) - 4);
    ((QXLMonitorsConfig *)(d->ram + (addr & 0xffffffff)))->count = 1;
    driver_create_primary(d, WIDTH, HEIGHT, WIDTH * 4, SPICE_SURFACE_FMT_32_xRGB, 0);
    memcpy(FIELD(d, monitors_config), &addr, sizeof(addr));
    driver_out(d, QXL_IO_MONITORS_CONFIG_ASYNC, 0);
    expect_bug(d);
}

struct heads_call {
    struct driver *d;
    struct display_head heads[5];
    size_t count;
    bool listens;
};

static void call_heads(void *arg)
{
    struct heads_call *c = arg;

    c->listens = c->d->display->ops->client_heads(c->d->display->device, c->heads, c->count);
}

static uint32_t slow_crc(const void *data, size_t size)
{
    uint32_t crc = 0;

    for (size_t bit = 0; bit < size * 8; bit++) {
        uint32_t in = ((const uint8_t *)data)[bit / 8] >> bit % 8 & 1;

        crc = (crc ^ in) & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
    }
    return crc;
}

static void client_asks_for_heads(void **state)
{
    struct driver *d = *state;
    struct heads_call call = {
        d,
        {{.width = 800, .height = 600}, {.id = 1, .x = 800, .width = 640, .height = 480}},
        2,
        false};
    const QXLRom *rom = d->rom;

    loop_call_wait(d->display->loop, call_heads, &call);
    assert_true(call.listens);
    assert_true(driver_wait_irq(d, QXL_INTERRUPT_CLIENT_MONITORS_CONFIG));
    assert_int_equal(rom->client_monitors_config.count, 2);
    assert_int_equal(rom->client_monitors_config.heads[1].right, 1440);
    assert_int_equal(sizeof(rom->client_monitors_config), 1028);
    assert_int_equal(rom->client_monitors_config_crc, slow_crc(&rom->client_monitors_config, 1028));
    /* The same again is no news. */
    loop_call_wait(d->display->loop, call_heads, &call);
    assert_true(call.listens);
    assert_int_equal(shared_load(FIELD(d, int_pending)), 0);
    /* More than the device has are not told. */
    call.count = 5;
    loop_call_wait(d->display->loop, call_heads, &call);
    assert_true(driver_wait_irq(d, QXL_INTERRUPT_CLIENT_MONITORS_CONFIG));
    assert_int_equal(rom->client_monitors_config.count, QXL_MAX_HEADS);
    assert_int_equal(rom->client_monitors_config_crc, slow_crc(&rom->client_monitors_config, 1028));
    /* A mask of all ones is a driver that knows nothing of this. */
    shared_store(FIELD(d, int_mask), ~0u);
    loop_call_wait(d->display->loop, call_heads, &call);
    assert_false(call.listens);
}

/* What the display's watchers are told of that: whether it makes sense to ask. */
static void watchers_know_who_listens(void **state)
{
    struct driver *d = *state;

    assert_true(d->display->takes_heads);
    /* As in the midst of serving an interrupt. */
    shared_store(FIELD(d, int_mask), 0);
    driver_out(d, QXL_IO_UPDATE_AREA, 0);
    assert_true(d->display->takes_heads);
    shared_store(FIELD(d, int_mask), QXL_INTERRUPT_IO_CMD);
    driver_out(d, QXL_IO_UPDATE_AREA, 0);
    assert_false(d->display->takes_heads);
    driver_start(d);
    assert_true(d->display->takes_heads);
    driver_out(d, QXL_IO_RESET, 0);
    assert_false(d->display->takes_heads);
}

static void old_drivers_take_no_heads(void **state)
{
    struct driver *d = *state;

    driver_start(d);
    assert_false(d->display->takes_heads);
}

static void call_capabilities(void *arg)
{
    struct driver *d = arg;
    const uint8_t caps[58] = {0x11, [57] = 0x22};

    d->display->ops->client_capabilities(d->display->device, true, caps);
}

/* A driver that comes when the client is there already finds it, as one that was there before. */
static void client_stays_over_a_reset(void **state)
{
    struct driver *d = *state;

    shared_store(FIELD(d, int_mask), QXL_INTERRUPT_CLIENT);
    loop_call_wait(d->display->loop, call_capabilities, d);
    driver_wait_irq(d, QXL_INTERRUPT_CLIENT);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(d->rom->client_present, 1);
        assert_int_equal(d->rom->client_capabilities[0], 0x11);
        assert_int_equal(d->rom->client_capabilities[57], 0x22);
        driver_out(d, QXL_IO_RESET, 0);
    }
}

/* --- IO --- */

static void every_async_ends_with_an_interrupt(void **state)
{
    struct driver *d = *state;

    shared_store(FIELD(d, int_mask), QXL_INTERRUPT_IO_CMD);
    /* The VGA is shown: they make no sense, but nobody may wait for ever. */
    driver_async(d, QXL_IO_UPDATE_AREA_ASYNC, 0);
    driver_async(d, QXL_IO_DESTROY_PRIMARY_ASYNC, 0);
    driver_async(d, QXL_IO_DESTROY_SURFACE_ASYNC, 3);
    driver_async(d, QXL_IO_DESTROY_ALL_SURFACES_ASYNC, 0);
    driver_async(d, QXL_IO_FLUSH_SURFACES_ASYNC, 0);
    driver_async(d, QXL_IO_MONITORS_CONFIG_ASYNC, 0);
    assert_false(in_bug(d));
    /* And in the error state. */
    driver_out(d, QXL_IO_MEMSLOT_ADD, 200);
    assert_true(in_bug(d));
    driver_async(d, QXL_IO_UPDATE_AREA_ASYNC, 0);
    driver_async(d, QXL_IO_MEMSLOT_ADD_ASYNC, 1);
    driver_out(d, QXL_IO_RESET, 0);
    assert_false(in_bug(d));
}

static void interrupt_follows_the_mask(void **state)
{
    struct driver *d = *state;

    shared_store(FIELD(d, int_mask), 0);
    driver_out(d, QXL_IO_UPDATE_AREA_ASYNC, 0);
    fake_machine_run(&d->machine, 50);
    assert_int_equal(shared_load(FIELD(d, int_pending)), QXL_INTERRUPT_IO_CMD);
    assert_false(line_is_high(d));
    shared_store(FIELD(d, int_mask), QXL_INTERRUPT_IO_CMD);
    driver_out(d, QXL_IO_UPDATE_IRQ, 0);
    assert_true(line_is_high(d));
    driver_ack(d);
    assert_false(line_is_high(d));
}

static void sync_commands_work_too(void **state)
{
    struct driver *d = *state;
    QXLMemSlot slot = {d->ram_base, d->ram_base + MIB(32)};
    QXLSurfaceCreate create = {.width = WIDTH,
                               .height = HEIGHT,
                               .stride = WIDTH * 4,
                               .format = SPICE_SURFACE_FMT_32_xRGB,
                               .mem = 3ULL << 56};

    driver_out(d, QXL_IO_RESET, 0);
    memcpy(FIELD(d, mem_slot), &slot, sizeof(slot));
    driver_out(d, QXL_IO_MEMSLOT_ADD, 3);
    memcpy(FIELD(d, create_surface), &create, sizeof(create));
    driver_out(d, QXL_IO_CREATE_PRIMARY, 0);
    d->main_slot = 3ULL << 56;
    d->next = d->rom->pages_offset;
    for (unsigned i = 0; i < 20; i++)
        random_copy(d);
    driver_out(d, QXL_IO_UPDATE_AREA, 0);
    check_picture(d);
    driver_out(d, QXL_IO_LOG, 0);
    driver_out(d, QXL_IO_DESTROY_SURFACE_WAIT, 5);
    driver_out(d, QXL_IO_DESTROY_PRIMARY, 0);
    driver_out(d, QXL_IO_MEMSLOT_DEL, 3);
    driver_out(d, QXL_IO_DESTROY_ALL_SURFACES, 0);
    assert_false(in_bug(d));
}

static void the_second_revision_has_fewer_ports(void **state)
{
    struct driver *d = *state;

    assert_int_equal(fake_pci_read(&d->machine, QXL_SLOT, 8, 1), 2);
    fake_pci_write(&d->machine, QXL_SLOT, 0x1c, 0xffffffff, 4);
    assert_int_equal(fake_pci_read(&d->machine, QXL_SLOT, 0x1c, 4) & 0xfffc, 0xfff0);
}

static void first_drivers_set_a_mode(void **state)
{
    struct driver *d = *state;
    const QXLModes *modes = (const QXLModes *)((const uint8_t *)d->rom + d->rom->modes_offset);
    QXLCompatDrawable *p = (QXLCompatDrawable *)(d->ram + MIB(20));
    QXLCommand command = {.data = d->ram_base + MIB(20), .type = QXL_CMD_DRAW};
    struct screenshot shot;

    driver_out(d, QXL_IO_SET_MODE, 2);
    assert_int_equal(d->rom->mode, 2);
    *p = (QXLCompatDrawable){
        .type = QXL_DRAW_FILL, .bbox = {.right = 100, .bottom = 50}, .release_info.id = 1};
    p->u.fill.brush = (QXLBrush){.type = SPICE_BRUSH_TYPE_SOLID, .u.color = 0x445566};
    p->u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
    memcpy(FIELD(d, cmd_ring.items), &command, sizeof(command));
    shared_store(FIELD(d, cmd_ring.prod), 1);
    driver_out(d, QXL_IO_NOTIFY_CMD, 0);
    assert_int_equal(screenshot_take(&shot, d->display), 0);
    assert_int_equal(shot.width, modes->modes[2].x_res);
    assert_int_equal(shot.height, modes->modes[2].y_res);
    assert_int_equal(shot.pixels[49 * shot.width + 99], 0x445566);
    screenshot_fini(&shot);
    assert_false(in_bug(d));
}

static void empty_area_is_no_error(void **state)
{
    struct driver *d = *state;

    driver_update_area(d, 0, (QXLRect){.left = 5, .right = 5, .top = 1, .bottom = 1});
    driver_update_area(d, 77, (QXLRect){.right = 5, .bottom = 1}); /* no such surface now */
    assert_false(in_bug(d));
    memcpy(FIELD(d, update_area), &(QXLRect){.left = 9, .right = 5, .bottom = 1}, sizeof(QXLRect));
    driver_out(d, QXL_IO_UPDATE_AREA, 0);
    expect_bug(d);
}

static void old_revision_leaves_native_on_vga_access(void **state)
{
    struct driver *d = *state;
    struct screenshot shot;

    driver_start(d);
    driver_create_primary(d, WIDTH, HEIGHT, WIDTH * 4, SPICE_SURFACE_FMT_32_xRGB, 0);
    check_picture(d);
    fake_out(&d->machine, 0x3c2, 0x67, 1);
    driver_sync(d);
    assert_int_equal(screenshot_take(&shot, d->display), 0);
    assert_int_equal(shot.width, 720);
    screenshot_fini(&shot);
    driver_create_primary(d, WIDTH, HEIGHT, WIDTH * 4, SPICE_SURFACE_FMT_32_xRGB, 0);
    check_picture(d);
}

static void new_revision_stays_native(void **state)
{
    struct driver *d = *state;
    struct screenshot shot;

    fake_out(&d->machine, 0x3c2, 0x67, 1);
    driver_sync(d);
    check_picture(d);
    driver_out(d, QXL_IO_RESET, 0);
    assert_int_equal(screenshot_take(&shot, d->display), 0);
    assert_int_equal(shot.width, 720);
    screenshot_fini(&shot);
}

static void machine_reset_starts_over(void **state)
{
    struct driver *d = *state;

    for (unsigned i = 0; i < 100; i++)
        random_copy(d);
    fake_machine_reset(&d->machine);
    driver_map(d);
    memset(oracle, 0, sizeof(oracle));
    driver_start(d);
    driver_create_primary(d, WIDTH, HEIGHT, WIDTH * 4, SPICE_SURFACE_FMT_32_xRGB, 0);
    check_picture(d);
    for (unsigned i = 0; i < 20; i++)
        random_copy(d);
    check_picture(d);
}

static void survives_save_and_load(void **state)
{
    struct driver *d = *state;
    struct device *device = TAILQ_FIRST(&d->machine.base.devices);
    uint32_t pixels[64];
    struct writer w;
    struct reader r;

    for (unsigned i = 0; i < 50; i++)
        random_copy(d);
    memset(pixels, 0x33, sizeof(pixels));
    driver_push(d, QXL_CMD_SURFACE,
                surface_command(d, 5, QXL_SURFACE_CMD_CREATE, 8, 8, d->vram_slot, 0));
    driver_push(d, QXL_CMD_DRAW,
                driver_copy(d, 5, 0, 0, 8, 8,
                            driver_bitmap(d, SPICE_BITMAP_FMT_RGBA, 8, 8, 32, pixels, 0, true)));
    driver_push_cursor(d, driver_cursor(d, (QXLCursorHeader){.type = SPICE_CURSOR_TYPE_MONO, .width = 8, .height = 8},
                                        (QXLPoint16){10, 20}, pixels, 16, 16));
    driver_sync(d);
    writer_init(&w, MIB(200));
    machine_lock(&d->machine.base);
    device->ops->save(device, &w);
    machine_unlock(&d->machine.base);
    assert_false(w.bad);
    fake_machine_reset(&d->machine);
    memset(d->ram, 0x77, MIB(20));
    reader_init(&r, w.data, w.size);
    machine_lock(&d->machine.base);
    assert_int_equal(device->ops->load(device, &r, 2), 0);
    machine_unlock(&d->machine.base);
    assert_int_equal(reader_left(&r), 0);
    check_picture(d);
    assert_int_equal(d->display->cursor.width, 8);
    driver_push(d, QXL_CMD_DRAW, driver_copy(d, 0, 0, 0, 8, 8, surface_image(d, 5, 8, 8)));
    oracle_put(pixels, 0, 0, 8, 8, NULL, 0);
    check_picture(d);
    for (size_t size = 0; size < w.size; size += 1 + size / 8) {
        reader_init(&r, w.data, size);
        assert_int_not_equal(device->ops->load(device, &r, 2), 0);
    }
    writer_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NATIVE(releases_come_at_once),
        NATIVE(full_release_ring_loses_nothing),
        NATIVE(out_of_memory_flushes),
        NATIVE(tells_of_room_in_the_ring),
        NATIVE(does_not_ask_of_each),
        NATIVE(monitors_follow_the_guest),
        NATIVE(impossible_monitors_are_off),
        NATIVE(client_asks_for_heads),
        NATIVE(watchers_know_who_listens),
        cmocka_unit_test_setup_teardown(old_drivers_take_no_heads, setup_v10, teardown),
        NATIVE(client_stays_over_a_reset),
        cmocka_unit_test_setup_teardown(the_second_revision_has_fewer_ports, setup_v06, teardown),
        TEST(every_async_ends_with_an_interrupt),
        TEST(interrupt_follows_the_mask),
        TEST(sync_commands_work_too),
        TEST(first_drivers_set_a_mode),
        NATIVE(empty_area_is_no_error),
        cmocka_unit_test_setup_teardown(old_revision_leaves_native_on_vga_access, setup_old,
                                        teardown),
        NATIVE(new_revision_stays_native),
        NATIVE(machine_reset_starts_over),
        NATIVE(survives_save_and_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
