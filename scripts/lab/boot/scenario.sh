# Sourced by whole runs: a network that goes when the run ends, its servers, and failures that say why.
# shellcheck shell=bash disable=SC2154,SC2034
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
rowctl=$lab_scripts/../../.build/debug/rowctl image='' kind=systemd how=nfs line=() overlay='' netboot=''

# take_option NAME [VALUE] : one that all runs have; sets `taken` to how many words it was, or fails.
take_option() {
    taken=2
    case $1 in
        --rowctl) rowctl=$2 ;;
        --image) image=$2 ;;
        --from) how=$2 ;;
        --delay | --rate) line+=("$1" "$2") ;;
        --overlay) overlay=yes taken=1 ;;
        --netboot) netboot=yes taken=1 ;;
        *) return 1 ;;
    esac
}

# begin : makes the network, and finds the image; the run's own files go to $work.
begin() {
    need ip python3 qemu-system-x86_64 tar
    [ -x "$rowctl" ] || die "no $rowctl: run 'swift build --product rowctl', or name one with --rowctl"
    image=$("$boot_scripts/image" "$kind" "$image")
    use_net "$("$boot_scripts/net" up --owner $$)"
    trap '"$boot_scripts/net" down "$net"' EXIT
    trap 'exit 143' TERM INT HUP
    work=$net_dir/run state=$net_dir/state
    mkdir -p "$work/ganesha"
}

fail() {
    echo "${0##*/}: $*" >&2
    tail -qn 5 "$work"/*.log >&2 2>/dev/null || true
    exit 1
}

# vm COMMAND... : as the script. In the background, because a trap waits for what is in the foreground.
vm() {
    "$boot_scripts/vm" "$net" --timeout 150 "$@" &
    wait $!
}

# start LOG COMMAND... : runs it in the background until the network is removed, sets `started` to its pid, and waits
# for its first line, which says that it is ready.
start() {
    local log=$work/$1.log tries=600
    shift
    : >"$log.out"
    "$@" >"$log.out" 2>"$log" </dev/null &
    started=$!
    until [ -s "$log.out" ]; do
        kill -0 "$started" 2>/dev/null && [ $((tries -= 1)) -gt 0 ] || fail "${*:1:2} is not ready"
        sleep 0.1
    done
}

# start_main : the image's server, at the other end of what --overlay, --delay and --rate ask for; sets `main` to what
# it exports, as the proxy reaches it.
start_main() {
    if [ -n "$overlay" ]; then
        "$boot_scripts/overlay" "$net" up
        main_address=10.78.1.1
    fi
    on_main "$lab_scripts/ganesha" --address "$main_address" --port 2049 --mount-port 20048 \
        --state "$work/ganesha" "$image" &
    wait_for_listener "$main_ns" "$main_address" 2049 $! || fail "$(tail -n 3 "$work/ganesha/log")"
    main="nfs://$main_address/export?mountport=20048"
    [ ${#line[@]} -gt 0 ] || return 0
    start line on_proxy "$("$boot_scripts/build-line")" "${line[@]}" \
        "127.0.0.1:2049=$main_address:2049" "127.0.0.1:20048=$main_address:20048"
    main="nfs://127.0.0.1/export?mountport=20048"
}

# serve MACHINE... : starts the proxy, with a session for each, and what boots them.
serve() {
    local sessions=(client)
    [ $# = 1 ] || mapfile -t sessions < <(for machine; do session_of "$machine" several; done)
    [ -z "$netboot" ] || sessions=(image)
    start machines "$boot_scripts/serve-machines" "$net" ${netboot:+--netboot} --rowctl "$rowctl" \
        --state "$state" --from "$how" "$main" "$image" "${sessions[@]}"
    machines=$started
}

# session_of MACHINE [several] : the name of its session; several machines do not share one.
session_of() {
    local address
    address=$("$boot_scripts/vm" "$net" --name "$1" address)
    if [ -n "$netboot" ]; then
        echo "image-${address//:/}"
    elif [ -n "${2:-}" ]; then
        echo "${address//:/-}"
    else
        echo client
    fi
}

# figure SESSION PATH : one of `rowctl stat-session`; of what has parts, the sum.
figure() {
    "$rowctl" stat-session "$1" --json --state "$state" | python3 -c '
import json, sys
value = json.load(sys.stdin)
for name in sys.argv[1].split("."):
    value = value[name]
print(sum(value.values()) if isinstance(value, dict) else value)' "$2"
}

# in_order MACHINE : fails unless its systemd is content.
in_order() {
    vm --name "$1" run '
        systemctl is-system-running --wait
        ! systemctl --failed --no-legend | grep .' || fail "the machine $1 is not in order"
}

# state_of_image : all that a client could see of it.
state_of_image() { tar -C "$image" --sort=name --format=gnu -cf - . | sha256sum; }
