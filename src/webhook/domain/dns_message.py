"""DNS messages (RFC 1035, section 4): a question for a name's addresses, and the answer to it."""

from __future__ import annotations

import struct
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

_HEADER, _RECORD = struct.Struct(">HHHHHH"), struct.Struct(">HHIH")
_RECURSION_DESIRED, _RESPONSE, _TRUNCATED, _RCODE = 0x0100, 0x8000, 0x0200, 0x000F
_NO_ERROR, _NO_SUCH_NAME = 0, 3
_INTERNET = 1
_LABEL_MAX, _POINTER = 0x3F, 0xC0


class RecordType(IntEnum):
    """What is asked for."""

    A = 1
    AAAA = 28


_ADDRESSES = {RecordType.A: (4, IPv4Address), RecordType.AAAA: (16, IPv6Address)}


def dns_query(name: str, record_type: RecordType) -> bytes:
    """Return the question for one kind of address of a canonical host name.

    Its id is 0, so that equal questions have equal bytes (RFC 8484, section 4.1).
    """
    labels = [label.encode("ascii") for label in name.split(".")]
    question = b"".join(bytes([len(label)]) + label for label in labels)
    return (
        _HEADER.pack(0, _RECURSION_DESIRED, 1, 0, 0, 0)
        + question
        + b"\0"
        + struct.pack(">HH", record_type, _INTERNET)
    )


def dns_addresses(message: bytes) -> list[str]:
    """Return all addresses of an answer, whoever's in a chain of aliases; none if there is no name.

    Raises ``ValueError`` for what is no answer, or no whole one.
    """
    try:
        _, flags, questions, answers, _, _ = _HEADER.unpack_from(message)
        if not flags & _RESPONSE or flags & _TRUNCATED:
            raise ValueError("is no whole answer")
        if flags & _RCODE == _NO_SUCH_NAME:
            return []
        if flags & _RCODE != _NO_ERROR:
            raise ValueError(f"is an error, {flags & _RCODE}")
        at = _HEADER.size
        for _ in range(questions):
            at = _after_name(message, at) + 4
        found = []
        for _ in range(answers):
            at = _after_name(message, at)
            kind, _, _, size = _RECORD.unpack_from(message, at)
            at += _RECORD.size
            data = message[at : at + size]
            at += size
            if kind in _ADDRESSES:
                length, address = _ADDRESSES[kind]
                if len(data) != length:
                    raise ValueError("has an address of another length")
                found.append(str(address(data)))
        if at > len(message):
            raise ValueError("is cut off")
    except (struct.error, IndexError):
        raise ValueError("is cut off") from None
    return found


def _after_name(message: bytes, at: int) -> int:
    """Return where a name ends; a pointer ends it, and need not be followed."""
    while (length := message[at]) != 0:
        if length >= _POINTER:
            return at + 2
        if length > _LABEL_MAX:
            raise ValueError("has a label of an unknown kind")
        at += 1 + length
    return at + 1
