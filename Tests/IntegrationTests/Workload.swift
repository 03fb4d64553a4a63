import ROWTestKit

/// What the guest does to an ``ImageTree``. The same script runs on a session and on a plain
/// writable copy: whatever it prints must be equal.
enum Workload {
    /// Changes of every kind, a remount, a restart of the server under a mount (`host restart`),
    /// more changes, and the whole tree as the client sees it.
    static func full(on export: NFSExport) -> String {
        """
        \(steps)
        nfs_mount \(export.mountWords) /mnt || fail "no mount"
        change /mnt; worked "the first changes"
        umount /mnt || fail "no unmount"
        nfs_mount \(export.mountWords) /mnt || fail "no second mount"
        check /mnt; worked "the check after a new mount"

        exec 5<>/mnt/held/open 6</mnt/docs2/readme
        mkdir /mnt/before-restart
        host restart >/dev/null || fail "no restart"
        check /mnt; worked "the check after the restart"
        read -r line <&5; echo "held open: $line"
        echo "after the restart" >&5
        exec 5>&-
        cat <&6
        exec 6<&-
        change_again /mnt; worked "the later changes"
        forget
        tree /mnt; worked "the reading of the tree"
        umount /mnt || fail "no last unmount"
        """
    }

    /// The changes of ``full(on:)`` without restart, and the tree.
    static func short(on export: NFSExport) -> String {
        """
        \(steps)
        nfs_mount \(export.mountWords) /mnt || fail "no mount"
        change /mnt; worked "the first changes"
        forget
        check /mnt; worked "the check"
        tree /mnt; worked "the reading of the tree"
        umount /mnt || fail "no unmount"
        """
    }

    /// The tree alone.
    static func look(at export: NFSExport) -> String {
        """
        \(steps)
        nfs_mount \(export.mountWords) /mnt || fail "no mount"
        tree /mnt; worked "the reading of the tree"
        umount /mnt || fail "no unmount"
        """
    }

    private static let steps = """
        same() { [ "$1" = "$2" ] || { echo "expected '$2', got '$1'"; return 1; }; }
        # Not `COMMAND || fail`: in a condition the shell ignores the functions' `set -e`.
        worked() { [ $? = 0 ] || fail "$1 failed"; }
        refused() { if "$@" 2>/dev/null; then echo "not refused: $*"; return 1; fi; }

        change() (
            cd "$1" && set -e
            same "$(cat hello)" "hello, world"
            same "$(cat pointer)" "hello, world"
            same "$(cat docs/deep/er/leaf)" "leaf"
            same "$(ls many | wc -l)" 1000
            same "$(cat many/file-0777)" 777
            size=$(stat -c %s big)
            middle=$((size / 2 / 4096))

            dd if=/dev/zero bs=4096 count=1 2>/dev/null | tr '\\000' M |
                dd of=big bs=4096 seek=$middle conv=notrunc 2>/dev/null
            printf 'odd bytes' | dd of=big bs=1 seek=1234567 conv=notrunc 2>/dev/null
            printf 'in a hole' | dd of=big bs=1 seek=$((size / 4 + 5)) conv=notrunc 2>/dev/null
            printf 'past the end' | dd of=big bs=1 seek=$((size + 9999)) conv=notrunc 2>/dev/null
            echo "one more line" >>hello
            echo "created" >created
            (set -C; echo "exclusive" >exclusive)
            : >notes
            echo "rewritten" >notes

            mkdir -p made/deep/er
            echo x >made/deep/er/file
            ln -s ../hello made/pointer
            ln docs/readme made/hard
            mkfifo made/fifo
            echo "through a hard link" >>linked

            mv secret made/secret
            mv docs docs2
            echo "below a renamed directory" >docs2/new
            mv many/file-0001 made/
            mv many/file-0003 many/file-0004
            rm many/file-0002
            rm -r trash
            rmdir empty
            mkdir empty && echo y >empty/not-any-more
            rm pointer && echo "was a link" >pointer

            chmod 751 made
            chmod 4755 created
            chown 1000:1000 exclusive
            touch -d '2001-02-03 04:05:06' mine
            truncate -s 100 shrink
            truncate -s 9000 shrink

            as_user "echo written >>$1/mine && echo theirs >$1/shared/theirs"
            refused as_user "cat $1/made/secret"
            refused as_user "echo no >>$1/hello"
            refused as_user "rm $1/hello"
            refused as_user "chmod 777 $1/hello"
            refused rmdir made
            refused mkdir made
            refused ls docs
        )

        check() (
            cd "$1" && set -e
            same "$(tail -n 1 hello)" "one more line"
            same "$(cat made/hard)" "read me"
            same "$(stat -c %h docs2/readme)" 2
            same "$(cat docs2/linked)" "$(printf 'two names\\nthrough a hard link')"
            same "$(ls many | wc -l)" 997
            same "$(cat many/file-0004)" 3
            same "$(dd if=big bs=1 skip=1234567 count=9 2>/dev/null)" "odd bytes"
            same "$(dd if=shrink bs=1 skip=100 2>/dev/null | tr -d '\\000' | wc -c)" 0
            same "$(stat -c %s shrink)" 9000
            same "$(stat -c '%a %u' created exclusive | tr '\\n' ' ')" "4755 0 644 1000 "
            [ ! -e trash ] && [ ! -e many/file-0002 ] && [ -p made/fifo ]
        )

        change_again() (
            cd "$1" && set -e
            [ -d before-restart ]
            md5sum <big
            echo "and another" >>hello
            printf 'ODD' | dd of=big bs=1 seek=1234567 conv=notrunc 2>/dev/null
            rm -r many
            mkdir many && echo new >many/file-0001
            mv docs2 made/docs3
            rm made/hard
            rm linked
            truncate -s 5000000 big
        )
        """
}
