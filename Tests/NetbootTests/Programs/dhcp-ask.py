#!/usr/bin/env python3
"""dhcp-ask INTERFACE ARCHITECTURE VENDOR-CLASS [ipxe] - asks for an address as the firmware of a machine does, and
prints what it is offered: the file, who has it, and the options, as JSON.

Of a proxy it asks again on port 4011, as firmware does (PXE 2.1, 2.2.1)."""
import json
import os
import socket
import struct
import sys

interface, architecture, vendor = sys.argv[1], int(sys.argv[2]), sys.argv[3]
is_ipxe = sys.argv[4:] == ["ipxe"]
mac = bytes.fromhex("525400abcdef")


def option(number, value):
    return bytes([number, len(value)]) + value


def message(kind, own, more=b""):
    packet = struct.pack("!4BIHH4s12x16s192x4s", 1, 1, 6, 0, 0x1234567, 0, 0x8000, own, mac + bytes(10),
                         b"\x63\x82\x53\x63")
    packet += option(53, bytes([kind])) + option(60, vendor.encode()) + option(93, struct.pack("!H", architecture))
    packet += option(94, b"\x01\x02\x01") + option(97, b"\x00" + bytes(range(16)))
    packet += option(55, bytes([1, 3, 43, 60, 66, 67]))
    if is_ipxe:
        packet += option(175, bytes([0x13, 1, 1]))
    return packet + more + b"\xff"


def menu(options):
    """The kind of the first service that a menu has (PXE_BOOT_MENU, 9)."""
    while options and options[0] != 255:
        if options[0] == 9:
            return options[2:4]
        options = options[2 + options[1]:]
    return b""


def parse(packet):
    options = {}
    rest = packet[240:]
    while rest and rest[0] != 255:
        if rest[0] == 0:
            rest = rest[1:]
            continue
        options[rest[0]] = rest[2:2 + rest[1]]
        rest = rest[2 + rest[1]:]
    text = lambda value: value.split(b"\0")[0].decode()
    return {
        "file": text(options.get(67, b"")) or text(packet[108:236]),
        "server": socket.inet_ntoa(packet[20:24]),
        "address": socket.inet_ntoa(packet[16:20]),
        "vendor": text(options.get(60, b"")),
        "identifier": socket.inet_ntoa(options[54]),
        "choices": menu(options.get(43, b"")).hex(),
    }


asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
asking.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, os.fsencode(interface))
asking.settimeout(5)
asking.bind(("", 68))
asking.sendto(message(1, bytes(4)), ("255.255.255.255", 67))
offer = parse(asking.recv(2048))
if offer["address"] == "0.0.0.0" and not offer["file"]:
    own = os.environ["OWN_ADDRESS"]
    # What was chosen: the first service, its first layer (PXE_BOOT_ITEM, 71).
    chosen = option(43, option(71, bytes.fromhex(offer["choices"]) + bytes(2))) if offer["choices"] else b""
    asking.sendto(message(3, socket.inet_aton(own), chosen), (offer["identifier"], 4011))
    offer = parse(asking.recv(2048))
print(json.dumps(offer))
