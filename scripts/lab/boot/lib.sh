# Sourced by the scripts of this folder: where a network's files are, and what is in it.
# shellcheck shell=bash disable=SC2034
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
boot_scripts=$lab_scripts/boot

# The same in every network: they do not see each other.
main_address=10.77.1.1   # the image's server
far_address=10.77.1.2    # the proxy, for the server
proxy_address=10.77.2.1  # the proxy, for its clients
clients=10.77.2.0/24

# Of machines' kernels. Under emulation the rest saves time.
command_line="console=ttyS0 mitigations=off tsc=unstable"

# use_net NAME : sets what belongs to a network; it need not exist.
use_net() {
    [[ $1 =~ ^[a-z0-9]{1,20}$ ]] || die "not the name of a network: '$1'"
    net=$1
    net_dir=$LAB/boot/net/$net
    main_ns=rowfs-$net-main
    proxy_ns=rowfs-$net-proxy
}

# on_main, on_proxy COMMAND... : becomes the command, there; for the background, where $! is then its process.
on_main() { exec ip netns exec "$main_ns" "$@"; }
on_proxy() { exec ip netns exec "$proxy_ns" "$@"; }

# wait_for_listener NAMESPACE ADDRESS PORT PID : until PID listens there; fails when it ends, or after 20 s.
wait_for_listener() {
    local tries=200
    until ip netns exec "$1" bash -c "exec 3<>/dev/tcp/$2/$3" 2>/dev/null; do
        kill -0 "$4" 2>/dev/null && [ $((tries -= 1)) -gt 0 ] || return 1
        sleep 0.1
    done
}
