/* main.c - minivm and its commands. */
#include "base/error.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/options.h"
#include "vmm/accel.h"
#include "vmm/broker.h"
#include "vmm/config.h"
#include "vmm/image.h"
#include "vmm/nested.h"
#include "vmm/registry.h"
#include "vmm/run.h"
#include "vmm/view.h"

#include <stdio.h>
#include <string.h>

static int run_configured(int argc, char **argv, struct vm_config *config)
{
    int err = config_parse(config, argc, argv);

    if (err == OPTIONS_HELP)
        return RUN_OK;
    if (err) {
        log_error("%s", fail_text());
        return RUN_USAGE;
    }
    config->accel = accel_choose(config->accel);
    return config->accel == ACCEL_NESTED ? nested_run(argc, argv, config) : (int)broker_run(config, run_machine);
}

static int command_run(int argc, char **argv)
{
    static struct vm_config config;
    int status;

    heap_give_back();
    config_init(&config);
    status = run_configured(argc, argv, &config);
    config_fini(&config);
    return status;
}

static const struct command {
    const char *name, *help;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns the exit status */
} commands[] = {
    {"run", "boot a machine", command_run},
    {"list", "name the machines that run", list_main},
    {"view", "open a window on a machine that runs", view_main},
    {"vv", "say what viewers must know of a machine that runs", vv_main},
    {"image", "make, check, copy and change disk images", image_main},
    {"doctor", "say what this computer has of what machines need", doctor_main},
};

static void print_help(void)
{
    size_t i;

    printf("usage: minivm COMMAND [OPTION...]\n\n");
    for (i = 0; i < ARRAY_SIZE(commands); i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].help);
    printf("\nminivm COMMAND --help says more.\n");
}

static int unknown_command(const char *name)
{
    const char *near = nearest_name(name, &commands->name, ARRAY_SIZE(commands), sizeof(commands[0]));

    if (near)
        log_error("unknown command '%s'; did you mean 'minivm %s'?", name, near);
    else
        log_error("unknown command '%s'; minivm --help lists the commands", name);
    return RUN_USAGE;
}

int main(int argc, char **argv)
{
    size_t i;

    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help();
        return argc < 2 ? RUN_USAGE : RUN_OK;
    }
    for (i = 0; i < ARRAY_SIZE(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (strcmp(argv[1], "software-host") == 0)
        return nested_agent_main();
    return unknown_command(argv[1]);
}
