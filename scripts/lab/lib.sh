# Sourced by the scripts of this folder. Everything they build or run lives under $ROWFS_LAB.
lab_scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LAB=${ROWFS_LAB:-$(cd "$lab_scripts/../.." && pwd)/.lab}
mkdir -p "$LAB"

die() { echo "${0##*/}: $*" >&2; exit 1; }

# need COMMAND... : each must be installed.
need() {
    local command
    for command; do
        command -v "$command" >/dev/null || die "'$command' is not installed: run 'make setup'"
    done
}

# free_port : a TCP port of the loopback address, below the range that outgoing connections use.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}

# wait_for_port PORT PID : until PID listens on the port; fails when it ends first or after 20 s.
wait_for_port() {
    local tries=200
    until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do
        kill -0 "$2" 2>/dev/null && [ $((tries -= 1)) -gt 0 ] || return 1
        sleep 0.1
    done
}
