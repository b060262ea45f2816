"""What tests of receivers are given: signed requests, a sender, and a pytest fixture."""

from __future__ import annotations

import datetime as dt
import json
import time
from pathlib import Path

import pytest
import standardwebhooks

from tests.receiver import Answer, ThreadedReceiver
from webhook.receive import Verifier
from webhook.receive.errors import BadHeader
from webhook.receive.testing import WebhookSender, make_secret, post, signed_request

pytest_plugins = ["pytester"]

PRIVATE = (
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
)
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="


def test_a_signed_request_is_what_the_service_sends() -> None:
    secret = make_secret()
    event = {"type": "message.sent", "data": {"text": "✓"}}
    body, headers = signed_request(secret, event, id="evt_1", timestamp=1_795_530_233.9)
    assert json.loads(body) == {
        "id": "evt_1",
        "type": "message.sent",
        "timestamp": "2026-11-24T14:23:53Z",
        "data": {"text": "✓"},
        "metadata": {},
        "version": "1",
    }
    assert list(json.loads(body)) == ["id", "type", "timestamp", "data", "metadata", "version"]
    found = Verifier(secret, clock=lambda: 1_795_530_233).unwrap(body, headers)
    assert (found.id, found.data) == ("evt_1", {"text": "✓"})
    assert found.timestamp == dt.datetime.fromtimestamp(1_795_530_233, dt.UTC)


def test_other_libraries_verify_it() -> None:
    secret = make_secret()
    body, headers = signed_request(secret, {"type": "a"})
    standardwebhooks.Webhook(secret).verify(body, headers)


def test_it_signs_with_a_private_key_too() -> None:
    body, headers = signed_request(PRIVATE, {"type": "a"})
    assert headers["webhook-signature"].startswith("v1a,")
    assert Verifier(PUBLIC).verify(body, headers).key_index == 0


def test_what_is_given_stays_and_ids_are_new() -> None:
    event = {"id": "evt_own", "type": "a", "timestamp": "2020-01-01T00:00:00Z", "more": 1}
    body, headers = signed_request(make_secret(), event)
    assert headers["webhook-id"] == "evt_own"
    assert json.loads(body) | event == json.loads(body)
    ids = {signed_request(make_secret(), {"type": "a"})[1]["webhook-id"] for _ in range(5)}
    assert len(ids) == 5
    assert signed_request(make_secret(), b"\xff")[0] == b"\xff"


def test_what_cannot_be_signed_says_so() -> None:
    with pytest.raises(ValueError, match="a secret is whsec_"):
        signed_request("whsec_%", {"type": "a"})
    with pytest.raises(BadHeader, match="dot"):
        signed_request(make_secret(), {"type": "a"}, id="a.b")
    with pytest.raises(KeyError, match="type"):
        signed_request(make_secret(), {"data": {}})


def test_a_sender_sends_and_says_what_was_answered() -> None:
    moved = Answer(302, headers=[("location", "http://127.0.0.1:1/")])
    with ThreadedReceiver([204, 503, moved]) as receiver:
        sender = WebhookSender()
        assert sender.send(receiver.url, {"type": "a"}, id="evt_1") == 204
        assert post(receiver.url, *sender.sign({"type": "a"})) == 503
        assert post(receiver.url, b"", {}) == 302
        first = receiver.requests[0]
    assert Verifier(sender.secret).unwrap(first.body, first.headers).id == "evt_1"
    assert abs(int(first.headers["webhook-timestamp"]) - time.time()) < 60


def test_the_fixture_puts_its_secret_where_from_env_finds_it(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["webhook.receive.pytest_plugin"]')
    pytester.makepyfile(
        """
        from webhook.receive import Receiver, from_env

        def test_it(webhook_sender):
            receiver = Receiver(from_env())
            got = []
            receiver.on("message.sent")(got.append)
            body, headers = webhook_sender.sign({"type": "message.sent", "data": {"text": "hi"}})
            assert receiver.answer_sync(body, headers) == 204
            assert got[0].data == {"text": "hi"}
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)


def test_without_being_asked_for_the_fixture_is_not_there(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(webhook_sender): pass")
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(errors=1)


def test_the_plugin_is_the_one_that_is_documented() -> None:
    text = Path(make_secret.__code__.co_filename).read_text("utf-8")
    assert 'pytest_plugins = ["webhook.receive.pytest_plugin"]' in text
