"""The clients against the real server: every method, the pages, what goes wrong on the wire."""

from __future__ import annotations

import dataclasses
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

import webhook.client.transports
from tests.api.server import TOKEN, Served
from tests.client.kinds import KINDS, Calls
from tests.hostile import never_answers, resets, resets_after
from tests.receiver import Answer, Reply, ThreadedReceiver
from tests.sockets import deaf_port
from webhook import DeliveryStatus, EndpointStatus, RetryPolicy, WebhookEvent
from webhook.client import (
    AsyncClient,
    Client,
    Conflict,
    Invalid,
    NotFound,
    Unauthorized,
    Unreachable,
)

HOOK = "http://127.0.0.1:9/hook"


def new_tenant() -> str:
    return f"t-{uuid.uuid4().hex}"


def test_an_event_goes_in_and_is_found_again(client: Calls) -> None:
    tenant = new_tenant()
    accepted = client.emit(
        "message.sent", {"text": "hi ü"}, tenant=tenant, metadata={"lang": ["en"]}, version="2"
    )
    assert (accepted.tenant, accepted.delivery_count, accepted.duplicate) == (tenant, 0, False)
    event = client.get_event(accepted.id, tenant=tenant)
    assert (event.data, event.metadata, event.version) == (
        {"text": "hi ü"},
        {"lang": ["en"]},
        "2",
    )
    assert abs(event.accepted_at - datetime.now(UTC)) < timedelta(minutes=10)
    assert client.erase_payload(accepted.id, tenant=tenant) is None
    assert client.get_event(accepted.id, tenant=tenant).data is None


@dataclasses.dataclass
class Order:
    number: int
    at: datetime


def test_data_is_whatever_json_can_hold(client: Calls) -> None:
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    for data, found in (
        (None, None),
        (2**70, 2**70),
        (Order(7, at), {"number": 7, "at": "2026-01-31T12:00:00Z"}),
        ({"at": at}, {"at": "2026-01-31T12:00:00+00:00"}),
        (msgspec.Raw(b'{"b": 1, "a": [1.10]}'), {"b": 1, "a": [1.1]}),
    ):
        accepted = client.emit("order.paid", data)
        assert client.get_event(accepted.id).data == found
    for bad in (float("nan"), object(), {"at": datetime(2026, 1, 31)}):  # noqa: DTZ001 - on purpose
        with pytest.raises((ValueError, TypeError)):
            client.emit("order.paid", bad)


def test_a_batch_is_accepted_in_its_order(client: Calls) -> None:
    tenant, name = new_tenant(), uuid.uuid4().hex
    batch = [
        WebhookEvent(type="a.b", data=[1], tenant=tenant, id=name),
        {"type": "c.d", "data": None, "tenant": tenant},
    ]
    first, second = client.emit_many(batch)
    assert (first.id, first.type, second.type) == (name, "a.b", "c.d")
    again, other = client.emit_many(batch)
    assert (again.duplicate, other.duplicate, other.id != second.id) == (True, False, True)
    with pytest.raises(Invalid) as raised:
        client.emit_many([{"type": "a.b", "data": 1}, {"type": "No", "data": 1}])
    assert [error.pointer for error in raised.value.errors] == ["/events/1/type"]


def test_lists_page_by_themselves(client: Calls) -> None:
    tenant = new_tenant()
    ids = [one.id for one in client.emit_many(_event(tenant, n) for n in range(7))]
    assert [event.id for event in client.list_events(tenant=tenant, limit=3)] == ids[::-1]
    assert list(client.list_events(tenant=new_tenant())) == []


def _event(tenant: str, number: int) -> dict[str, Any]:
    return {"type": "a.b", "data": number, "tenant": tenant}


def test_a_list_gives_its_pages_too(blocking: Client) -> None:
    tenant = new_tenant()
    blocking.emit_many(_event(tenant, n) for n in range(5))
    pages = blocking.list_events(tenant=tenant, limit=2)
    assert [len(page.data) for page in pages.pages()] == [2, 2, 1]
    first = pages.page()
    rest = blocking.list_events(tenant=tenant, limit=2, cursor=first.next_cursor)
    assert [event.data for event in rest] == [2, 1, 0]


