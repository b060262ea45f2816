"""Reading a body: bounded, strictly JSON, then into the struct that says what may stand there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from webhook.api.errors import BodyTooLarge, ClientGone, NotJson, UnsupportedMedia
from webhook.api.fields import field_error
from webhook.api.operation import Call
from webhook.domain.errors import InvalidInput
from webhook.domain.json_text import check_depth, check_text, escape, parse, refuse_repeats

BODY_BYTES_MAX = 256 * 1024
_BOM = b"\xef\xbb\xbf"
_LENGTH_DIGITS_MAX = 15
_HOW = "send content-type: application/json"

RefuseRepeats = Callable[[Any], None]


async def read_body(call: Call, bytes_max: int = BODY_BYTES_MAX) -> bytes:
    """Return the whole body.

    Raises ``BodyTooLarge`` as soon as it is known to be over ``bytes_max``: by its content-length
    before anything is read, else at the chunk that goes over.
    """
    headers = call.headers
    _check_media_type(headers.get(b"content-type"), headers.get(b"content-encoding"))
    length = headers.get(b"content-length", b"")
    if length.isdigit() and (len(length) > _LENGTH_DIGITS_MAX or int(length) > bytes_max):
        raise _too_large(bytes_max)
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await call.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > bytes_max:
            raise _too_large(bytes_max)
        chunks.append(chunk)
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def refuse_body(call: Call) -> None:
    """Raise ``InvalidInput`` when a body stands where none is read; ``{}`` says as little."""
    if (await read_body(call)).strip() not in {b"", b"{}"}:
        raise InvalidInput.at("", "Takes no body; leave it out.")


def json_text(body: bytes) -> str:
    """Return a body as text that may be parsed; raises ``NotJson``, or ``InvalidInput`` if deep."""
    if body.startswith(_BOM):
        raise NotJson.at("", "Begins with a byte order mark (BOM); send UTF-8 without it.")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise NotJson.at("", f"Not UTF-8 at byte {error.start}; encode it as UTF-8.") from None
    if not text or text.isspace():
        raise NotJson.at("", "Is empty; send a JSON object.")
    check_depth(text)
    return text


def decode[T: msgspec.Struct](
    call: Call,
    body: bytes,
    decoder: msgspec.json.Decoder[T],
    refuse: RefuseRepeats = refuse_repeats,
) -> T:
    """Return a body as the decoder's struct, every name in it once, in the tenant of the caller.

    Raises ``NotJson``, or ``InvalidInput`` or ``Forbidden`` with a pointer to the field.
    """
    text = json_text(body)
    try:
        value = decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise explained(error, text, decoder.type, refuse) from None
    document = parse(text)
    refuse(document)
    return call.caller.confine(value, document)


def explained(
    error: msgspec.MsgspecError, text: str, kind: type, refuse: RefuseRepeats = refuse_repeats
) -> InvalidInput:
    """Say what is wrong with a text that ``kind`` refused."""
    try:
        document = parse(text)
    except InvalidInput as not_json:
        return NotJson(not_json.message, not_json.errors)
    try:
        _check_strings(document)
        refuse(document)
    except InvalidInput as found:
        return found
    if not isinstance(error, msgspec.ValidationError):
        return NotJson.at("", f"Not JSON: {error}.")
    field = field_error(error, document, kind)
    return InvalidInput.at(field.pointer, field.detail)


def _check_strings(value: object, pointer: str = "") -> None:
    """Raise ``InvalidInput`` at the string that the decoder could not make text of."""
    if isinstance(value, str):
        check_text(value, pointer)
    elif isinstance(value, dict):
        for name, item in value.items():
            check_text(name, pointer)
            _check_strings(item, f"{pointer}/{escape(name)}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_strings(item, f"{pointer}/{index}")


def _too_large(bytes_max: int) -> BodyTooLarge:
    return BodyTooLarge.at("", f"Is over {bytes_max} bytes; send less at once.")


def _check_media_type(content_type: bytes | None, encoding: bytes | None) -> None:
    if content_type is not None and content_type != b"application/json":
        name, _, parameters = content_type.decode("latin-1").lower().partition(";")
        name = name.strip()
        json = name == "application/json" or (
            name.startswith("application/") and name.endswith("+json")
        )
        if not json:
            raise UnsupportedMedia.at("content-type", f"Is {name[:100] or 'empty'}; {_HOW}.")
        charset = parameters.partition("charset=")[2].partition(";")[0].strip(" \"'")
        if charset not in {"", "utf-8", "utf8"}:
            raise UnsupportedMedia.at("content-type", f"Names another charset than UTF-8; {_HOW}.")
    if encoding is not None and encoding.strip().lower() not in {b"", b"identity"}:
        raise UnsupportedMedia.at("content-encoding", "Send the body as it is, not compressed.")
