"""The README's Python runs as it stands, but for the address of the receiver."""

from __future__ import annotations

import inspect
import re
import types
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

import webhook
from tests.api.server import Nowhere, Served
from tests.readme.blocks import IN_MEMORY, python_blocks, with_persistence, with_receiver
from tests.receive.apps import uvicorn_of
from tests.receiver import Receiver, ThreadedReceiver
from webhook import EndpointInput, WebhookConfig, WebhookEvent
from webhook.ports import WebhookEndpointStore
from webhook.receive.testing import make_secret

README = Path(__file__).parents[2] / "README.md"
FIVE_MINUTES, ON_D1, FIXED_ENDPOINTS, INJECTED, RECEIVE, RECEIVER, CLIENT = python_blocks(README)
ON_SQLITE = 'persistence = create_sqlite_webhook_persistence("webhook.db")'
FROM_SQLITE = "from webhook.adapters.sqlite import create_sqlite_webhook_persistence"


def run(code: str, name: str = "__main__") -> types.ModuleType:
    """Run code as a program of its own, and return its module."""
    module = types.ModuleType(name)
    exec(compile(code, "README.md", "exec"), module.__dict__)  # noqa: S102 - it is our README
    return module


def expect_one_signed_request(receiver: ThreadedReceiver, printed: str) -> None:
    [request] = receiver.requests
    found = re.search(r"the receiver verifies with (whsec_\S+)", printed)
    assert found is not None
    Webhook(found[1]).verify(request.body, request.headers)
    assert request.json()["data"] == {"text": "hi"}
    assert re.search(r"^dlv_\S+ success $", printed, re.MULTILINE)


def test_the_five_minute_example_runs_in_memory(capsys: pytest.CaptureFixture[str]) -> None:
    with ThreadedReceiver() as receiver:
        run(with_receiver(FIVE_MINUTES, receiver.url))
        expect_one_signed_request(receiver, capsys.readouterr().out)


def test_it_says_why_an_attempt_failed(capsys: pytest.CaptureFixture[str]) -> None:
    with ThreadedReceiver([503]) as receiver:
        run(with_receiver(FIVE_MINUTES, receiver.url))
    assert re.search(r"^dlv_\S+ pending HTTP 503$", capsys.readouterr().out, re.MULTILINE)


def test_the_example_runs_on_sqlite_by_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = " ".join(README.read_text("utf-8").split())
    assert (
        '`create_sqlite_webhook_persistence("webhook.db")` from `webhook.adapters.sqlite`' in text
    )
    monkeypatch.chdir(tmp_path)
    code = with_persistence(FIVE_MINUTES, ON_SQLITE, FROM_SQLITE)
    with ThreadedReceiver() as receiver:
        run(with_receiver(code, receiver.url))
        expect_one_signed_request(receiver, capsys.readouterr().out)
    assert (tmp_path / "webhook.db").exists()


def test_the_line_for_d1_takes_the_place_of_the_one_in_memory() -> None:
    # It runs inside workerd: tests/worker/inner/test_readme_on_d1.py.
    assert ON_D1.startswith("persistence = create_d1_webhook_persistence(self.env.DB)")
    assert "from webhook.adapters.cloudflare" in ON_D1
    assert IN_MEMORY in FIVE_MINUTES


async def test_a_store_of_ones_own_gets_its_events(
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = WebhookConfig(allow_http=True, allow_private_hosts=True)
    persistence = webhook.create_in_memory_webhook_persistence()
    async with Receiver() as receiver:
        made = webhook.WebhookRuntimeService(config, persistence=persistence)
        endpoint = await made.add_endpoint(
            EndpointInput(url=receiver.url, event_types=["message.*"], filters={"lang": ["en"]})
        )
        await made.shutdown()
        code = "from webhook import WebhookRuntimeService\n" + FIXED_ENDPOINTS + INJECTED
        module = types.ModuleType("own")
        vars(module).update(config=config, persistence=persistence, endpoint=endpoint)
        exec(compile(code, "README.md", "exec"), module.__dict__)  # noqa: S102 - it is our README
        runtime: webhook.WebhookRuntimeService = module.runtime
        english = WebhookEvent(type="message.sent", data=1, metadata={"lang": "en"})
        [delivery] = await runtime.emit_sync(english)
        assert delivery.status == "success"
        accepted = await runtime.emit(english)
        assert accepted.delivery_count == 1
        await receiver.wait(2)
        for other in (
            WebhookEvent(type="message.sent", data=1),
            WebhookEvent(type="call.ended", data=1, metadata={"lang": "en"}),
            WebhookEvent(type="message.sent", data=1, metadata={"lang": "en"}, tenant="other"),
        ):
            assert await runtime.emit_sync(other) == []
        with pytest.raises(webhook.WebhookError, match="stand in the program"):
            await runtime.add_endpoint(EndpointInput(url=receiver.url, event_types=["*"]))
        await runtime.shutdown()
        assert len(receiver.requests) == 2


async def test_the_receivers_get_what_the_service_sends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = make_secret()
    monkeypatch.setenv("WEBHOOK_SECRET", secret)
    monkeypatch.chdir(tmp_path)
    module = run(RECEIVE + RECEIVER)
    config = WebhookConfig(allow_http=True, allow_private_hosts=True)
    runtime = webhook.WebhookRuntimeService(config)
    with uvicorn_of(module.app) as url:
        for path in ("/hook", "/hooks"):
            made = EndpointInput(url=url + path, event_types=["message.*"], secret=secret)
            await runtime.add_endpoint(made)
        event = WebhookEvent(id="evt-1", type="message.sent", data={"text": "hi"})
        deliveries = await runtime.emit_sync(event)
    await runtime.shutdown()
    assert [(each.status, each.attempts[-1].status_code) for each in deliveries] == [
        ("success", 204)
    ] * 2
    assert sorted(capsys.readouterr().out.splitlines()) == [
        "evt-1 hi",
        "evt-1 message.sent {'text': 'hi'}",
    ]
    module.receiver._seen.close()
    assert (tmp_path / "seen.db").exists()


def test_the_client_calls_a_service(capsys: pytest.CaptureFixture[str]) -> None:
    address = "http://127.0.0.1:8787"
    assert CLIENT.count(address) == 1
    with Served(sender=Nowhere()) as served:
        code = f"token = {served.token!r}\n" + CLIENT.replace(address, served.url)
        client = run(code).client
        assert [event.data for event in client.list_events(tenant="acme")] == [{"text": "hi"}]
        assert len(list(client.list_endpoints(tenant="acme"))) == 1
    assert capsys.readouterr().out == ""


def test_the_store_of_ones_own_has_the_methods_of_its_port() -> None:
    own: Any = run(FIXED_ENDPOINTS, "own").FixedEndpoints
    for name, method in vars(WebhookEndpointStore).items():
        if name.startswith("_") or not inspect.isfunction(method):
            continue
        parameters = list(inspect.signature(method).parameters)
        assert list(inspect.signature(getattr(own, name)).parameters) == parameters, name


def test_what_the_blocks_import_is_exported() -> None:
    for block in (FIVE_MINUTES, FIXED_ENDPOINTS):
        for names in re.findall(r"^from webhook import (\([^)]*\)|.*)$", block, re.MULTILINE):
            assert set(re.findall(r"\w+", names)) <= set(webhook.__all__)
