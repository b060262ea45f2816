"""The commands that look at a running service and steer it, against the real server."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.integration.serving import COMMAND, Server, clean_environment
from tests.receiver import ThreadedReceiver
from webhook.cli.app import app


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"WEBHOOK_RETRY_SCHEDULE": "0.2,600", "WEBHOOK_JITTER": "0"}
    with Server(tmp_path_factory.mktemp("operating"), local=True, **settings) as started:
        yield started


@pytest.fixture(autouse=True)
def folder(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be in the server's folder, with no setting but where it is."""
    monkeypatch.chdir(server.folder)
    for name in [name for name in os.environ if name.startswith("WEBHOOK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WEBHOOK_URL", server.url)


@pytest.fixture
def tenant() -> str:
    return f"t-{uuid.uuid4().hex[:12]}"


def webhook(*arguments: str, code: int = 0, typed: str = "") -> str:
    """Run a command and return what it printed."""
    done = CliRunner().invoke(app, arguments, input=typed)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == code, done.output
    return done.output


def answer(*arguments: str) -> Any:
    return json.loads(webhook(*arguments, "--json"))


def failed_delivery(server: Server, tenant: str) -> tuple[str, str, str]:
    """Make a delivery that has failed; return the ids of endpoint, event and delivery."""
    with ThreadedReceiver([410]) as receiver:
        endpoint = server.add_endpoint(receiver.url, tenant=tenant)["id"]
        emitted = answer("emit", "message.sent", "--tenant", tenant)["id"]
        server.wait_for_status(emitted, "failed", tenant=tenant)
    return endpoint, emitted, answer("deliveries", "list", "--tenant", tenant)["data"][0]["id"]


def test_the_reason_stands_in_every_list(server: Server, tenant: str) -> None:
    endpoint, event, delivery = failed_delivery(server, tenant)
    of = ("--tenant", tenant)
    listed = webhook("deliveries", "list", *of)
    assert re.fullmatch(
        rf"{delivery}  \S+Z  failed  message\.sent  1x  the receiver answered 410 Gone.*\n", listed
    )
    assert webhook("deliveries", "list", *of, "--error-kind", "tls") == (
        "There is no such delivery.\n"
    )
    assert "failed  the receiver answered 410" in webhook("events", "why", event, *of)
    assert "failed  the receiver answered 410" in webhook("events", "get", event, *of)
    shown = webhook("deliveries", "get", delivery)
    assert "attempt 1" in shown
    assert "HTTP 410" in shown
    assert re.match(rf"{endpoint}  error  \*  http://127", webhook("endpoints", "list", *of))
    events = webhook("events", "list", *of, "--type", "message.sent")
    assert re.fullmatch(rf"{event}  \S+Z  message\.sent  1 delivery\n", events)


def test_json_is_what_the_service_answered(server: Server, tenant: str) -> None:
    _, event, delivery = failed_delivery(server, tenant)
    of = f"?tenant={tenant}"
    assert answer("events", "list", "--tenant", tenant) == server.get(f"/v1/events{of}&limit=50")
    assert answer("events", "get", event, "--tenant", tenant) == server.get(
        f"/v1/events/{event}{of}"
    )
    assert answer("deliveries", "get", delivery) == server.get(f"/v1/deliveries/{delivery}")
    assert answer("events", "erase", event, "--tenant", tenant, "--yes") == {}


def test_an_endpoint_is_added_tried_changed_and_removed(tenant: str) -> None:
    with ThreadedReceiver([204, 204, 500]) as receiver:
        filters = ["--filter", "lang=en", "--filter", "lang=de", "--header", "X-Key=k"]
        made = webhook(
            *("endpoints", "add", receiver.url, "--types", "message.*,order.paid"),
            *("--tenant", tenant, "--timeout-ms", "5000", *filters),
        )
        found = re.fullmatch(r"(ep_\w+)  http\S+\n(whsec_\S+)  is what .* verifies with\n", made)
        assert found
        endpoint, secret = found.groups()
        assert re.match(r"HTTP 204 in \d+ ms\n", webhook("endpoints", "test", endpoint))
        assert "HTTP 204" in webhook("endpoints", "test", endpoint)
        assert webhook("endpoints", "test", endpoint, code=1).startswith("HTTP 500")
    shown = answer("endpoints", "get", endpoint)
    assert shown["event_types"] == ["message.*", "order.paid"]
    assert (shown["filters"], shown["timeout_ms"]) == ({"lang": ["en", "de"]}, 5000)
    assert shown["header_names"] == ["X-Key"]
    edited = webhook("endpoints", "edit", endpoint, "--name", "CRM", "--clear", "filters")
    assert re.search(r"^name +CRM$", edited, re.MULTILINE)
    assert "filters" not in edited
    assert "is paused" in webhook("endpoints", "pause", endpoint)
    assert answer("endpoints", "get", endpoint)["status"] == "inactive"
    assert webhook("endpoints", "resume", endpoint) == f"{endpoint} is active.\n"
    assert webhook("endpoints", "secret", endpoint) == f"{secret}\n"
    new, old = webhook("endpoints", "rotate", endpoint, "--overlap", "2d").splitlines()
    assert old.startswith(f"{secret}  until ")
    assert new != secret
    assert "Give --yes" in webhook("endpoints", "rm", endpoint, code=2)
    assert webhook("endpoints", "rm", endpoint, "--yes") == f"{endpoint} is removed.\n"
    webhook("endpoints", "get", endpoint, code=4)


def test_why_is_right(server: Server, tenant: str) -> None:
    """One endpoint for each reason there is."""
    url = "http://127.0.0.1:9/hook"

    def make(**fields: object) -> str:
        return str(server.add_endpoint(url, **{"tenant": tenant, **fields})["id"])

    got = make()
    other_type = make(event_types=["call.*"])
    filtered = make(filters={"lang": ["en", "fr"], "plan": ["pro"]})
    paused = make(status="inactive")
    awake_now = make(status="inactive")
    removed = make()
    stranger = make(tenant=f"{tenant}-b")
    event = answer("emit", "message.sent", "1", "--tenant", tenant, "--meta", "lang=de")["id"]
    later = make()
    server.call("PATCH", f"/v1/endpoints/{awake_now}", {"active": True})
    webhook("endpoints", "rm", removed, "--yes")
    of = ("--tenant", tenant)
    told = {
        one["endpoint_id"]: (one["status"], one["reason"])
        for one in answer("events", "why", event, *of)["data"]
    }
    assert set(told) == {got, other_type, filtered, paused, awake_now, removed, later}
    assert told[got][0] == "pending"
    assert told[other_type] == ("not sent", "it wants call.*, not message.sent")
    assert told[filtered][1] == (
        "the event's metadata did not pass its filters: "
        'lang is "de", wanted "en" or "fr"; plan is missing, wanted "pro"'
    )
    assert told[paused][1] == "it is inactive, and only active ones get new events"
    assert told[awake_now][1].startswith("it matches as it is now, but ")
    assert f"--endpoint {awake_now} --missed" in told[awake_now][1]
    assert told[removed][0] == "canceled"
    assert told[removed][1].endswith("removed since")
    assert told[later][1].startswith("it was made ")
    [alone] = answer("events", "why", event, *of, "--endpoint", stranger)["data"]
    assert alone["reason"] == f"it is of tenant {tenant}-b, the event of {tenant}"
    webhook("events", "erase", event, *of, "--yes")
    assert "erased with the payload" in webhook("events", "why", event, *of)


def test_deliveries_are_replayed_and_canceled(server: Server, tenant: str) -> None:
    endpoint, _, delivery = failed_delivery(server, tenant)
    webhook("endpoints", "pause", endpoint)
    assert webhook("deliveries", "replay", delivery) == f"{delivery} is sent again\n"
    assert webhook("deliveries", "replay", delivery) == f"{delivery} was pending anyway\n"
    assert webhook("deliveries", "cancel", delivery) == f"{delivery} is canceled\n"
    assert webhook("deliveries", "cancel", delivery) == f"{delivery} had ended: canceled\n"
    webhook("deliveries", "cancel", delivery[:-1] + "!", code=4)


def test_replay_counts_first_and_follows_to_the_end(server: Server, tenant: str) -> None:
    endpoint, _, _ = failed_delivery(server, tenant)
    which = ["replay", "--endpoint", endpoint, "--since", "1h", "--failed"]
    assert webhook(*which, "--dry-run") == "Replay 1 delivery.\n"
    assert answer(*which, "--dry-run")["replayed"] == 1
    assert "Replay 1 delivery? Give --yes" in webhook(*which, code=2)
    webhook("endpoints", "pause", endpoint)
    done = webhook(*which, "--yes")
    found = re.fullmatch(r"(\S+)  done  1 replayed\n", done)
    assert found
    assert webhook(*which, "--yes") == "There is nothing to replay.\n"
    missed = answer("emit", "a.b", "1", "--tenant", tenant)
    assert missed["delivery_count"] == 0
    webhook("endpoints", "resume", endpoint)
    counted = webhook("replay", "--endpoint", endpoint, "--since", "1h", "--missed", "--dry-run")
    assert counted == "Replay 1 delivery, 1 of them missed.\n"
    listed = webhook("recoveries", "list", "--tenant", tenant)
    assert re.match(rf"{found[1]}  \S+Z  done  failed  1 replayed\n", listed)
    assert "replayed" in webhook("recoveries", "get", found[1])
    assert "had ended" in webhook("recoveries", "cancel", found[1])
    of = ("--tenant", tenant, "--status", "failed", "--since", "1h")
    assert webhook("replay", *of, "--yes") == "There is nothing to replay.\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--failed", "--since", "1h"], "--failed takes --endpoint"),
        (["--failed", "--missed"], "one of"),
        ([], "Say which"),
        (["--since", "yesterday"], "is no time"),
    ],
)
def test_a_wish_that_makes_no_sense_is_2(arguments: list[str], words: str) -> None:
    assert words in webhook("replay", *arguments, code=2)


