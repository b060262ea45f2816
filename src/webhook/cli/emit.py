"""``webhook emit``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from webhook.cli.follow import follow
from webhook.cli.http import Service, is_loopback
from webhook.cli.terminal import ExitCode, fail, stdout
from webhook.cli.tokens import read_token, token_file
from webhook.settings import Settings

_DATA = "JSON, or @FILE to read it from a file, or - to read it from standard input."


def emit(
    settings: Settings,
    *,
    event_type: Annotated[str, typer.Argument(metavar="TYPE", help="Such as message.sent.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help=_DATA, show_default=False)] = "{}",
    tenant: Annotated[str | None, typer.Option(metavar="TENANT", help="Whose event it is.")] = None,
    key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Makes repeating the command safe: one event, not two."),
    ] = None,
    meta: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Metadata for filters; may be given repeatedly."),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            envvar="WEBHOOK_URL",
            metavar="URL",
            help="Where the service is. Default: http://127.0.0.1 with the port of WEBHOOK_PORT",
            show_envvar=True,
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the deliveries until each has come to its end.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Emit an event to a running service.

    Prints its id and how many endpoints get it. Without --token or WEBHOOK_API_TOKEN, the token
    is taken that `webhook serve` made on this machine, from beside its database.

    Ends with 0 if all is well (with --wait: delivered everywhere), 1 if not, 2 if used wrongly,
    3 if no service answers, 4 if there is nothing of that name.

    Example: webhook emit message.sent '{"text":"hello"}' --meta lang=en --wait
    """
    url = url or f"http://127.0.0.1:{settings.port}"
    token = settings.api_token
    if token is None and is_loopback(url):
        token = read_token(token_file(settings.store))
    service = Service(url, token)
    accepted = service.post("/v1/events", _body(event_type, _read(data), tenant, key, meta or []))
    if not as_json:
        stdout().print(_sentence(accepted))
    elif not wait:
        _print_json(accepted)
    if wait:
        deliveries = follow(service, accepted["id"], accepted["tenant"], quiet=as_json)
        if as_json:
            _print_json({**accepted, "deliveries": deliveries})
        if any(delivery["status"] != "success" for delivery in deliveries):
            raise typer.Exit(ExitCode.FAILED)


def _sentence(accepted: dict[str, Any]) -> str:
    count = accepted["delivery_count"]
    if not count:
        goes = f"no endpoint of tenant {accepted['tenant']} wants {accepted['type']}"
    else:
        goes = "1 delivery" if count == 1 else f"{count} deliveries"
    known = ", accepted before" if accepted["duplicate"] else ""
    return f"{accepted['id']}  {goes}{known}"


def _read(data: str) -> str:
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
    return text


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")


def _body(
    event_type: str, data: str, tenant: str | None, key: str | None, meta: list[str]
) -> bytes:
    """Return the request's body, with the data as it was given to the letter."""
    fields: dict[str, Any] = {"type": event_type}
    if tenant is not None:
        fields["tenant"] = tenant
    if key is not None:
        fields["idempotency_key"] = key
    if meta:
        fields["metadata"] = _metadata(meta)
    head = json.dumps(fields, ensure_ascii=False).removesuffix("}")
    # What a shell passes on as bytes that are no UTF-8 is the service's to refuse.
    return f'{head}, "data": {data}}}'.encode(errors="surrogateescape")


def _metadata(pairs: list[str]) -> dict[str, str | list[str]]:
    found: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            fail(f"--meta {pair!r} is not NAME=VALUE, such as lang=en.", ExitCode.USAGE)
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _print_json(value: object) -> None:
    print(json.dumps(value, ensure_ascii=False))
