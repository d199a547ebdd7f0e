/* test_domain.c - libvirt's domains as options: what virt-install writes, and one that has run for years. */
#include "base/error.h"
#include "base/log.h"
#include "vmm/config.h"
#include "vmm/domain.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define FOLDER "tests/data/domains/"

static void assert_words(const struct domain *d, const char *expected)
{
    char text[4096] = "";

    for (unsigned i = 0; i < d->count; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", d->words[i], i % 2 ? "\n" : " ");
    assert_string_equal(text, expected);
}

static void check_file(const char *path, const char *words, unsigned warnings)
{
    struct domain d;

    assert_int_equal(domain_read(&d, path, true), 0);
    assert_words(&d, words);
    assert_int_equal(d.warnings, warnings);
    domain_fini(&d);
}

/* Network card, agent's channel, tablet, two USB channels: it is said of each. */
static void test_virt_install(void **state UNUSED)
{
    check_file(FOLDER "win10.xml",
               "--name win10\n--uuid f443f4de-5c7e-4f39-86e7-015a7b730d1b\n--memory 2048M\n--cpus 2\n--boot disk\n"
               "--rtc localtime\n--disk /var/lib/libvirt/images/win10.qcow2,bus=ide\n--net user,mac=00:16:3e:2e:59:1d\n"
               "--serial pty\n--spice 0\n--spice-option image-compression=off\n"
               "--sound ich6\n--video qxl\n--qxl revision=5\n", 5);
}

static void test_centos(void **state UNUSED)
{
    check_file(FOLDER "centos.xml",
               "--name centos\n--uuid 8c1a6b9e-29a1-4f0e-9f8b-5a1f6a6d0c11\n--memory 2048M\n--cpus 2\n--boot disk,cdrom\n"
               "--hpet off\n--on-poweroff destroy\n--on-reboot restart\n--on-crash destroy\n"
               "--disk /var/lib/libvirt/images/centos,, first.qcow2,format=qcow2,cache=none\n--cdrom none\n"
               "--net user,mac=52:54:00:5c:1f:02\n--serial pty\n--spice 5902\n--spice-listen 0.0.0.0\n"
               "--spice-option image-compression=auto_glz\n--spice-option jpeg-wan-compression=auto\n"
               "--spice-option streaming-video=filter\n--sound ich6\n--video qxl\n"
               "--qxl ram=65536K,vram=65536K,vgamem=16384K\n", 5);
}

/* All options are the command line's own, so that what reads it is content. */
static void test_configures(void **state UNUSED)
{
    static const char *const files[] = {"centos", "debian11", "fedora36", "win10"};

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        static struct vm_config config;
        char path[64], *argv[] = {"run", "--relayed", "--domain", path, "--memory", "512M"};

        snprintf(path, sizeof(path), FOLDER "%s.xml", files[i]);
        config_init(&config);
        if (config_parse(&config, ARRAY_SIZE(argv), argv))
            fail_msg("%s: %s", path, fail_text());
        assert_string_equal(config.name, files[i]);
        assert_int_equal(config.memory, MIB(512)); /* what comes later counts */
        assert_int_equal(config.disk_count, 1);
        assert_true(config_has_spice(&config));
        assert_int_equal(config_lets_strangers_in(&config), i == 0);
        assert_int_equal(strlen(config.made_password) > 0, i == 0);
        config_fini(&config);
    }
}

static int parse(struct domain *d, const char *inside)
{
    char xml[2048];

    snprintf(xml, sizeof(xml), "<domain type='kvm'>%s</domain>", inside);
    return domain_parse(d, "test.xml", xml, strlen(xml), true);
}

static void check(const char *inside, const char *words, unsigned warnings)
{
    struct domain d;

    if (parse(&d, inside))
        fail_msg("%s: %s", inside, fail_text());
    assert_words(&d, words);
    if (d.warnings != warnings)
        fail_msg("%s: %u warnings, not %u", inside, d.warnings, warnings);
    domain_fini(&d);
}

#define DEVICES(inside) "<devices><video><model type='none'/></video><interface type='user'/>" inside "</devices>"
#define NO_DEVICES "--sound none\n--video none\n--net user\n"