def test_lists_go_on_where_they_ended(tenant: str) -> None:
    for number in range(3):
        webhook("emit", "a.b", str(number), "--tenant", tenant)
    first = CliRunner().invoke(app, ["events", "list", "--tenant", tenant, "--limit", "2"])
    cursor = re.fullmatch(r"There are more: --cursor (\S+)\n", first.stderr)
    assert cursor
    assert first.stdout.count("\n") == 2
    rest = webhook("events", "list", "--tenant", tenant, "--limit", "2", "--cursor", cursor[1])
    assert rest.count("\n") == 1


def test_the_audit_log_is_listed(tenant: str) -> None:
    endpoint = answer("endpoints", "add", "http://127.0.0.1:9", "--tenant", tenant)["id"]
    listed = webhook("audit", "--tenant", tenant, "--since", "1h")
    assert re.match(rf"aud_\w+  \S+Z  \S+ +endpoint\.create +{endpoint}", listed)


def test_tail_prints_what_changes_and_ends_with_ctrl_c(server: Server, tenant: str) -> None:
    with ThreadedReceiver([204]) as receiver:
        server.add_endpoint(receiver.url, tenant=tenant)
        with subprocess.Popen(
            [*COMMAND, "deliveries", "tail", "--tenant", tenant, "--since", "1h"],
            cwd=server.folder,
            env=clean_environment(WEBHOOK_URL=server.url),
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            webhook("emit", "message.sent", "--tenant", tenant)
            assert process.stdout is not None
            assert re.match(
                r"\d\d:\d\d:\d\d  message\.sent  success   in \d+ ms, attempt 1$",
                process.stdout.readline(),
            )
            assert re.fullmatch(r"  dlv_\w+\n", process.stdout.readline())
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0


def test_what_is_pending_says_when_it_is_tried_next(server: Server, tenant: str) -> None:
    with ThreadedReceiver([503]) as receiver:
        server.add_endpoint(receiver.url, tenant=tenant)
        webhook("emit", "message.sent", "--tenant", tenant, "--ordering-key", "a")
        receiver.wait(2)
        server.wait_for_attempts(tenant, 2)
        listed = webhook("deliveries", "list", "--tenant", tenant)
    assert re.search(r"pending +message\.sent  2x  HTTP 503.*; next attempt at \d\d:", listed)
