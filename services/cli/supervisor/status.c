#include "status.h"

#include "reason.h"
#include "spawn.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/json.h>
#include <aceso/str.h>

static void set_state(json_t *service, const char *state)
{
    json_object_set_new(service, "state", json_string(state));
    json_object_set_new(service, "pid", json_integer(0));
}

/* The file is as old as the last change that could be written (not on a full disk). That of a
 * supervisor that is gone says nothing of now, nor of one that has just begun. */
static void correct(const struct cli_layout *l, json_t *status)
{
    pid_t holder = cli_layout_supervisor(l);
    bool running = holder != 0 && holder == (pid_t)ac_json_i64(status, "supervisor", 0);
    size_t i;
    json_t *s;
    if (!running)
        json_object_set_new(status, "supervisor", json_integer(0));
    json_array_foreach(json_object_get(status, "services"), i, s)
    {
        pid_t pid = (pid_t)ac_json_i64(s, "pid", 0);
        if (!running)
            set_state(s, "stopped");
        else if (pid != 0 && cli_proc_start(pid) != (uint64_t)ac_json_i64(s, "start", 0))
            set_state(s, "failed");
    }
    if (holder != 0 && cli_disk_full(l->dir)) {
        ac_cleanup(ac_free_p) char *text =
            ac_xasprintf("the disk of %s is full: make room", l->dir);
        json_object_set_new(status, "error", json_string(text));
    }
}

int cli_status_read(const struct cli_layout *l, json_t **ret, struct ac_err *err)
{
    const char *path = cli_layout_path(l, "status.json");
    if (!ac_path_exists(path))
        return ac_err_set(err, AC_ENOTFOUND, "no instance in %s; start one with aceso up", l->dir);
    json_t *j = NULL;
    int rc = ac_json_load_file(path, &j, err);
    if (rc != 0)
        return rc;
    correct(l, j);
    *ret = j;
    return 0;
}

int cli_status_write(const struct cli_layout *l, const json_t *status, struct ac_err *err)
{
    ac_cleanup(ac_free_p) char *text = ac_json_text(status);
    return ac_file_write_atomic(cli_layout_path(l, "status.json"), text, strlen(text), 0600, err);
}

void cli_status_count(const json_t *status, int *ret_healthy, int *ret_total)
{
    size_t i;
    json_t *s;
    *ret_healthy = *ret_total = 0;
    json_array_foreach(json_object_get(status, "services"), i, s)
    {
        ++*ret_total;
        *ret_healthy += ac_streq(ac_json_str(s, "state", ""), "healthy");
    }
}

void cli_status_print(const json_t *status)
{
    size_t i;
    json_t *s;
    const char *console = NULL;
    printf("%-12s %-9s %8s %9s  %s\n", "SERVICE", "STATE", "PID", "RESTARTS", "ADDRESS");
    json_array_foreach(json_object_get(status, "services"), i, s)
    {
        printf("%-12s %-9s %8d %9d  %s\n", ac_json_str(s, "name", ""), ac_json_str(s, "state", ""),
               (int)ac_json_i64(s, "pid", 0), (int)ac_json_i64(s, "restarts", 0),
               ac_json_str(s, "address", ""));
        if (ac_streq(ac_json_str(s, "name", ""), "console"))
            console = ac_json_str(s, "address", NULL);
    }
    if (console)
        printf("\nthe page for people: %s\n", console);
}

int cli_status_kill_leftovers(const struct cli_layout *l)
{
    ac_cleanup_json j = NULL;
    if (ac_json_load_file(cli_layout_path(l, "status.json"), &j, NULL) != 0)
        return 0;
    int killed = 0;
    size_t i;
    json_t *s;
    json_array_foreach(json_object_get(j, "services"), i, s)
    {
        killed += cli_proc_kill_leftover((pid_t)ac_json_i64(s, "pid", 0),
                                         (uint64_t)ac_json_i64(s, "start", 0));
    }
    return killed;
}
