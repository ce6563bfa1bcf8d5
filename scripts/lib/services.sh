# shellcheck shell=bash
# Private Postgres, Redis and nginx for trying things out and for tests. To be sourced by bash.
#
# Each runs in a folder of its own, as a child of the script that starts it, and ends with that script whatever becomes
# of it. Postgres and Redis listen on sockets in their folders alone, so that nothing else on the machine meets them.
# A start_… function waits until the service answers, and leaves its process id in <folder>/pid.

# How long a service may take to start or to stop, in tenths of a second.
SERVICE_PATIENCE=300

service_die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# find_program NAME PACKAGE: prints where a program is, or says what to install.
find_program() {
    local path
    path=$(PATH="$PATH:/usr/sbin:/usr/local/sbin:/sbin" command -v "$1") ||
        service_die "$1 is missing; install it (Debian: apt-get install $2)"
    printf '%s\n' "$path"
}

# find_postgres NAME: prints where a program of Postgres is: in the path, or where Debian puts the newest version.
find_postgres() {
    local folder
    command -v "$1" && return
    for folder in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV); do
        [ -x "$folder/$1" ] && printf '%s\n' "$folder/$1" && return
    done
    service_die "$1 is missing; install Postgres 14 or newer (Debian: apt-get install postgresql)"
}

# unprivileged: prints who runs Postgres, which refuses to be run by root.
unprivileged() { id -un postgres 2>/dev/null || id -un nobody; }

# as_unprivileged COMMAND...
as_unprivileged() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid="$(unprivileged)" --regid="$(id -g "$(unprivileged)")" --clear-groups "$@"
    else
        "$@"
    fi
}

# in_background FOLDER COMMAND...: starts a service. Its signals are its own (Ctrl-C is for the script, which stops all in
# order), but it does not outlive the script.
in_background() {
    local folder=$1
    shift
    setsid setpriv --pdeathsig TERM "$@" >>"$folder/log" 2>&1 </dev/null &
    echo $! >"$folder/pid"
}

# until_true FOLDER COMMAND...: waits until a command succeeds while the service lives.
until_true() {
    local folder=$1 left=$SERVICE_PATIENCE
    shift
    until "$@" >/dev/null 2>&1; do
        if ! is_running "$folder" || [ $((left -= 1)) -le 0 ]; then
            cat "$folder/log" >&2
            service_die "${folder##*/} did not start"
        fi
        sleep 0.1
    done
}

# is_running FOLDER
is_running() { [ -f "$1/pid" ] && kill -0 "$(cat "$1/pid")" 2>/dev/null; }

# stop_service FOLDER [SIGNAL]: asks it to end, waits, and kills it if it does not.
stop_service() {
    local folder=$1 signal=${2:-TERM} pid left=$SERVICE_PATIENCE
    is_running "$folder" || return 0
    pid=$(cat "$folder/pid")
    # One that was stopped (SIGSTOP) hears nothing else.
    kill "-$signal" "$pid" && kill -CONT "$pid"
    while kill -0 "$pid" 2>/dev/null && [ $((left -= 1)) -gt 0 ]; do sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    rm -f "$folder/pid"
}

# start_postgres FOLDER [SETTING...]: as "max_connections=20". Sets POSTGRES_URL.
start_postgres() {
    local folder=$1 setting options=() initdb postgres
    shift
    initdb=$(find_postgres initdb) && postgres=$(find_postgres postgres) || exit 1
    for setting in "$@"; do options+=(-c "$setting"); done
    mkdir -p "$folder"
    [ "$(id -u)" -eq 0 ] && chown "$(unprivileged)" "$folder"
    [ -d "$folder/data" ] ||
        (cd "$folder" && as_unprivileged "$initdb" --no-sync --auth=trust --username=powermemo --encoding=UTF8 \
            --no-locale -D "$folder/data") >"$folder/log" 2>&1 || { cat "$folder/log" >&2; service_die "initdb failed"; }
    local user=()
    [ "$(id -u)" -eq 0 ] &&
        user=(--reuid="$(unprivileged)" --regid="$(id -g "$(unprivileged)")" --clear-groups)
    in_background "$folder" "${user[@]}" "$postgres" -D "$folder/data" -c listen_addresses= \
        -c "unix_socket_directories=$folder" "${options[@]}"
    until_true "$folder" "$(find_postgres pg_isready)" -q -h "$folder" -U powermemo -d postgres
    # shellcheck disable=SC2034  # for whoever sources this
    POSTGRES_URL="postgres://powermemo@localhost/postgres?host=$folder"
}

