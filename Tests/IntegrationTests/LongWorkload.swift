import ROWTestKit

/// The long script: what programs do to files, in sections, on a ``LongTree``. Whatever it prints must
/// be the same on a session and on a plain writable copy.
enum LongWorkload {
    /// A part of the script that prints what it saw. The later ones build upon the earlier ones.
    enum Section: String, CaseIterable {
        case bigFile, wholeBigFile, truncation, mapping, exclusive, append, links, special
        case attributes, renaming, recreation, copying, unlinked, database, modes, setID
        case inheritance, hugeDirectory
    }

    /// All but what takes long and leaves no trace in `work`.
    static let quick = Section.allCases.filter { $0 != .wholeBigFile && $0 != .hugeDirectory }

    /// The script. It tells the host of each section that it begins: `host section NAME`.
    /// - Parameter options: of mount, after those that always are there.
    static func script(
        on export: NFSExport, _ sections: [Section] = Section.allCases, options: String = ""
    ) -> String {
        """
        # Not `COMMAND || fail`: in a condition the shell ignores a section's `set -e`.
        worked() { [ $? = 0 ] || fail "$1 failed"; }
        outcome() { "$@" 2>&1 || echo "$1: code $?"; }
        put() { printf '%s' "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null; }
        get() { dd if="$1" bs=1 skip="$2" count="$3" 2>/dev/null | tr '\\000' 0; echo; }
        # The client takes the name of an open file that was removed away some time after the last close.
        settled() { while ls -A "$1" | grep -q '^[.]nfs'; do :; done; }
        nfs_mount \(export.mountWords) /mnt \(options) || fail "no mount"

        \(sections.map { wrapped($0, export) }.joined(separator: "\n"))

        host section tree
        forget
        tree /mnt/work; worked "the reading of the tree"
        umount /mnt || fail "no unmount"
        """
    }

    /// The tree alone.
    static func look(at export: NFSExport) -> String {
        """
        nfs_mount \(export.mountWords) /mnt || fail "no mount"
        tree /mnt/work
        umount /mnt || fail "no unmount"
        """
    }

    /// The output of the whole script without the sections that others left out.
    static func output(_ output: String, of sections: [Section]) -> String {
        var isWanted = true
        return output.split(separator: "\n").filter { line in
            if line.hasPrefix("== ") {
                isWanted = sections.contains { line == "== \($0.rawValue)" }
            } else if line.hasPrefix(".: directory ") {
                isWanted = true
            }
            return isWanted
        }.joined(separator: "\n")
    }

    private static func wrapped(_ section: Section, _ export: NFSExport) -> String {
        """
        echo "== \(section.rawValue)"; host section \(section.rawValue)
        ( set -e; cd /mnt/work
        \(commands(section, export))
        ); worked "\(section.rawValue)"
        """
    }

