"""Ed25519's verification in plain integers, after RFC 8032, section 5.1: nobody else's code.

Slow and not in constant time, which a test's oracle need not be.
"""

from __future__ import annotations

import base64
import hashlib

type Point = tuple[int, int]

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature is that of the key's owner over the message."""
    if (len(public), len(signature)) != (32, 64):
        return False
    a, r = _point(public), _point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= _ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    h = int.from_bytes(digest, "little") % _ORDER
    return _times(s, _BASE) == _sum(r, _times(h, a))


def verify_webhook(public_key: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether one of the ``v1a`` signatures of a request is by the ``whpk_`` key."""
    assert public_key.startswith("whpk_")
    public = base64.b64decode(public_key.removeprefix("whpk_"), validate=True)
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    return any(
        verify(public, signed, base64.b64decode(token.removeprefix("v1a,"), validate=True))
        for token in headers["webhook-signature"].split()
        if token.startswith("v1a,")
    )


def _x_of(y: int, sign: int) -> int | None:
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    return x if x & 1 == sign else _P - x


def _point(data: bytes) -> Point | None:
    number = int.from_bytes(data, "little")
    y = number & ((1 << 255) - 1)
    x = _x_of(y, number >> 255)
    return None if x is None else (x, y)


def _sum(one: Point, other: Point) -> Point:
    (x1, y1), (x2, y2) = one, other
    product = _D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, _P)
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, _P)
    return x % _P, y % _P


def _times(number: int, point: Point) -> Point:
    result: Point = (0, 1)
    while number:
        if number & 1:
            result = _sum(result, point)
        point = _sum(point, point)
        number >>= 1
    return result


_BASE_Y = 4 * pow(5, -1, _P) % _P
_BASE: Point = (_x_of(_BASE_Y, 0) or 0, _BASE_Y)
