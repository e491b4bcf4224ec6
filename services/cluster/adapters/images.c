#include "images.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/yaml.h>

#include "core/podspec.h"

/* A server that is ready in a second or two: the data directory is copied from one that was made
 * once, then set up as the environment asks by a server that nobody can reach yet. Durability ends
 * with the pod: nothing is synced. */
static const char postgres_sh[] =
    "#!/bin/sh\n"
    "set -eu\n"
    "PATH=$PATH:$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)\n"
    "umask 077\n"
    "user=${POSTGRES_USER:-postgres}\n"
    "db=${POSTGRES_DB:-$user}\n"
    "data=${PGDATA:-$ACESO_MOUNT_ROOT/pgdata}\n"
    "[ ! -d \"${ACESO_VOLUME_DATA:-}\" ] || data=${PGDATA:-$ACESO_VOLUME_DATA/pgdata}\n"
    "run=$PGHOST\n"
    "if [ ! -s \"$data/PG_VERSION\" ]; then\n"
    "    cache=$ACESO_CACHE/postgres-$(postgres -V | tr -dc 0-9.)-$user-$(id -u)\n"
    "    (\n" /* servers that start together wait for the first one's */
    "        flock 9\n"
    "        [ ! -s \"$cache/PG_VERSION\" ] || exit 0\n"
    "        rm -rf \"$cache\" \"$cache.new\"\n"
    "        initdb -D \"$cache.new\" -U \"$user\" -A trust -E UTF8 --locale=C --no-sync "
    "--no-instructions --wal-segsize=1 >/dev/null\n"
    "        mv -T \"$cache.new\" \"$cache\"\n"
    "    ) 9>> \"$cache.lock\"\n"
    "    mkdir -p \"$(dirname \"$data\")\"\n"
    "    rm -rf \"$data\" \"$data.new\"\n"
    "    cp -a --reflink=auto \"$cache\" \"$data.new\"\n"
    "    cat >> \"$data.new/postgresql.conf\" <<EOF\n"
    "fsync = off\n"
    "synchronous_commit = on\n" /* without fsync it costs nothing, and a killed server keeps what it
                                   confirmed */
    "full_page_writes = off\n"
    "shared_buffers = 32MB\n"
    "max_connections = 200\n"
    "dynamic_shared_memory_type = mmap\n"
    "min_wal_size = 4MB\n"
    "max_wal_size = 128MB\n"
    "log_line_prefix = ''\n"
    "EOF\n"
    "    {\n"
    "        echo 'local all all peer map=own'\n"
    "        if [ \"${POSTGRES_HOST_AUTH_METHOD:-}\" = trust ]; then\n"
    "            echo 'host all all all trust'\n"
    "        else\n"
    "            echo 'host all all all scram-sha-256'\n"
    "        fi\n"
    "    } > \"$data.new/pg_hba.conf\"\n"
    "    echo \"own $(id -un) $user\" > \"$data.new/pg_ident.conf\"\n"
    "    log=$ACESO_MOUNT_ROOT/init.log\n"
    "    pg_ctl -s -w -D \"$data.new\" -l \"$log\" -o \"-c listen_addresses='' -c "
    "unix_socket_directories='$run'\" start || { cat \"$log\"; exit 1; }\n"
    "    export PGUSER=\"$user\"\n"
    "    if [ -n \"${POSTGRES_PASSWORD:-}\" ]; then\n"
    "        printf \"ALTER ROLE :\\\"u\\\" PASSWORD :'p'\" | psql -q -v ON_ERROR_STOP=1 -v "
    "u=\"$user\" -v p=\"$POSTGRES_PASSWORD\" -d postgres\n"
    "    fi\n"
    "    [ \"$db\" = postgres ] || createdb \"$db\"\n"
    "    init=${ACESO_INITDB:-/docker-entrypoint-initdb.d}\n"
    "    for f in \"$init\"/*; do\n"
    "        case $f in\n"
    "        *.sql) psql -q -v ON_ERROR_STOP=1 -d \"$db\" -f \"$f\" ;;\n"
    "        *.sh) POSTGRES_USER=$user POSTGRES_DB=$db sh \"$f\" ;;\n"
    "        esac\n"
    "    done\n"
    "    pg_ctl -s -w -D \"$data.new\" -m fast stop\n"
    "    mv -T \"$data.new\" \"$data\"\n"
    "    unset PGUSER\n"
    "fi\n"
    "rm -f \"$data/postmaster.pid\"\n"
    "[ \"${1:-}\" != postgres ] || shift\n"
    "exec postgres -D \"$data\" -c listen_addresses=\"$ACESO_POD_IP\" -c port=\"${PGPORT:-5432}\" "
    "-c unix_socket_directories=\"$run\" \"$@\"\n";

static const char redis_sh[] =
    "#!/bin/sh\n"
    "set -eu\n"
    "case ${1:-} in redis-server|valkey-server) shift ;; esac\n"
    "server=$(command -v redis-server || command -v valkey-server)\n"
    "exec \"$server\" --bind \"$ACESO_POD_IP\" --port 6379 --save '' --appendonly no --dir "
    "\"$ACESO_MOUNT_ROOT\" --protected-mode no \"$@\"\n";

static int load_user(const char *file, json_t **ret, struct ac_err *err)
{
    struct ac_yaml_doc *doc = NULL;
    int r = ac_yaml_load_file(file, &doc, err);
    if (r != 0)
        return ac_err_wrap(err, "--images");
    json_t *rows =
        ac_yaml_documents(doc) > 0 ? ac_yaml_to_json(ac_yaml_root(doc, 0)) : json_array();
    ac_yaml_destroy(doc);
    r = cl_image_check(rows, err);
    if (r != 0) {
        json_decref(rows);
        return ac_err_wrap(err, "%s", file);
    }
    *ret = rows;
    return 0;
}

int images_load(const char *state_dir, const char *file, json_t **ret, struct ac_err *err)
{
    json_t *rows = json_array();
    ac_cleanup(ac_free_p) char *lib = ac_xasprintf("%s/lib", state_dir);
    ac_cleanup(ac_free_p) char *pg = ac_xasprintf("%s/postgres-entrypoint.sh", lib);
    ac_cleanup(ac_free_p) char *redis = ac_xasprintf("%s/redis-entrypoint.sh", lib);
    int r = 0;
    if (file != NULL && file[0] != '\0') {
        json_decref(rows);
        r = load_user(file, &rows, err);
        if (r != 0)
            return r;
    }
    r = ac_dir_create(lib, 0755, err);
    if (r == 0)
        r = ac_file_write_atomic(pg, postgres_sh, sizeof(postgres_sh) - 1, 0755, err);
    if (r == 0)
        r = ac_file_write_atomic(redis, redis_sh, sizeof(redis_sh) - 1, 0755, err);
    if (r != 0) {
        json_decref(rows);
        return r;
    }
    json_t *builtin = cl_image_builtin(ac_exe_dir(), lib);
    json_array_extend(rows, builtin);
    json_decref(builtin);
    *ret = rows;
    return 0;
}
