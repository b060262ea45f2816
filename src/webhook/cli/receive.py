"""``webhook receive``: a receiver on this machine, to see deliveries and to fail on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from webhook.cli.listen import listen, url_of
from webhook.cli.misbehaving import WAYS, Way, way_of
from webhook.cli.receiving import HEAD_BYTES_MAX, Received, Receiving, Secrets
from webhook.cli.remote import Service
from webhook.cli.terminal import ExitCode, fail, stdout
from webhook.domain.errors import WebhookError
from webhook.receive import BadSecret, Verifier

_SPAN = re.compile(r"([0-9]{1,5}(?:\.[0-9]{1,3})?)(ms|s|m)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}


def receive(
    service: Service,
    *,
    port: Annotated[
        int, typer.Argument(metavar="PORT", min=0, max=65535, help="Where; 0 takes a free one.")
    ] = 9000,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = (
        "127.0.0.1"
    ),
    secret: Annotated[
        str | None,
        typer.Option(
            metavar="SECRET",
            envvar="WEBHOOK_SECRET",
            help="What to verify with; several with spaces between. Asks the service unless given.",
        ),
    ] = None,
    fail_how: Annotated[
        str | None,
        typer.Option(
            "--fail", metavar="HOW", help="Fail on purpose: a status such as 503, or a way below."
        ),
    ] = None,
    times: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Fail so often, then answer 204. Default: always"),
    ] = None,
    delay: Annotated[
        str, typer.Option(metavar="SPAN", help="Wait before each answer: 3s, 250ms, 1m.")
    ] = "0s",
    record: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write each request into it as it came, in a file."),
    ] = None,
) -> None:
    """Receive deliveries on this machine: verify, print, and answer 204, or 400 if not verified.

    Without --secret the secret of each delivery's endpoint is asked of the service that sent it
    (--url, --token), so that nothing is to be copied while one tries things out.

    The ways to --fail: {ways}.

    Example: webhook receive 9000 --fail 503 --times 2
    """
    way = _way(fail_how, times)
    if secret is not None:
        try:
            Verifier(secret)
        except BadSecret as error:
            fail(f"--secret: {error}.", ExitCode.USAGE)
    if record is not None:
        try:
            record.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            fail(f"--record: {record} cannot be made: {error.strerror}.", ExitCode.USAGE)
    receiving = Receiving(
        Secrets(secret, _asker(service)),
        tell=_print_json if service.as_json else _print,
        way=way,
        times=times,
        delay_s=_span(delay),
        record=record,
    )
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_serve(receiving, host, port, quiet=service.as_json))
    except WebhookError as error:
        fail(error.message)


receive.__doc__ = (receive.__doc__ or "").format(ways=", ".join(WAYS))


async def _serve(receiving: Receiving, host: str, port: int, *, quiet: bool) -> None:
    sock = await listen(host, port, loopback_only=False)
    server = await asyncio.start_server(receiving.serve, sock=sock, limit=HEAD_BYTES_MAX)
    url = url_of(sock)
    if quiet:
        print(json.dumps({"listening": url}), flush=True)
    else:
        out = stdout()
        out.print(Text.assemble(("Receiving  ", "dim"), (url, "bold")))
        out.print(f"webhook endpoints add {url}", style="cyan")
    try:
        await asyncio.Event().wait()
    finally:
        # And no waiting: some ways to fail have no end.
        server.close()


def _way(text: str | None, times: int | None) -> Way | None:
    if text is None:
        if times is not None:
            fail("--times says how often to --fail; say how.", ExitCode.USAGE)
        return None
    way = way_of(text)
    if way is None:
        known = ", ".join(WAYS)
        fail(f"--fail: {text!r} is no way to fail. Give a status, or {known}.", ExitCode.USAGE)
    return way


def _span(text: str) -> float:
    found = _SPAN.fullmatch(text)
    if found is None:
        fail(f"--delay: {text!r} is no span. Give 3s, 250ms or 1m.", ExitCode.USAGE)
    return float(found[1]) * _UNITS[found[2] or "s"]


def _asker(service: Service) -> Callable[[str], list[str]]:
    """Return what asks the service for the secrets of an endpoint."""

    def ask(endpoint_id: str) -> list[str]:
        told = service.client.get_secret(endpoint_id)
        secrets = [one.secret or one.public_key for one in told.live]
        found = [secret for secret in secrets if secret is not None]
        if not found:
            raise WebhookError("the service's own secret signs; give it as --secret")
        return found

    return ask


def _print(received: Received) -> None:
    """Print a request: a line for it, and one for its data."""
    out = stdout()
    line = Text(f"{datetime.now().astimezone():%H:%M:%S}  ")
    style = "green" if received.answered == "204" else "red"
    line.append(f"{received.answered}  ", style)
    event = received.event
    if event is None:
        line.append("not verified  ", "bold red").append(received.problem or "")
    else:
        attempt = received.headers.get("webhook-attempt", "")
        again = f"  attempt {attempt}" if attempt not in {"", "1"} else ""
        line.append("verified  ", "green").append(f"{event.type}  {event.id}{again}")
    out.print(line)
    if event is not None:
        data = json.dumps(event.data, ensure_ascii=False)
        out.print(Text(f"  {data[:2000]}", "dim"))


def _print_json(received: Received) -> None:
    event = received.event
    told = {
        "number": received.number,
        "answered": received.answered,
        "verified": event is not None,
        "problem": received.problem,
        "method": received.method,
        "target": received.target,
        "headers": dict(received.headers),
        "body": received.body.decode("utf-8", "replace"),
    }
    print(json.dumps(told, ensure_ascii=False), flush=True)
