"""A DNS-over-HTTPS resolver for tests (RFC 8484), written from RFC 1035 apart from ours.

The name asked for says what it answers; ``NAMES`` has those that resolve.
"""

from __future__ import annotations

import ipaddress
import struct

from tests.receiver import Answer, Request

ELSEWHERE = "93.184.215.14"
NAMES = {
    "public.example.com": [ELSEWHERE, "2606:4700::1111"],
    "private.example.com": ["10.0.0.1"],
    "loopback.example.com": ["127.0.0.1"],
    "mixed.example.com": [ELSEWHERE, "127.0.0.1"],
    "private6.example.com": [ELSEWHERE, "fd00::1"],
    "alias.example.com": ["192.168.0.1"],
    "nat64.example.com": ["64:ff9b::10.0.0.1"],
    "localhost": ["127.0.0.1"],
}
A, AAAA, CNAME = 1, 28, 5


def answer_dns(request: Request) -> Answer:
    """Answer a question that was posted."""
    if request.headers.get("content-type") != "application/dns-message":
        return Answer(415)
    name, kind, question = _read(request.body)
    first = name.split(".")[0]
    if first == "status500":
        return Answer(500, body=b"no")
    if first == "moved":
        return Answer(307, [("Location", "/dns-query")])
    message = {
        "garbage": b"<html>no resolver</html>",
        "empty": b"",
        "servfail": _message(request.body, 0x8182, question, []),
        "truncated": _message(request.body, 0x8380, question, []),
        "echo": request.body,
        "endless": _message(request.body, 0x8180, question, [(A, bytes(4))] * 1_000),
    }.get(first)
    if message is None:
        addresses = NAMES.get(name, [])
        records = [
            (A if len(packed) == 4 else AAAA, packed)
            for address in addresses
            if (packed := ipaddress.ip_address(address).packed)
            and (len(packed) == 4) == (kind == A)
        ]
        if first == "alias":
            records.insert(0, (CNAME, b"\3www\xc0\x12"))
        code = 0x8180 if addresses else 0x8183
        message = _message(request.body, code, question, records)
    return Answer(200, [("Content-Type", "application/dns-message")], message)


def _read(query: bytes) -> tuple[str, int, bytes]:
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii"))
        at += 1 + query[at]
    kind, _ = struct.unpack(">HH", query[at + 1 : at + 5])
    return ".".join(labels), kind, query[12 : at + 5]


def _message(query: bytes, flags: int, question: bytes, records: list[tuple[int, bytes]]) -> bytes:
    head = query[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0)
    # 0xC00C points to the name in the question.
    rest = [struct.pack(">HHHIH", 0xC00C, kind, 1, 60, len(data)) + data for kind, data in records]
    return head + question + b"".join(rest)
