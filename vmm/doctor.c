/* minivm doctor: what this computer has of what machines need, and what to do about the rest. */
#include "vmm/accel.h"
#include "vmm/board_sandbox.h"
#include "vmm/jail.h"
#include "vmm/nested.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QEMU              "qemu-system-x86_64"
#define FIRMWARE          "/usr/share/seabios/bios-256k.bin"
#define MEMORY_WANTED_KIB (2560 * 1024ll) /* a machine of the default size in a software host */

enum verdict { GOOD, POOR, BAD };

struct finding {
    enum verdict verdict;
    char text[320];
};

static struct kvm_probe probe;

/* The rest of the first line that starts with key. */
static bool find_line(const char *path, const char *key, char *rest, size_t size)
{
    FILE *file = fopen(path, "re");
    char line[4096];
    bool found = false;

    while (file && !found && fgets(line, sizeof(line), file))
        if (strncmp(line, key, strlen(key)) == 0) {
            snprintf(rest, size, "%s", line + strlen(key));
            found = true;
        }
    if (file)
        fclose(file);
    return found;
}

static bool in_path(const char *program)
{
    char *folders = strdup(getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin"), *rest = folders,
         *folder;
    char path[PATH_MAX];
    bool found = false;

    while (!found && (folder = strsep(&rest, ":"))) {
        snprintf(path, sizeof(path), "%s/%s", folder, program);
        found = access(path, X_OK) == 0;
    }
    free(folders);
    return found;
}

static void check_cpu(struct finding *f)
{
    char flags[4096] = "";

    find_line("/proc/cpuinfo", "flags", flags, sizeof(flags));
    if (strstr(flags, " vmx") || strstr(flags, " svm")) {
        snprintf(f->text, sizeof(f->text), "the CPU has %s",
                 strstr(flags, " vmx") ? "VT-x" : "AMD-V");
        return;
    }
    f->verdict = POOR;
    snprintf(f->text, sizeof(f->text),
             "the CPU shows neither VT-x (vmx) nor AMD-V (svm); enable it in the firmware, or, in "
             "a virtual machine, "
             "nested virtualisation");
}

static void check_kvm(struct finding *f)
{
    kvm_probe_describe(&probe, f->text, sizeof(f->text));
    f->verdict = probe.state == KVM_HARDWARE ? GOOD : POOR;
}

static void check_qemu(struct finding *f)
{
    if (in_path(QEMU)) {
        snprintf(f->text, sizeof(f->text), "%s is installed", QEMU);
        return;
    }
    f->verdict = probe.state == KVM_HARDWARE ? POOR : BAD;
    snprintf(f->text, sizeof(f->text),
             "%s, which a software host needs, is missing; apt-get install qemu-system-x86", QEMU);
}

static void check_host(struct finding *f)
{
    char folder[PATH_MAX];

    if (nested_host_folder(folder, sizeof(folder))) {
        snprintf(f->text, sizeof(f->text), "the software host's kernel is in %.200s", folder);
        return;
    }
    f->verdict = probe.state == KVM_HARDWARE ? POOR : BAD;
    snprintf(f->text, sizeof(f->text), "the software host is not built; make host");
}

static void check_firmware(struct finding *f)
{
    bool found = access(FIRMWARE, R_OK) == 0;

    f->verdict = found ? GOOD : BAD;
    snprintf(f->text, sizeof(f->text), "SeaBIOS %s%s", found ? FIRMWARE : "is missing",
             found ? "" : "; apt-get install seabios");
}

static void check_uefi(struct finding *f)
{
    struct uefi_files files = {0};
    int err = uefi_find(&files, "uefi", NULL, "minivm");

    f->verdict = err ? POOR : GOOD;
    snprintf(f->text, sizeof(f->text), "%s", err ? "OVMF is missing, and with it --firmware uefi; apt-get install ovmf"
                                                 : files.code);
}

static void check_memory(struct finding *f)
{
    char text[64] = "";
    long long kib;

    find_line("/proc/meminfo", "MemAvailable:", text, sizeof(text));
    kib = atoll(text);
    f->verdict = kib < MEMORY_WANTED_KIB ? POOR : GOOD;
    snprintf(f->text, sizeof(f->text), "%.1f GiB of memory are free%s", (double)kib / (1 << 20),
             kib < MEMORY_WANTED_KIB ? "; give machines less than the default with --memory" : "");
}

/* The one that is kept, if it has been made. */
static void check_tls(struct finding *f)
{
    struct certificate c;
    char print[CERTIFICATE_PRINT];

    if (certificate_kept(&c) && certificate_print(&c, print) == 0) {
        snprintf(f->text, sizeof(f->text), "the certificate of --spice-tls is %s", print);
        return;
    }
    snprintf(f->text, sizeof(f->text), "--spice-tls will make a certificate; where others can listen use it: a password "
                                       "without TLS can be broken by who records the connection");
}

static void check_web(struct finding *f)
{
    bool found = access(CONFIG_WEB_FOLDER "/main.js", R_OK) == 0;

    f->verdict = found ? GOOD : POOR;
    snprintf(f->text, sizeof(f->text), "%s", found ? "spice-html5 is installed" : "spice-html5 is missing, and with it --web; "
                                                                                    "apt-get install spice-html5");
}

static void check_sandbox(struct finding *f)
{
    bool files = sandbox_has_landlock(), jail = jail_is_permitted();

    f->verdict = files && jail ? GOOD : POOR;
    snprintf(f->text, sizeof(f->text), "machines are confined by system call%s%s%s", files ? ", by Landlock" : "",
             jail ? ", and see no files and no processes" : "; this kernel permits you no name spaces",
             files ? "" : "; it has no Landlock, which lsm= on its command line may bring");
}

/* The last word, from what the others found. */
static void check_accel(struct finding *f)
{
    char folder[PATH_MAX];
    bool nested = in_path(QEMU) && nested_host_folder(folder, sizeof(folder));

    f->verdict = probe.state == KVM_HARDWARE ? GOOD : nested ? POOR : BAD;
    snprintf(f->text, sizeof(f->text), "%s",
             f->verdict == GOOD ? "--accel auto uses this computer's KVM"
             : f->verdict == POOR
                 ? "--accel auto uses a software host, many times slower than hardware"
                 : "no machine can be run: neither KVM nor a software host is usable");
}

static const struct {
    const char *name;
    void (*check)(struct finding *finding);
} checks[] = {
    {"cpu", check_cpu},           {"kvm", check_kvm},
    {"qemu", check_qemu},         {"software host", check_host},
    {"firmware", check_firmware}, {"uefi", check_uefi},
    {"memory", check_memory},     {"tls", check_tls},
    {"web page", check_web},      {"sandbox", check_sandbox},
    {"accel", check_accel},
};

int doctor_main(int argc, char **argv)
{
    static const char *const words[] = {"ok", "poor", "BAD"};
    bool usable = true;
    size_t i;

    if (argc == 2 && strcmp(argv[1], "--sandbox") == 0) {
        sandbox_print(stdout);
        return RUN_OK;
    }
    if (argc > 1) {
        fprintf(strcmp(argv[1], "--help") == 0 ? stdout : stderr,
                "usage: minivm doctor [--sandbox]\n\nSays what this computer has of what machines need; --sandbox: which system "
                "calls their threads may make. Exit "
                "status: 0 if machines "
                "can be run, else 1.\n");
        return strcmp(argv[1], "--help") == 0 ? RUN_OK : RUN_USAGE;
    }
    kvm_probe(&probe);
    for (i = 0; i < ARRAY_SIZE(checks); i++) {
        struct finding f = {GOOD, ""};

        checks[i].check(&f);
        usable &= f.verdict != BAD;
        printf("%-5s %-14s %s\n", words[f.verdict], checks[i].name, f.text);
    }
    return usable ? RUN_OK : RUN_FAILED;
}
