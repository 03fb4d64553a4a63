#!/usr/bin/env python3
"""pcap-records.py CAPTURE DIRECTORY PORT=PROGRAM...

Takes the first call and reply of every procedure of NFSv3 and MOUNT out of a packet capture (pcap,
Ethernet, IPv4, TCP), whole RPC records without their record marks, and writes them to DIRECTORY as
NFS3-READ.call.hex and NFS3-READ.reply.hex. The first failed reply of each status gets a name like
NFS3-LOOKUP.noent.reply.hex, with its call beside it.
"""

import struct
import sys
from pathlib import Path

NFS, MOUNT = 100003, 100005
PROCEDURES = {
    NFS: "NULL GETATTR SETATTR LOOKUP ACCESS READLINK READ WRITE CREATE MKDIR SYMLINK MKNOD REMOVE"
    " RMDIR RENAME LINK READDIR READDIRPLUS FSSTAT FSINFO PATHCONF COMMIT".split(),
    MOUNT: "NULL MNT DUMP UMNT UMNTALL EXPORT".split(),
}
PREFIX = {NFS: "NFS3", MOUNT: "MOUNT3"}
STATUS = {
    1: "perm", 2: "noent", 5: "io", 13: "acces", 17: "exist", 18: "xdev", 20: "notdir", 21: "isdir",
    22: "inval", 27: "fbig", 28: "nospc", 30: "rofs", 63: "nametoolong", 66: "notempty", 70: "stale",
    10001: "badhandle", 10002: "not_sync", 10003: "bad_cookie", 10004: "notsupp", 10008: "jukebox",
}
LARGEST = 4096  # bytes of a record worth keeping as a test vector


def packets(path):
    """Yields (flow, sequence number, syn, payload) of every TCP segment."""
    data = Path(path).read_bytes()
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">"}.get(data[:4])
    if order is None or struct.unpack_from(order + "I", data, 20)[0] != 1:
        sys.exit(f"{path}: not a pcap file of Ethernet frames")
    at = 24
    while at + 16 <= len(data):
        kept = struct.unpack_from(order + "4I", data, at)[2]
        frame = data[at + 16 : at + 16 + kept]
        at += 16 + kept
        if frame[12:14] != b"\x08\x00" or frame[23] != 6:
            continue
        ip = frame[14:]
        total = struct.unpack_from(">H", ip, 2)[0]
        tcp = ip[(ip[0] & 15) * 4 : total]
        source, target, sequence = struct.unpack_from(">HHI", tcp, 0)
        flow = (ip[12:16], source, ip[16:20], target)
        yield flow, sequence, bool(tcp[13] & 2), tcp[(tcp[12] >> 4) * 4 :]


class Stream:
    """One direction of a connection: segments in, RPC records out."""

    def __init__(self):
        self.next = None
        self.waiting = {}
        self.buffer = b""
        self.fragments = b""

    def add(self, sequence, syn, payload):
        if syn:
            self.__init__()
            self.next = (sequence + 1) % 2**32
            return []
        if self.next is None or not payload:
            return []
        self.waiting[sequence] = max(self.waiting.get(sequence, b""), payload, key=len)
        progress = True
        while progress:
            progress = False
            for start in sorted(self.waiting):
                seen = (self.next - start) % 2**32
                if seen >= 2**31:
                    continue  # still ahead
                fresh = self.waiting.pop(start)[seen:]
                self.buffer += fresh
                self.next = (self.next + len(fresh)) % 2**32
                progress = True
                break
        return list(self.records())

    def records(self):
        while len(self.buffer) >= 4:
            mark = struct.unpack_from(">I", self.buffer)[0]
            size = mark & 0x7FFFFFFF
            if len(self.buffer) < 4 + size:
                return
            self.fragments += self.buffer[4 : 4 + size]
            self.buffer = self.buffer[4 + size :]
            if mark >> 31:
                yield self.fragments
                self.fragments = b""


def call_target(record):
    """(program, version, procedure, offset of the arguments) of a call."""
    program, version, procedure = struct.unpack_from(">3I", record, 12)
    at = 24
    for _ in range(2):  # credential and verifier
        at += 8 + (struct.unpack_from(">I", record, at + 4)[0] + 3) // 4 * 4
    return program, version, procedure, at


def reply_status(record):
    """The first word of the results, or None when the call was not executed or has no results."""
    at = 16 + (struct.unpack_from(">I", record, 16)[0] + 3) // 4 * 4 + 4
    if struct.unpack_from(">I", record, 8)[0] != 0 or struct.unpack_from(">I", record, at)[0] != 0:
        return None
    return struct.unpack_from(">I", record, at + 4)[0] if len(record) >= at + 8 else 0


def variant(procedure, record, at):
    """Calls of one procedure that differ in shape: where createhow3 and mknoddata3 choose an arm."""
    if procedure not in ("CREATE", "MKNOD"):
        return ""
    for _ in range(2):  # directory, name
        at += 4 + (struct.unpack_from(">I", record, at)[0] + 3) // 4 * 4
    arm = struct.unpack_from(">I", record, at)[0]
    if procedure == "CREATE":
        return {0: "", 1: ".guarded", 2: ".exclusive"}[arm]
    return {3: ".block", 4: ".character", 6: ".socket", 7: ""}[arm]


def write(path, title, record):
    lines = [record[i : i + 32].hex() for i in range(0, len(record), 32)]
    path.write_text("\n".join([f"# {title}", *lines]) + "\n")


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    directory = Path(sys.argv[2])
    ports = {int(port): int(program) for port, program in (a.split("=") for a in sys.argv[3:])}
    streams, calls, written = {}, {}, set()
    for flow, sequence, syn, payload in packets(sys.argv[1]):
        for record in streams.setdefault(flow, Stream()).add(sequence, syn, payload):
            transaction, kind = struct.unpack_from(">2I", record)
            client = flow if flow[3] in ports else flow[2:] + flow[:2]
            if kind == 0:
                calls[client, transaction] = record
                continue
            call = calls.pop((client, transaction), None)
            if call is None or max(len(call), len(record)) > LARGEST:
                continue
            program, version, number, arguments = call_target(call)
            status = reply_status(record)
            if program not in PROCEDURES or version != 3 or status is None:
                continue
            procedure = PROCEDURES[program][number]
            # DUMP and EXPORT answer a list, whose first word is no status.
            failed = number != 0 and status != 0 and procedure not in ("DUMP", "EXPORT")
            name = f"{PREFIX[program]}-{procedure}{variant(procedure, call, arguments)}"
            title = f"{PREFIX[program]} {procedure}"
            if failed:
                word = STATUS.get(status, str(status))
                name, title = f"{name}.{word}", f"{title} ({word})"
            if name in written:
                continue
            written.add(name)
            write(directory / f"{name}.call.hex", f"{title}: call, Linux client", call)
            write(directory / f"{name}.reply.hex", f"{title}: reply, nfs-ganesha", record)
    wanted = [f"NFS3-{p}" for p in PROCEDURES[NFS]] + ["MOUNT3-MNT"]
    missing = [name for name in wanted if name not in written]
    print(f"{len(written)} exchanges written; missing: {' '.join(missing) or 'none'}")
    sys.exit(1 if missing else 0)


if __name__ == "__main__":
    main()
