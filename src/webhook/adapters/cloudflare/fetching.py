"""The platform's ``fetch``, and no more of an answer than is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPMethod
from typing import Any

from webhook.domain.model import RESPONSE_BYTES_MAX
from webhook.domain.response import BODY_TOO_LONG

# A body of one byte a piece costs a turn of the event loop each, and CPU time is what is paid for.
READS_MAX = 64


async def post(url: str, headers: Mapping[str, str], body: bytes) -> Any:
    """Send a POST with the platform's ``fetch``, which raises ``OSError``; follow no redirect."""
    from workers import fetch  # noqa: PLC0415 - exists in a Worker only

    return await fetch(
        url, method=HTTPMethod.POST, headers=dict(headers), body=body, redirect="manual"
    )


async def read_beginning(response: Any, kept: bytearray) -> str | None:
    """Keep the beginning of the body and drop the rest; return a note when it broke off."""
    stream = response.js_object.body
    if not stream:
        return None
    reader = stream.getReader()
    ended = False
    try:
        for _ in range(READS_MAX):
            chunk = await reader.read()
            if chunk.done:
                ended = True
                return None
            kept += chunk.value.to_bytes()
            if len(kept) > RESPONSE_BYTES_MAX:
                return BODY_TOO_LONG
    except OSError:
        ended = True
        raise
    except Exception as error:  # noqa: BLE001 - JavaScript's errors have one class only
        ended = True
        return f"the body was cut off: {first_line(error)}"
    finally:
        if not ended:
            # Else the connection stays open, one of six, for as long as the invocation goes on.
            reader.cancel()
    return f"the body came in more than {READS_MAX} pieces, and only its beginning is kept"


def first_line(error: Exception) -> str:
    """Return what an error of the platform says, without a URL."""
    # The platform's text names no URL; it is cut in case that changes.
    return (str(error).splitlines() or [type(error).__name__])[0].split("http")[0][:200].strip()