# start_redis FOLDER [OPTION...]: as "--maxmemory 1mb". Sets REDIS_SOCKET_URL.
start_redis() {
    local folder=$1 redis cli
    shift
    redis=$(find_program redis-server redis-server) && cli=$(find_program redis-cli redis-tools) || exit 1
    mkdir -p "$folder"
    in_background "$folder" "$redis" --port 0 --unixsocket "$folder/socket" --dir "$folder" --save '' \
        --appendonly yes --appendfsync everysec --maxmemory-policy noeviction "$@"
    until_true "$folder" "$cli" -s "$folder/socket" --no-auth-warning ping
    # shellcheck disable=SC2034
    REDIS_SOCKET_URL="redis+unix://$folder/socket"
}

# start_nginx FOLDER CONFIG PORT SERVER...: a load balancer at 127.0.0.1:PORT with the rules of CONFIG, before the servers
# (host:port). Its log of requests is in <folder>/access.log.
start_nginx() {
    local folder=$1 config=$2 port=$3 server kind nginx
    shift 3
    nginx=$(find_program nginx nginx-light) || exit 1
    mkdir -p "$folder"
    cp "$config" "$folder/nginx.conf"
    for server in "$@"; do echo "server $server max_fails=1 fail_timeout=1s;"; done >"$folder/upstream.conf"
    {
        echo "listen 127.0.0.1:$port;"
        echo "access_log $folder/access.log powermemo;"
        for kind in client_body proxy fastcgi uwsgi scgi; do echo "${kind}_temp_path $folder/$kind;"; done
    } >"$folder/site.conf"
    # Workers of root are somebody else, who must get at their temporary files.
    chmod 755 "$folder"
    local run=("$nginx" -p "$folder" -e stderr -c "$folder/nginx.conf" -g "daemon off; pid $folder/nginx.pid;")
    "${run[@]}" -q -t || service_die "nginx refuses its configuration"
    in_background "$folder" "${run[@]}"
    until_true "$folder" answers "$port" /balancer/healthcheck
}

# start_mock_model FOLDER PROGRAM: the stand-in for a language model. Sets MODEL_URL.
start_mock_model() {
    start_program "$1" "$2" --port 0 mock-model
    # shellcheck disable=SC2034
    MODEL_URL=$PROGRAM_URL/v1
}

# start_powermemo FOLDER PROGRAM [NAME=VALUE...]: a server on a database of its own, with these variables. Sets SERVER_URL.
start_powermemo() {
    local folder=$1 program=$2
    shift 2
    start_program "$folder" env "$@" "$program" --port 0 --data-dir "$folder/data" serve
    # shellcheck disable=SC2034
    SERVER_URL=$PROGRAM_URL
}

# start_program FOLDER COMMAND...: where no configuration of the working directory or the environment gets in. Sets
# PROGRAM_URL to where it says that it listens.
start_program() {
    local folder=$1
    shift
    mkdir -p "$folder"
    in_background "$folder" env -i "PATH=$PATH" "--chdir=$folder" "$@"
    until_true "$folder" grep -q 'listens on' "$folder/log"
    PROGRAM_URL=$(sed -n 's|.* listens on \(http://[0-9.:]*\).*|\1|p' "$folder/log" | head -1)
}

# answers PORT PATH: whether a server on this machine says 200.
answers() {
    local status
    exec 9<>"/dev/tcp/127.0.0.1/$1" || return 1
    printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$2" >&9
    read -r -t 2 status <&9
    exec 9>&-
    [[ $status == *" 200 "* ]]
}

# free_port: prints a port where nobody listens. Somebody may take it before it is used.
free_port() {
    local port
    for _ in {1..100}; do
        port=$((20000 + RANDOM % 12000))
        (exec 9<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { printf '%s\n' "$port"; return; }
    done
    service_die "no port is free"
}
