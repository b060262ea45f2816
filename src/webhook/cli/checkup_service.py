"""What ``webhook doctor`` finds at the service."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Self

from webhook.cli.checkup import Finding, Verdict, bad, note, ok
from webhook.cli.endpoints import trouble_of
from webhook.cli.listen import listen, url_of
from webhook.cli.receiving import Received, Receiving, Secrets
from webhook.cli.remote import Service
from webhook.client import (
    BadAnswer,
    Client,
    Delivery,
    Endpoint,
    Forbidden,
    HttpRequest,
    Invalid,
    Sending,
    Unauthorized,
    Unreachable,
)
from webhook.client.blocking import UrllibTransport
from webhook.client.loopback import is_loopback
from webhook.domain.errors import WebhookError
from webhook.domain.model import EndpointStatus

SKEW_S_MAX = 30.0
OVERDUE_S = 120.0
DELIVERY_S = 20.0
_LOOKED_AT = 250
_TIMEOUT_S = 30.0


def service_findings(service: Service, tenant: str | None, *, delivery: bool) -> Iterator[Finding]:
    """Look at the service, as far as it and the token let one."""
    answers = _answers(service)
    yield answers
    if answers.verdict is not Verdict.OK:
        return
    yield _clock(service)
    sending = _let_in(service)
    if isinstance(sending, Finding):
        yield sending
        return
    yield ok("token", "it lets one in")
    client = service.client
    endpoints = list(islice(client.list_endpoints(tenant=tenant, limit=_LOOKED_AT), _LOOKED_AT))
    yield from _endpoints(endpoints)
    if sending.paused:
        told = f"all sending is paused since {sending.paused_since:%Y-%m-%d %H:%M} UTC"
        yield bad("sending", told, "webhook resume")
        return
    yield _overdue(client, endpoints, tenant)
    if delivery:
        yield _delivery(service)


def _answers(service: Service) -> Finding:
    try:
        service.client.health()
    except Unreachable as error:
        told = f"nothing answers at {service.url} ({error.message})"
        return bad("service", told, "Start it with `webhook serve`, or give --url or WEBHOOK_URL.")
    except BadAnswer:
        told = f"another program answers at {service.url}"
        return bad("service", told, "Give --url or WEBHOOK_URL; choose a port with --port.")
    except WebhookError as error:
        return bad("service", error.message, "Its log says more; look at its store.")
    return ok("service", f"{service.url} and its store answer")


def _let_in(service: Service) -> Sending | Finding:
    """Return the operator's switch, which tells that the token is good for something."""
    try:
        return service.client.get_sending()
    except Unauthorized as error:
        cure = "Give the service's: --token or WEBHOOK_API_TOKEN."
        return bad("token", error.message, cure)
    except Forbidden as error:
        return bad("token", error.message, "Make one: webhook tokens create doctor --scope admin")
    except WebhookError as error:
        return bad("token", error.message, "Set WEBHOOK_API_TOKEN where the service runs.")