def test_an_endpoint_is_made_changed_and_removed(client: Calls) -> None:
    tenant = new_tenant()
    made = client.add_endpoint(
        HOOK,
        event_types=["message.*"],
        tenant=tenant,
        external_id="crm",
        filters={"lang": ["en", "de"]},
        headers={"X-Key": "k"},
        retry=RetryPolicy(max_retries=0),
    )
    assert (made.secret or "").startswith("whsec_")
    assert made.secret not in repr(made)
    assert made.retry.max_retries == 0
    assert made.status is EndpointStatus.ACTIVE
    changed = client.update_endpoint(made.id, name="CRM", filters=None, active=False)
    assert (changed.name, changed.filters, changed.status) == (
        "CRM",
        {},
        EndpointStatus.INACTIVE,
    )
    assert changed.external_id == "crm"
    assert [one.id for one in client.list_endpoints(tenant=tenant)] == [made.id]
    assert client.get_secret(made.id).secret == made.secret
    rotated = client.rotate_secret(made.id, overlap_s=60)
    assert [one.secret for one in rotated.live] == [rotated.secret, made.secret]
    probe = client.probe_endpoint(made.id)
    assert (probe.success, probe.error_kind) == (False, "refused")
    with pytest.raises(Conflict):
        client.add_endpoint(HOOK, event_types=["*"], tenant=tenant, external_id="crm")
    assert client.remove_endpoint(made.id) is None
    with pytest.raises(NotFound):
        client.get_endpoint(made.id)


def test_several_endpoints_are_made_at_once(client: Calls) -> None:
    given = [{"url": HOOK, "event_types": ["*"], "tenant": new_tenant()} for _ in range(2)]
    assert [one.tenant for one in client.add_endpoints(given)] == [e["tenant"] for e in given]


def test_deliveries_are_replayed_canceled_and_recovered(client: Calls) -> None:
    tenant = new_tenant()
    policy: dict[str, Any] = {"schedule_s": []}
    endpoint = client.add_endpoint(HOOK, event_types=["*"], tenant=tenant, retry=policy)
    # Paused, it keeps what it gets.
    client.update_endpoint(endpoint.id, active=False)
    client.update_endpoint(endpoint.id, active=True, concurrency_max=1)
    accepted = client.emit("a.b", 1, tenant=tenant)
    client.update_endpoint(endpoint.id, active=False)
    [delivery] = client.list_event_deliveries(accepted.id, tenant=tenant)
    canceled = client.cancel_delivery(delivery.id).delivery
    assert canceled.status in {DeliveryStatus.CANCELED, DeliveryStatus.EXHAUSTED}
    assert client.get_delivery(delivery.id).reason
    replayed = client.replay_delivery(delivery.id)
    assert (replayed.started, replayed.delivery.id) == (True, delivery.id)
    client.cancel_delivery(delivery.id)
    [listed] = client.list_deliveries(tenant=tenant, endpoint_id=endpoint.id)
    assert listed.id == delivery.id
    since = datetime.now(UTC) - timedelta(hours=1)
    count = client.count_recoverable(endpoint.id, since=since, which="all")
    assert (count.replayed, count.more) == (1, False)
    recovery = client.recover_endpoint(endpoint.id, since=since, which="all")
    assert client.get_recovery(recovery.id).id == recovery.id
    assert client.cancel_recovery(recovery.id).recovery.id == recovery.id
    assert [one.id for one in client.list_recoveries(tenant=tenant)] == [recovery.id]
    client.cancel_delivery(delivery.id)
    assert client.count_replayable(tenant=tenant, endpoint_id=endpoint.id).scanned == 1
    assert client.replay_deliveries(tenant=tenant, status="canceled").kind == "filter"


def test_the_switch_tokens_the_audit_log_and_health(client: Calls) -> None:
    assert client.pause_sending().paused
    assert client.get_sending().paused_since is not None
    assert not client.resume_sending().paused
    tenant = new_tenant()
    made = client.create_token("shop", scopes=["emit"], tenant=tenant)
    assert [token.id for token in client.list_tokens(tenant=tenant)] == [made.details.id]
    assert client.revoke_token(made.details.id) is None
    actions = [entry.action for entry in client.list_audit(tenant=tenant)]
    assert actions == ["token.revoke", "token.create"]
    assert client.get_tenant(tenant).rows.audit_log == 2
    deleted = client.delete_tenant(tenant)
    assert (deleted.rows.audit_log, deleted.deleting_since) == (0, None)
    assert client.health().status == "ok"
    assert client.get_openapi()["openapi"] == "3.1.0"


