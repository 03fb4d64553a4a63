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

# debian_sources : this machine's own package sources, for a Debian of the same release. Those of others than Debian
# are left out: they may be for packages that fit this machine only, and have keys of their own.
debian_sources() {
    need apt-get
    local keys=/usr/share/keyrings/debian-archive-keyring.gpg option='' found
    [ ! -e "$keys" ] || option="[signed-by=$keys] "
    found=$(list_debian_sources "$option")
    if [ -z "$found" ]; then
        apt-get -q update >&2
        found=$(list_debian_sources "$option")
    fi
    [ -n "$found" ] || die "no Debian package source in /etc/apt/sources.list or sources.list.d"
    printf '%s\n' "$found"
}

list_debian_sources() {
    apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v option="$1" '$1 == "Debian" { print "deb " option $2 " " $3 " " $4 }'
}

# apt_options : proxies, and what else apt needs here to reach its sources.
apt_options() {
    need apt-config
    apt-config dump --format '%f "%v";%n' |
        grep -E '^Acquire::(http|https|ftp|Retries|Check-Valid-Until|Check-Date)' || true
}

# debian_release : its name.
debian_release() { (. /etc/os-release && echo "${VERSION_CODENAME:?}"); }