static void test_parts(void **state UNUSED)
{
    check("<memory unit='GB'>1</memory>", "--memory 954M\n", 0);
    check("<memory unit='b'>1</memory><title>a</title>", "--memory 1M\n", 0);
    check("<tpm/>", "", 1);
    check("<os firmware='efi'><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>", "--firmware uefi\n", 1);
    check("<os><loader type='pflash'>/x/OVMF_CODE.fd</loader><nvram>/x/vars.fd</nvram></os>",
          "--firmware uefi\n--uefi-vars /x/vars.fd\n", 0);
    check("<os><kernel>/k</kernel><cmdline>a b</cmdline><boot dev='hd'/></os>", "--kernel /k\n--append a b\n", 0);
    check("<devices/>", "--sound none\n--net none\n--video none\n", 0);
    check(DEVICES("<disk type='block' device='disk'><source dev='/dev/sdb'/><target bus='scsi'/><readonly/>"
                  "<driver type='raw' error_policy='enospace'/><serial>a b</serial></disk>"),
          NO_DEVICES "--disk /dev/sdb,format=raw,werror=enospc,readonly=on,serial=a b\n", 1);
    check(DEVICES("<disk type='network' device='disk'><source protocol='nbd' name='x'/></disk>"), NO_DEVICES, 1);
    check(DEVICES("<disk device='floppy'><source file='/f'/></disk>"), NO_DEVICES, 1);
    check(DEVICES("<serial type='unix'><source mode='bind' path='/s'/></serial><serial type='pty'/>"),
          NO_DEVICES "--serial unix:/s\n", 1);
    check(DEVICES("<watchdog model='i6300esb' action='shutdown'/><memballoon model='none'/>"),
          NO_DEVICES "--watchdog poweroff\n--balloon off\n", 0);
    check("<devices><sound model='ich9'/><video><model type='none'/></video><interface type='user'/></devices>",
          "--sound ich6\n--video none\n--net user\n", 0);
    check("<devices><sound model='ac97'/><video><model type='none'/></video><interface type='user'/></devices>",
          "--sound ac97\n--video none\n--net user\n", 0);
    check("<devices><sound model='sb16'/><sound model='ich6'/><video><model type='none'/></video>"
          "<interface type='user'/></devices>", "--sound ich6\n--video none\n--net user\n", 2);
    check("<devices><interface type='ethernet'><target dev='tap3' managed='no'/></interface>"
          "<video><model type='cirrus'/></video><video><model type='qxl'/></video></devices>",
          "--sound none\n--net tap=tap3\n--video vga\n--qxl revision=5\n", 1);
    check("<devices><interface type='user'><portForward proto='tcp'><range start='2022' to='22'/><range start='80'/>"
          "</portForward></interface><video><model type='qxl' vram='9216' heads='2'/></video></devices>",
          "--sound none\n--net user\n--forward tcp::2022-:22\n--forward tcp::80-:80\n--video qxl\n--heads 2\n--qxl vram=16384K\n", 0);
}

static void test_graphics(void **state UNUSED)
{
    struct domain d;

    check(DEVICES("<graphics type='spice'><listen type='socket' socket='/run/s'/></graphics>"),
          NO_DEVICES "--spice-unix /run/s\n", 0);
    check(DEVICES("<graphics type='spice'><listen type='none'/></graphics>"), NO_DEVICES, 0);
    check(DEVICES("<graphics type='vnc' port='5900'/><graphics type='spice' port='5901'/>"), NO_DEVICES "--spice 0\n", 2);
    check(DEVICES("<graphics type='spice' tlsPort='5903' defaultMode='secure'><channel name='main' mode='secure'/>"
                  "<channel name='cursor' mode='insecure'/><clipboard copypaste='no'/></graphics>"),
          NO_DEVICES "--spice-tls 5903\n--spice-option plaintext-channel=cursor\n", 1);
    assert_int_equal(parse(&d, DEVICES("<graphics type='spice' passwd='a&lt;b'/>")), 0);
    assert_string_equal(d.password, "a<b");
    domain_fini(&d);
}

static void check_refused(const char *xml, const char *reason)
{
    struct domain d;

    assert_int_equal(domain_parse(&d, "test.xml", xml, strlen(xml), true), -EINVAL);
    if (!strstr(fail_text(), reason))
        fail_msg("'%s' is no '%s'", fail_text(), reason);
    domain_fini(&d);
}

static void test_refused(void **state UNUSED)
{
    check_refused("", "is no XML");
    check_refused("<domain><name>x</domain>", "is no XML");
    check_refused("<network/>", "is no domain");
    check_refused("<!DOCTYPE d [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><domain><name>&b;</name></domain>", "document type");
    check_refused("<domain><memory>x</memory></domain>", "no size of memory");
    check_refused("<domain><memory unit='TiB'>99999999999</memory></domain>", "no size of memory");
    check_refused("<domain><os><type arch='aarch64'>hvm</type></os></domain>", "architecture aarch64");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_virt_install), cmocka_unit_test(test_centos),   cmocka_unit_test(test_configures),
        cmocka_unit_test(test_parts),        cmocka_unit_test(test_graphics), cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
