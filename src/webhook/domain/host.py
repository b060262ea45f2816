"""Hosts as the WHATWG URL standard reads them: one canonical spelling of each name and address.

Sources: the standard's "host parsing", its IPv4 and "ends in a number" rules, UTS 46 and RFC 3492.
"""

from __future__ import annotations

import re
import unicodedata
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import unquote_to_bytes

from webhook.domain.special_addresses import Address

_LABEL_CHARS_MAX, _NAME_CHARS_MAX = 63, 253
_IPV4_PARTS_MAX = 4
_IPV4_PART_MAX = 255

# What a host name's mapping would drop without a trace, so that two names look like one.
_INVISIBLE = re.compile(r"[\xad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u3164"
                        r"\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]")  # fmt: skip
# The four that separate labels; UTS 46 refuses all others that look like one, such as U+2024.
_DOTS = str.maketrans("\u3002\uff0e\uff61", "...")
_NAME = re.compile(r"[a-z0-9_-]+")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")


class HostError(ValueError):
    """Is no host; the sentence says why and what to write."""


def canonical_host(text: str) -> str:
    """Return a host's canonical spelling, IPv6 in brackets; raises ``HostError``."""
    if not text:
        raise HostError("The host is missing: https://example.com/hook.")
    if text.startswith("["):
        return _canonical_ipv6(text)
    try:
        # WHATWG decodes before it maps, so %31%30.0.0.1 is 10.0.0.1.
        name = unquote_to_bytes(text).decode()
    except UnicodeError:
        raise HostError("The host is not UTF-8, or its percent-encoding is not.") from None
    if _INVISIBLE.search(name):
        raise HostError("Remove the invisible characters from the host.")
    name = name.translate(_DOTS)
    mapped = _mapped(name)
    if mapped.count(".") > name.count("."):
        raise HostError("Write a plain dot between the parts of the host.")
    name = mapped.removesuffix(".")
    labels = [_ascii_label(label) for label in name.split(".")]
    if _NUMBER.fullmatch(labels[-1]):
        return _canonical_ipv4(labels)
    host = ".".join(labels)
    if len(host) > _NAME_CHARS_MAX:
        raise HostError(f"A host name has at most {_NAME_CHARS_MAX} characters.")
    return host


def _mapped(name: str) -> str:
    """Fold case and compatibility forms as UTS 46 does, such as full-width digits.

    Its two exceptions stay: the German sharp s and the Greek final sigma.
    """
    folded = "".join(
        char if char in "\xdf\u03c2" else unicodedata.normalize("NFKC", char).casefold()
        for char in name.replace("\u1e9e", "\xdf")
    )
    return unicodedata.normalize("NFKC", folded)


def _ascii_label(label: str) -> str:
    """Return one label of a host name in ASCII, with Punycode (RFC 3492) where needed."""
    if not label:
        raise HostError("The host has an empty part: look for two dots in a row.")
    if label.startswith("xn--"):
        label = _decoded(label)
    if not label.isascii():
        # Letters, marks, numbers, and the symbols of emoji domains.
        if any(unicodedata.category(char)[0] not in "LMNSP" for char in label if char > "\x7f"):
            raise HostError("The host has characters that no host name can have.")
        if not _NAME.fullmatch("".join(char for char in label if char <= "\x7f") or "a"):
            raise HostError("A host name has letters, digits, hyphens and dots.")
        if unicodedata.category(label[0]).startswith("M"):
            raise HostError("A part of the host begins with a combining mark.")
        label = "xn--" + label.encode("punycode").decode()
        if label.startswith("xn--xn--"):
            raise HostError("A part of the host mixes xn-- with characters that stand for it.")
    if not _NAME.fullmatch(label):
        raise HostError("A host name has letters, digits, hyphens and dots.")
    if len(label) > _LABEL_CHARS_MAX:
        raise HostError(f"Each part of a host name has at most {_LABEL_CHARS_MAX} characters.")
    return label


def _decoded(label: str) -> str:
    """Return what an ``xn--`` label stands for; it must be the label that we would have made."""
    try:
        text = label[4:].encode("ascii").decode("punycode")
        genuine = not text.isascii() and text.encode("punycode").decode() == label[4:]
    except (UnicodeError, ValueError, OverflowError):
        text, genuine = "", False
    hidden = _INVISIBLE.search(text) or "." in text.translate(_DOTS)
    if not genuine or hidden or _mapped(text) != text:
        raise HostError("The host has a part that begins with xn-- and is no Punycode.")
    return text


def _canonical_ipv4(parts: list[str]) -> str:
    """Read decimal, octal, hexadecimal and short forms (WHATWG URL, "IPv4 parser")."""
    wrong = HostError("The host ends like an IPv4 address and is none: write four decimal numbers.")
    if len(parts) > _IPV4_PARTS_MAX:
        raise wrong
    numbers = []
    for part in parts:
        try:
            numbers.append(_ipv4_number(part))
        except ValueError:
            raise wrong from None
    *high, low = numbers
    free_bytes = _IPV4_PARTS_MAX - len(high)
    if any(number > _IPV4_PART_MAX for number in high) or low >= 256**free_bytes:
        raise wrong
    value = low + sum(number << 8 * (3 - index) for index, number in enumerate(high))
    return str(IPv4Address(value))


def _ipv4_number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError
    if text[:2] == "0x":
        return int(text[2:] or "0", 16)
    return int(text, 8 if text[0] == "0" else 10)


def _canonical_ipv6(text: str) -> str:
    inside = text[1:-1]
    if not text.endswith("]") or "%" in inside:
        raise HostError(
            "Write an IPv6 address in brackets, without a zone: https://[2001:db8::1]/."
        )
    try:
        address = IPv6Address(inside)
    except AddressValueError:
        raise HostError("What stands in brackets is no IPv6 address.") from None
    if (embedded := address.ipv4_mapped) is not None:
        # Python 3.13 prints these with dots, 3.12 and WHATWG without.
        high, low = divmod(int(embedded), 1 << 16)
        return f"[::ffff:{high:x}:{low:x}]"
    return f"[{address}]"


def literal(host: str) -> Address | None:
    """Return the address that a canonical host is, None when it is a name."""
    if host.startswith("["):
        return IPv6Address(host[1:-1])
    return IPv4Address(host) if host.rpartition(".")[2].isdigit() else None