    private static func commands(_ section: Section, _ export: NFSExport) -> String {
        switch section {
        case .bigFile:
            """
            size=$(stat -c %s big)
            dd if=/dev/zero bs=5000 count=20 2>/dev/null | tr '\\000' M |
                dd of=big bs=100000 seek=$((size / 2 / 100000)) conv=notrunc 2>/dev/null
            put big $((size / 4 + 5)) "in a hole"
            echo "appended" >>big
            put big $((size + 70000)) "past the end"
            forget
            stat -c %s big
            get big $((size / 4)) 20
            get big $((size - 5)) 20
            get big $((size + 69995)) 20
            dd if=big bs=65536 skip=$((size / 2 / 65536 - 2)) count=8 2>/dev/null | md5sum
            """
        case .wholeBigFile:
            "forget; guest-io checksum big"
        case .truncation:
            """
            truncate -s 5000 shrink; truncate -s 9000 shrink; md5sum <shrink
            forget; md5sum <shrink
            truncate -s 6000000 big
            truncate -s 8000000 big; put big 7000001 "beyond"
            forget; guest-io checksum big
            truncate -s 0 docs/deep/er/leaf; truncate -s 3 docs/deep/er/leaf
            get docs/deep/er/leaf 0 9
            """
        case .mapping:
            """
            guest-io mmap big 4100000 "through a mapping"
            guest-io mmap many/file-0500 1 "5"
            outcome guest-io mmap many/file-0500 1 "mapped beyond the end"
            guest-io mmap mine 3 "MAPPED"
            forget
            get big 4099990 40; cat many/file-0500 mine
            """
        case .exclusive:
            """
            nfs_mount \(export.mountWords) /other nosharecache,noac
            mkdir race
            guest-io exclusive race 40 >/tmp/first &
            guest-io exclusive /other/work/race 40 >/tmp/second
            wait $!
            echo "made $(($(cat /tmp/first) + $(cat /tmp/second)))"
            outcome guest-io exclusive race 40
            umount /other
            """
        case .append:
            """
            guest-io append notes A 60 & guest-io append notes B 60; wait $!
            wc -l <notes; sort notes >/tmp/sorted; cat /tmp/sorted >notes; md5sum notes
            nfs_mount \(export.mountWords) /other nosharecache,noac
            for turn in 1 2 3 4; do
                echo "here $turn" >>hello
                echo "there $turn" >>/other/work/hello
            done
            umount /other
            cat hello
            """
        case .links:
            """
            mkdir -p made/deep
            ln docs/linked made/deep/third
            echo "by the third name" >>made/deep/third
            echo "by the first name" >>linked
            stat -c '%h %s' linked docs/linked made/deep/third
            rm docs/linked
            stat -c '%h %s' linked made/deep/third
            cat made/deep/third
            ln mine made/mine && rm mine && cat made/mine && ln made/mine mine
            outcome ln docs made/directory-link
            outcome ln linked made/deep/third
            """
        case .special:
            """
            ln -s ../hello made/pointer; cat made/pointer
            ln -s "$(printf '%0900d' 7)" made/long; readlink made/long | md5sum
            ln -s nowhere made/dangling; outcome cat made/dangling
            mknod made/null c 1 3; mknod made/disk b 8 1; guest-io socket made/socket
            echo "discarded" >made/null
            mkfifo made/fifo
            echo "through a fifo" >made/fifo & cat made/fifo; wait $!
            outcome as_user "mknod shared/null c 1 3"
            as_user "mkfifo shared/fifo"
            rm pointer; ln -s docs pointer; cat pointer/readme
            """
        case .attributes:
            """
            chmod 751 made; chmod 0 notes; cat notes | wc -l; chmod 640 notes
            chown 1000:0 notes; chown 0:1000 linked; as_user "chmod 600 notes"
            outcome as_user "chown 0 notes"; outcome as_user "chmod 777 hello"
            as_user "chgrp 1000 notes"
            touch -d '2001-02-03 04:05:06' notes docs many; stat -c '%n %a %u %g %Y' notes docs many
            as_user "touch notes"; [ "$(stat -c %Y notes)" -gt 1000000000 ]
            outcome as_user "touch -d '2001-02-03 04:05:06' hello"
            outcome as_user "echo no >>hello"; outcome as_user "cat secret"
            """
        case .renaming:
            """
            mv hello greeting; mv secret made/secret
            mv many made/thousand
            ls made/thousand | md5sum
            cat made/thousand/file-0777; echo
            echo "changed below" >made/thousand/file-0001
            mv made/thousand/file-0002 made/thousand/file-0003; cat made/thousand/file-0003; echo
            mv made/thousand/file-0004 greeting; cat greeting; echo
            echo new >brand-new; mv brand-new made/thousand/file-0005; cat made/thousand/file-0005
            outcome mv made made/deep
            mkdir full && : >full/x
            outcome guest-io rename empty full; outcome guest-io rename docs full
            guest-io rename full empty; ls empty
            mv docs/deep docs2; mv docs2 docs/deep2; cat docs/deep2/er/leaf | tr '\\000' 0; echo
            outcome ls many; outcome cat hello
            exec 5<made/thousand/file-0006; mv made/thousand/file-0007 made/thousand/file-0006
            cat <&5; echo; exec 5<&-; cat made/thousand/file-0006; echo
            settled made/thousand
            """
        case .recreation:
            """
            rm docs/readme; outcome cat docs/readme; echo again >docs/readme; cat docs/readme
            rm -r trash; mkdir trash; ls -A trash; echo fresh >trash/file; ls -A trash
            rm -r trash; echo "now a file" >trash; cat trash
            rm greeting; mkdir greeting; rmdir greeting; ln -s trash greeting; cat greeting
            for turn in 1 2 3; do mkdir again && echo $turn >again/x && cat again/x && rm -r again; done
            outcome rmdir made; outcome rm docs; outcome mkdir made
            """
        case .copying:
            """
            mkdir copies
            cp -a docs made/deep copies/
            tar -cf copies/all.tar docs made
            mkdir copies/out; tar -xf copies/all.tar -C copies/out 2>&1
            ls copies/out/made/thousand | md5sum; rm copies/all.tar
            tar -cf - held shared | tar -xf - -C copies/out
            find copies ! -type d | wc -l
            """
        case .unlinked:
            """
            guest-io unlinked held/open "more after the end of its name"$'\\n'
            echo "short-lived" >held/new; guest-io unlinked held/new "more"; echo
            settled held; ls -A held
            exec 5<>made/mine; rm made/mine; echo "written without this name" >&5; exec 5>&-
            settled made; cat mine; ls -A made
            """
        case .database:
            """
            sqlite3 library.db "
                BEGIN; UPDATE book SET pages = pages + 1 WHERE id % 3 = 0;
                DELETE FROM book WHERE id > 450; COMMIT;
                BEGIN; DELETE FROM book; ROLLBACK;
                INSERT INTO book VALUES (1000, 'the last', 1);
                SELECT count(*), sum(pages) FROM book;"
            sqlite3 library.db 'VACUUM; PRAGMA integrity_check; SELECT count(*) FROM book;'
            sqlite3 made/new.db 'PRAGMA journal_mode = WAL; CREATE TABLE t (a);
                INSERT INTO t VALUES (1), (2);'
            sqlite3 made/new.db 'INSERT INTO t SELECT a + 2 FROM t; SELECT sum(a) FROM t;
                PRAGMA integrity_check;'
            forget; sqlite3 library.db 'SELECT max(id), total(pages) FROM book'
            """
        case .modes:
            """
            as_user "guest-io open-all modes"
            guest-io open-all modes
            cat modes/* | md5sum
            """
        case .setID:
            // Not truncation: nfs-ganesha then leaves the bits, which Linux takes away.
            """
            as_user "for p in program-*; do echo more >>\\$p; done"
            stat -c '%n %a' program-*
            chmod 6755 program-6777; echo "by root" >>program-6777; stat -c '%n %a' program-6777
            chmod 6755 program-6777; chown 1000 program-6777; stat -c '%n %a' program-6777
            chown 1000:0 program-2767; as_user "chmod 2755 program-2767"; stat -c '%n %a' program-2767
            """
        case .inheritance:
            """
            mkdir team; chown 0:1000 team; chmod 2775 team
            as_user "mkdir team/sub && echo x >team/sub/file && echo y >team/file"
            mkdir team/of-root; : >team/root-file; mkfifo team/fifo; ln -s x team/link
            chown 0:7 team/sub; mkdir team/sub/deep; outcome as_user "echo z >team/sub/deep/file"
            stat -c '%n %a %u %g' team team/* team/sub/*
            chmod 1777 shared; echo mine >shared/of-root; outcome as_user "rm shared/of-root"
            outcome as_user "mv shared/of-root shared/x"
            """
        case .hugeDirectory:
            """
            cd ..
            ls huge | wc -l
            rm -r huge
            outcome ls huge
            mkdir huge; ls -A huge; rmdir huge; ls
            """
        }
    }
}