def test_an_error_names_the_field(client: Calls) -> None:
    with pytest.raises(Invalid) as raised:
        client.emit("No Type", 1)
    error = raised.value
    assert (error.status, error.type) == (422, "/docs#problem-invalid")
    assert [found.pointer for found in error.errors] == ["/type"]
    assert error.request_id
    with pytest.raises(Invalid) as raised:
        client.list_events(tenant="no tenant").__iter__().__next__()
    assert [found.pointer for found in raised.value.errors] == ["?tenant"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_token_is_told(kind: str, served: Served) -> None:
    with KINDS[kind](served.url, "wrong") as client, pytest.raises(Unauthorized):
        client.emit("a.b", 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_answer_makes_no_second_event(
    kind: str, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook.client.exchange.FIRST_PAUSE_S", 0.0)
    tenant = new_tenant()
    with KINDS[kind](served.url, TOKEN) as client:
        transport = (client.client if hasattr(client, "client") else client)._transport
        send, losses = transport.send, ["lost"]

        if kind == "urllib":

            def lossy(request: Any) -> Any:
                answer = send(request)
                if losses and losses.pop():
                    raise Unreachable("lost", sent=True)
                return answer

            monkeypatch.setattr(transport, "send", lossy)
        else:

            async def lossy_too(request: Any) -> Any:
                answer = await send(request)
                if losses and losses.pop():
                    raise Unreachable("lost", sent=True)
                return answer

            monkeypatch.setattr(transport, "send", lossy_too)
        accepted = client.emit("a.b", 1, tenant=tenant)
        assert not accepted.duplicate
        assert [event.id for event in client.list_events(tenant=tenant)] == [accepted.id]


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_connection_is_tried_again(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook.client.exchange.FIRST_PAUSE_S", 0.0)
    health = Answer(200, [("Connection", "close")], b'{"status":"ok"}')
    busy = Answer(503, [("Retry-After", "0")])
    answers: list[Reply] = [resets, resets_after(), busy, health]
    with ThreadedReceiver(answers) as receiver:
        url = f"http://127.0.0.1:{receiver.port}"
        with KINDS[kind](url, None, retries=3) as client:
            assert client.health().status == "ok"
        assert len(receiver.requests) == 4
        assert "authorization" not in receiver.requests[0].headers


@pytest.mark.parametrize("kind", KINDS)
def test_whether_a_request_was_sent_is_known(kind: str) -> None:
    with (
        deaf_port() as port,
        KINDS[kind](f"http://127.0.0.1:{port}", None, retries=0) as client,
    ):
        with pytest.raises(Unreachable) as raised:
            client.health()
        assert not raised.value.sent
    with ThreadedReceiver([resets]) as receiver:
        url = f"http://127.0.0.1:{receiver.port}"
        with KINDS[kind](url, None, retries=0) as client, pytest.raises(Unreachable) as raised:
            client.health()
        assert raised.value.sent


@pytest.mark.parametrize("kind", KINDS)
def test_no_answer_in_time_is_given_up(kind: str) -> None:
    with ThreadedReceiver([never_answers]) as receiver:
        url = f"http://127.0.0.1:{receiver.port}"
        with (
            KINDS[kind](url, None, retries=0, timeout_s=0.2) as client,
            pytest.raises(Unreachable),
        ):
            client.health()


@pytest.mark.parametrize("kind", KINDS)
def test_a_redirect_is_not_followed(kind: str) -> None:
    with ThreadedReceiver([200]) as elsewhere:
        moved = Answer(307, [("Location", elsewhere.url), ("Connection", "close")])
        with ThreadedReceiver([moved]) as receiver:
            url = f"http://127.0.0.1:{receiver.port}"
            with KINDS[kind](url, "t") as client, pytest.raises(Exception, match="answered 307"):
                client.emit("a.b", 1)
        assert elsewhere.requests == []


def test_url_and_token_come_from_the_environment(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WEBHOOK_URL", raising=False)
    with pytest.raises(ValueError, match="WEBHOOK_URL"):
        Client()
    monkeypatch.setenv("WEBHOOK_URL", served.url)
    monkeypatch.setenv("WEBHOOK_API_TOKEN", served.token)
    with Client() as client:
        assert not client.get_sending().paused


async def test_as_its_documentation_says(served: Served) -> None:
    async with AsyncClient(served.url, served.token) as client:
        accepted = await client.emit("message.sent", {"text": "hi"}, tenant=new_tenant())
        request = AsyncClient.get_event(accepted.id, tenant=accepted.tenant)
        assert (await client.call(request)).id == accepted.id
        pages = client.list_events(tenant=accepted.tenant)
        assert [event.id async for event in pages] == [accepted.id]
        assert (await pages.page()).next_cursor is None


def test_without_aiohttp_it_sends_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    made = webhook.client.transports.async_transport(HOOK)
    assert type(made).__name__ == "AiohttpTransport"
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    made = webhook.client.transports.async_transport(HOOK)
    assert type(made).__name__ == "ThreadTransport"
