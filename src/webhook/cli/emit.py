"""``webhook emit``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
import typer

from webhook.cli.follow import follow
from webhook.cli.remote import Service, Tenant, raw
from webhook.cli.terminal import ExitCode, fail, stdout
from webhook.client import Accepted, Client, Request
from webhook.domain.model import DeliveryStatus

_DATA = "JSON, or @FILE to read it from a file, or - to read it from standard input."


def emit(
    service: Service,
    *,
    event_type: Annotated[str, typer.Argument(metavar="TYPE", help="Such as message.sent.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help=_DATA, show_default=False)] = "{}",
    tenant: Tenant = None,
    event_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Your own id for it.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Makes repeating the command safe: one event, not two."),
    ] = None,
    ordering_key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Events of one key are delivered one after the other."),
    ] = None,
    meta: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Metadata for filters; may be given repeatedly."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the deliveries until each has come to its end.")
    ] = False,
) -> None:
    """Emit an event to a running service.

    Prints its id and how many endpoints get it. Without --token or WEBHOOK_API_TOKEN, the token
    is taken that `webhook serve` made on this machine, from beside its database.

    Ends with 0 if all is well (with --wait: delivered everywhere), 1 if not, 2 if used wrongly,
    3 if no service answers, 4 if there is nothing of that name.

    Example: webhook emit message.sent '{"text":"hello"}' --meta lang=en --wait
    """
    request = _request(
        event_type,
        _read(data),
        tenant=tenant,
        id=event_id,
        idempotency_key=key,
        ordering_key=ordering_key,
        metadata=metadata_of("--meta", meta) if meta else None,
    )
    if not wait:
        service.show(request, lambda accepted: stdout().print(_sentence(accepted)))
        return
    accepted = service.call(request)
    if not service.as_json:
        stdout().print(_sentence(accepted))
    deliveries = follow(service, accepted.id, accepted.tenant, quiet=service.as_json)
    if service.as_json:
        print(_whole(service, accepted))
    if any(delivery.status is not DeliveryStatus.SUCCESS for delivery in deliveries):
        raise typer.Exit(ExitCode.FAILED)


def _request(event_type: str, data: bytes, **given: Any) -> Request[Accepted]:  # noqa: ANN401 - as the client's emit
    """Return the request, with the data as it was given to the letter."""
    try:
        return Client.emit(event_type, msgspec.Raw(data), **given)
    except UnicodeEncodeError:
        fail("What was given is not UTF-8.", ExitCode.USAGE)


def _whole(service: Service, accepted: Accepted) -> str:
    """Return what was accepted and its deliveries, as the service tells them."""
    listing = Client.list_event_deliveries(accepted.id, tenant=accepted.tenant, limit=250)
    page: dict[str, object] = msgspec.json.decode(service.call(raw(listing)))
    whole = {**msgspec.to_builtins(accepted), "deliveries": page["data"]}
    return json.dumps(whole, ensure_ascii=False)


def _sentence(accepted: Accepted) -> str:
    count = accepted.delivery_count
    if not count:
        goes = f"no endpoint of tenant {accepted.tenant} wants {accepted.type}"
    else:
        goes = "1 delivery" if count == 1 else f"{count} deliveries"
    known = ", accepted before" if accepted.duplicate else ""
    return f"{accepted.id}  {goes}{known}"


def _read(data: str) -> bytes:
    """Return the JSON text that an argument stands for."""
    try:
        if data == "-":
            text = sys.stdin.buffer.read().decode()
        else:
            text = Path(data[1:]).read_bytes().decode() if data.startswith("@") else data
        json.loads(text, parse_constant=_no_constant)
    except OSError as error:
        fail(f"{data[1:]} cannot be read: {error.strerror}.", ExitCode.USAGE)
    except (ValueError, RecursionError) as error:
        fail(
            f"The data is not JSON ({error}). A text needs double quotes: '\"hello\"'.",
            ExitCode.USAGE,
        )
    # What a shell passes on as bytes that are no UTF-8 is the service's to refuse.
    return text.encode(errors="surrogateescape")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")


def metadata_of(flag: str, pairs: list[str]) -> dict[str, str | list[str]]:
    """Return names and values; a name that is given repeatedly has a list of them."""
    found: dict[str, list[str]] = {}
    for name, value in _split(flag, pairs):
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def pairs_of(flag: str, pairs: list[str] | None) -> dict[str, str]:
    """Return names and values, each name once."""
    return dict(_split(flag, pairs or []))


def _split(flag: str, pairs: list[str]) -> Iterator[tuple[str, str]]:
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            fail(f"{flag} {pair!r} is not NAME=VALUE, such as lang=en.", ExitCode.USAGE)
        yield name, value
