# Sourced by runs in which a machine works while something is taken from it: what it does meanwhile, and whether all
# of that is right in the end.
# shellcheck shell=bash disable=SC2154

# begin_writing : a file each 0.2 s, synced, until end_writing.
begin_writing() {
    vm run 'mkdir -p /srv/written
cat >/run/writer <<"JOB"
number=0
while [ ! -e /run/stop ]; do
    number=$((number + 1))
    { echo "$number"; seq $number $((number + 200)); } >/srv/written/$number.new
    sync /srv/written/$number.new
    mv /srv/written/$number.new /srv/written/$number
    echo "$number $(cut -d" " -f1 /proc/uptime)" >>/run/written
    sleep 0.2
done
touch /run/stopped
JOB
setsid sh /run/writer </dev/null >/run/writer.log 2>&1 &'
}

# written : how many files there are by now, as the machine tells.
written() { vm run 'wc -l </run/written' || fail "the machine does not answer"; }

# end_writing : fails unless each file that was written is there and right, read anew; prints how many there are,
# and the longest time between two.
end_writing() {
    vm run '
        touch /run/stop
        for try in $(seq 300); do [ ! -e /run/stopped ] || break; sleep 0.2; done
        [ -e /run/stopped ] || { echo "the writer hangs"; exit 1; }
        ! grep . /run/writer.log || exit 1
        sync
        echo 3 >/proc/sys/vm/drop_caches
        count=$(wc -l </run/written)
        [ "$(ls /srv/written | wc -l)" = "$count" ] || { echo "there are not $count files"; exit 1; }
        for number in $(seq $count); do
            { echo "$number"; seq $number $((number + 200)); } | cmp - /srv/written/$number || exit 1
        done
        # Without awk: it is not in every image.
        last="" longest=0
        while read -r number time; do
            time=$(echo "$time" | tr -d .)
            [ -z "$last" ] || [ $((time - last)) -le $longest ] || longest=$((time - last))
            last=$time
        done </run/written
        echo "$count files were written, all are right; the longest pause was ${longest}0 ms"
    ' || fail "files that were written are not right"
}

# unread COUNT : long files of the image of which nothing is kept, so that nobody has read them.
unread() {
    "$rowctl" cache ls "$main" --state "$state" --json >"$work/kept"
    (cd "$image" && find usr -xdev -type f -size +200k) | sort | python3 -c '
import json, sys
kept = {json.loads(line)["path"].lstrip("/") for line in open(sys.argv[1])}
paths = [line.strip() for line in sys.stdin if line.strip() not in kept]
# From all over the tree, so that what is fetched ahead for one is not another.
count = int(sys.argv[2])
paths = paths[::max(1, len(paths) // count)][:count]
if len(paths) < count:
    sys.exit("too few files that nobody has read")
print("\n".join(paths))' "$work/kept" "$1"
}

# begin_reading FILE : the files that FILE names, one after the other, until end_reading.
begin_reading() {
    vm run "cat >/run/to-read <<'PATHS'
$(cat "$1")
PATHS
: >/run/read
cd /
setsid sh -c 'xargs -n 1 sha256sum </run/to-read >>/run/read 2>/run/reader.log; touch /run/read.done' \
    </dev/null >/dev/null 2>&1 &"
}

# read_so_far : how many files have been read.
read_so_far() { vm run 'wc -l </run/read' || fail "the machine does not answer"; }

# end_reading FILE : fails unless all of them come, and are what they are in the image.
end_reading() {
    vm run 'for try in $(seq 600); do [ ! -e /run/read.done ] || exit 0; sleep 0.2; done; exit 1' ||
        fail "files of the image do not come: $(vm run 'cat /run/reader.log')"
    vm run 'cat /run/read' >"$work/read"
    (cd "$image" && xargs -n 1 sha256sum) <"$1" | cmp - "$work/read" || fail "the machine reads something else"
    echo "$(wc -l <"$1") files of the image were read, all are right"
}
