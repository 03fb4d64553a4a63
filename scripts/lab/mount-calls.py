#!/usr/bin/env python3
"""mount-calls.py PORT EXPORT DIRECTORY

Makes the calls of the MOUNT protocol that the Linux kernel never sends (RFC 1813 appendix I, and
version 1 of RFC 1094 appendix A) and writes them with their replies, like pcap-records.py.
"""

import socket
import struct
import sys
from pathlib import Path


def opaque(data):
    return struct.pack(">I", len(data)) + data + bytes(-len(data) % 4)


def read_exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            sys.exit("the server closed the connection")
        data += more
    return data


def exchange(connection, call):
    connection.sendall(struct.pack(">I", 0x80000000 | len(call)) + call)
    reply, last = b"", False
    while not last:
        mark = struct.unpack(">I", read_exactly(connection, 4))[0]
        reply += read_exactly(connection, mark & 0x7FFFFFFF)
        last = bool(mark >> 31)
    return reply


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    port, path, directory = int(sys.argv[1]), sys.argv[2].encode(), Path(sys.argv[3])
    # AUTH_SYS: stamp, machine name, uid, gid, no further groups.
    identity = struct.pack(">I", 7) + opaque(b"client") + struct.pack(">3I", 0, 0, 0)
    credential = struct.pack(">I", 1) + opaque(identity) + struct.pack(">2I", 0, 0)
    wanted = [
        (3, 0, "NULL", b""), (3, 1, "MNT.missing", opaque(b"/missing")), (3, 1, "MNT", opaque(path)),
        (3, 2, "DUMP", b""), (3, 5, "EXPORT", b""), (3, 3, "UMNT", opaque(path)), (3, 4, "UMNTALL", b""),
        (1, 0, "NULL", b""), (1, 1, "MNT", opaque(path)), (1, 2, "DUMP", b""), (1, 5, "EXPORT", b""),
        (1, 3, "UMNT", opaque(path)), (1, 4, "UMNTALL", b""),
    ]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for transaction, (version, procedure, name, arguments) in enumerate(wanted, start=1):
            call = struct.pack(">6I", transaction, 0, 2, 100005, version, procedure)
            call += credential + arguments
            reply = exchange(connection, call)
            stem = f"MOUNT{version}-{name}"
            if (directory / f"{stem}.call.hex").exists():
                continue  # the kernel's own is worth more
            for kind, record in (("call", call), ("reply", reply)):
                title = f"# MOUNT{version} {name}: {kind}" + (", nfs-ganesha" if kind == "reply" else "")
                lines = [record[i : i + 32].hex() for i in range(0, len(record), 32)]
                (directory / f"{stem}.{kind}.hex").write_text("\n".join([title, *lines]) + "\n")


if __name__ == "__main__":
    main()