def _clock(service: Service) -> Finding:
    """Compare the clocks: a signature whose time is far off is refused by its receiver."""
    request = HttpRequest("GET", f"{service.url}/health", {}, None, _TIMEOUT_S)
    try:
        date = UrllibTransport(service.url).send(request).headers.get("date", "")
        there = parsedate_to_datetime(date)
    except (ValueError, Unreachable):
        return note("clock", "the service does not say what time it is")
    skew_s = (there.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
    if abs(skew_s) > SKEW_S_MAX:
        told = f"the service's clock and this one are {abs(skew_s):.0f} s apart"
        return bad("clock", told, "Set the wrong one, by NTP: receivers refuse what is 5 min off.")
    return ok("clock", "the service's and this one agree")


def _endpoints(endpoints: list[Endpoint]) -> Iterator[Finding]:
    if not endpoints:
        yield note("endpoints", "there are none", "webhook endpoints add URL")
        return
    well = True
    for endpoint in endpoints:
        trouble = trouble_of(endpoint)
        if endpoint.status in {EndpointStatus.ERROR, EndpointStatus.SUSPENDED}:
            why = "" if trouble is None else f": {trouble}"
            cure = f"webhook endpoints test {endpoint.id}, then resume."
            yield bad("endpoint", f"{endpoint.id} is {endpoint.status.value}{why}", cure)
            well = False
        elif trouble is not None:
            cure = f"webhook deliveries list --endpoint {endpoint.id} says why."
            yield bad("endpoint", f"{endpoint.id} has {trouble}", cure)
            well = False
    if well:
        yield ok("endpoints", f"{len(endpoints)}, none of which fails")


def _overdue(client: Client, endpoints: list[Endpoint], tenant: str | None) -> Finding:
    """Look for deliveries that nobody sends, though nothing holds them back."""
    free = {
        endpoint.id
        for endpoint in endpoints
        if endpoint.active and endpoint.health.open_until is None
    }
    late = datetime.now(UTC) - timedelta(seconds=OVERDUE_S)
    pending = client.list_deliveries(tenant=tenant, status="pending", limit=_LOOKED_AT)
    overdue: list[Delivery] = [
        one
        for one in islice(pending, _LOOKED_AT)
        if one.endpoint_id in free
        and one.waits_for is None
        and one.next_attempt_at is not None
        and one.next_attempt_at < late
    ]
    if overdue:
        cure = "Is the server's loop, or the Worker's queue and cron, at work? Its log says."
        return bad("sending", f"{len(overdue)} deliveries are overdue, as {overdue[0].id}", cure)
    return ok("sending", "nothing is overdue")


def _delivery(service: Service) -> Finding:
    """Send one event through to a receiver of our own."""
    if not is_loopback(service.url):
        return note("delivery", "not tried: the service cannot reach this machine")
    tenant, secret = f"doctor-{secrets.token_hex(8)}", f"whsec_{secrets.token_hex(24)}"
    client = service.client
    with _Receiver(secret) as receiver:
        try:
            made = client.add_endpoint(
                receiver.url, event_types=["doctor.test"], tenant=tenant, secret=secret
            )
        except Invalid as error:
            cure = "WEBHOOK_ALLOW_PRIVATE_HOSTS=1 and WEBHOOK_ALLOW_HTTP=1 let the service do it."
            return note("delivery", f"not tried: {error.message}", cure)
        except WebhookError as error:
            return note("delivery", f"not tried: {error.message}")
        try:
            accepted = client.emit("doctor.test", {"from": "webhook doctor"}, tenant=tenant)
            received = receiver.wait()
            deliveries = client.list_event_deliveries(accepted.id, tenant=tenant)
            reason = next((one.reason for one in deliveries), None)
        finally:
            client.remove_endpoint(made.id)
    cure = "Is the server's loop at work, and nothing between it and this machine?"
    if received is None:
        told = f"one was not sent within {DELIVERY_S:g} s{f': {reason}' if reason else ''}"
        return bad("delivery", told, cure)
    if received.problem is not None:
        return bad("delivery", f"it arrived, but {received.problem}", cure)
    return ok("delivery", "one was sent, signed, received and verified")


class _Receiver:
    """A receiver in a thread of its own, for one request."""

    def __init__(self, secret: str) -> None:
        self.url = ""
        self._received: list[Received] = []
        self._arrived, self._ready = threading.Event(), threading.Event()
        self._receiving = Receiving(Secrets(secret, lambda _: []), tell=self._take)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def wait(self) -> Received | None:
        """Return the request when it has come, None if it does not."""
        return self._received[0] if self._arrived.wait(DELIVERY_S) else None

    def _take(self, received: Received) -> None:
        self._received.append(received)
        self._arrived.set()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._ended = asyncio.Event()
        sock = await listen("127.0.0.1", 0, loopback_only=True)
        server = await asyncio.start_server(self._receiving.serve, sock=sock)
        self.url = url_of(sock)
        self._ready.set()
        await self._ended.wait()
        server.close()
