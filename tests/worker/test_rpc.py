"""Another Worker calls ours over a service binding, as an edge app would."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.receiver import ThreadedReceiver
from tests.worker.conftest import scratch_folder
from tests.worker.harness import LOCAL, TOKEN, Api, project, until
from tools.dev_worker import DevWorker
from tools.toolchain import DEVELOPMENT_FLAGS

CALLER = """
name = "caller"
main = "caller.js"
compatibility_date = "2026-09-08"

[[services]]
binding = "WEBHOOK"
service = "webhook"
entrypoint = "Rpc"

[[services]]
binding = "ACME"
service = "webhook"
entrypoint = "Rpc"
props = { tenant = "acme", scopes = ["emit", "read"] }

[[services]]
binding = "READER"
service = "webhook"
entrypoint = "Rpc"
props = { scopes = ["read"] }

[[services]]
binding = "EMITTER"
service = "webhook"
entrypoint = "Rpc"
props = { scopes = ["emit"] }

[[services]]
binding = "GREEDY"
service = "webhook"
entrypoint = "Rpc"
props = { scopes = ["read", "secrets", "admin", "root"] }

[[services]]
binding = "DEFAULT"
service = "webhook"
"""
ABSENT = re.compile(r"does not exist|does not implement")
EVENT = {"type": "message.sent", "data": {"text": "hi"}}


class Pair(DevWorker):
    """Our Worker and one that calls it; the caller answers HTTP."""

    def __init__(self, folder: Path) -> None:
        config = project(folder, _for_development)
        (folder / "caller").mkdir()
        (folder / "caller" / "wrangler.toml").write_text(CALLER, "utf-8")
        caller = Path(__file__).with_name("rpc_caller.js").read_text("utf-8")
        (folder / "caller" / "caller.js").write_text(caller, "utf-8")
        super().__init__(state_dir=folder / "state", config=config, ready_path="/no-json")

    def _arguments(self) -> list[str]:
        arguments = super()._arguments()
        # Flags of the command line would be those of both; the first configuration gets HTTP.
        del arguments[arguments.index("--compatibility-flags") :]
        caller = self.config.parent / "caller" / "wrangler.toml"
        return [arguments[0], "--config", str(caller), *arguments[1:]]


def _for_development(text: str) -> str:
    """Put into a configuration what the command line would say of both Workers, or of one."""
    flags = json.dumps(["global_fetch_strictly_public", *DEVELOPMENT_FLAGS])
    lines = [
        f"compatibility_flags = {flags}" if line.startswith("compatibility_flags") else line
        for line in text.splitlines()
    ]
    settings = [f"{name} = {json.dumps(value)}" for name, value in LOCAL.items()]
    return "\n".join([*lines, "[vars]", *settings, ""])


class Caller:
    """Calls a method over one of the bindings."""

    def __init__(self, worker: DevWorker, binding: str = "WEBHOOK") -> None:
        self._api = Api(worker, token=None)
        self._binding = binding

    def call(self, method: str, *args: Any) -> dict[str, Any]:
        job = {"binding": self._binding, "method": method, "args": args}
        reply = self._api.post("/", job)
        assert reply.status == 200, reply.text
        answer: dict[str, Any] = reply.json
        return answer

    def value(self, method: str, *args: Any) -> Any:
        answer = self.call(method, *args)
        assert "error" not in answer, answer
        return answer["value"]

    def success(self, event_id: str) -> Any:
        """Return the delivery of an event if it has ended well."""
        page = self.value("list_deliveries", {"event_id": event_id, "status": "success"})
        return page["data"][0] if page["data"] else None

    def serve(self, url: str, **options: Any) -> None:
        """Make an endpoint; no binding can, so it is done over ours that reaches HTTP."""
        given = {"url": url, "event_types": ["*"], **options}
        job = {"binding": "DEFAULT", "fetch": "/v1/endpoints", "body": given, "token": TOKEN}
        reply = self._api.post("/", job)
        assert reply.status == 201, reply.text

    def error(self, method: str, *args: Any) -> str:
        answer = self.call(method, *args)
        assert "error" in answer, answer
        for text in answer["error"].values():
            assert "Traceback" not in text, text
            assert ".py" not in text, text
        return str(answer["error"]["message"])


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with scratch_folder() as folder, Pair(folder) as running:
        yield running


@pytest.fixture
def caller(pair: Pair) -> Caller:
    return Caller(pair)


def test_an_event_is_emitted_and_sent_at_once_and_can_be_looked_at(caller: Caller) -> None:
    with ThreadedReceiver() as receiver:
        caller.serve(receiver.url)
        accepted = caller.value("emit", EVENT | {"id": "order:7"})
        assert accepted == {
            "id": "order:7",
            "type": "message.sent",
            "tenant": "default",
            "delivery_count": 1,
            "duplicate": False,
        }
        receiver.wait(1)
        event = caller.value("get_event", "order:7")
        assert (event["id"], event["data"]) == ("order:7", EVENT["data"])
        delivery = until(lambda: caller.success("order:7"))
        shown = caller.value("get_delivery", delivery["id"])
        assert [attempt["status_code"] for attempt in shown["attempts"]] == [200]


def test_a_batch_is_accepted_as_a_whole_or_not_at_all(caller: Caller) -> None:
    accepted = caller.value("emit_many", [EVENT, EVENT])
    assert len({one["id"] for one in accepted}) == 2
    message = caller.error("emit_many", [EVENT | {"id": "never"}, EVENT | {"type": "Bad"}])
    assert "/events/1/type: " in message
    assert "no event 'never'" in caller.error("get_event", "never")


def test_events_of_one_ordering_key_are_sent_one_after_the_other(caller: Caller) -> None:
    with ThreadedReceiver([200, 503, 200]) as receiver:
        caller.serve(receiver.url)
        line = [{"type": "message.sent", "data": n, "ordering_key": "line"} for n in range(8)]
        accepted = caller.value("emit_many", line[:6]) + caller.value("emit_many", line[6:])
        # One of them fails at first, and those behind it wait for its retry.
        receiver.wait(9, 60)
        assert [body["data"] for body in receiver.bodies()] == [0, 1, *range(1, 8)]
        assert caller.value("get_event", accepted[0]["id"])["ordering_key"] == "line"


def test_a_date_of_javascript_is_a_timestamp(caller: Caller) -> None:
    accepted = caller.value("emit", EVENT | {"timestamp": {"$date": 1_767_225_600_000}})
    event = caller.value("get_event", accepted["id"])
    assert event["timestamp"] == "2026-01-01T00:00:00.000Z"


def test_lists_take_the_parameters_of_the_api(caller: Caller) -> None:
    for number in range(3):
        caller.value("emit", EVENT | {"id": f"listed-{number}"})
    page = caller.value("list_deliveries", {"event_id": "listed-1", "status": None})
    assert {one["event_id"] for one in page["data"]} <= {"listed-1"}
    caller.serve("http://127.0.0.1:9/")
    assert caller.value("list_endpoints", {"limit": 1})["data"][0]["tenant"] == "default"
    assert "next_cursor" in caller.value("list_deliveries")


def test_no_secret_and_no_header_crosses(caller: Caller) -> None:
    caller.serve("http://127.0.0.1:9/", headers={"x-key": "hidden"})
    page = json.dumps(caller.value("list_endpoints"))
    assert "whsec_" not in page
    assert "hidden" not in page


@pytest.mark.parametrize(
    ("method", "args", "words"),
    [
        ("emit", [{"type": "Bad", "data": 1}], "/type: "),
        ("emit", [{"type": "message.sent"}], "/data: Is required"),
        ("emit", [EVENT | {"typ": 1}], "/typ: Is unknown"),
        ("emit", [EVENT | {"id": "a.b"}], "/id: "),
        ("emit", [EVENT | {"ordering_key": "a b"}], "/ordering_key: "),
        ("emit", [None], "Must be an object, not null"),
        ("emit", [], "Must be an object, not null"),
        ("emit", ["text"], "Must be an object, not a string"),
        ("emit_many", [None], "takes an array"),
        ("emit_many", [{"events": []}], "takes an array"),
        ("emit_many", [[]], "/events: "),
        ("emit_many", [[EVENT, 5]], "/events/1: Must be an object"),
        ("get_event", ["a.b"], "no event 'a.b'"),
        ("get_event", ["x/deliveries"], "no event"),
        ("get_event", [5], "no event '5'"),
        ("get_event", [], "no event"),
        ("get_delivery", ["dlv_x"], "no delivery 'dlv_x'"),
        ("list_deliveries", [{"limit": 0}], "?limit: Must be 1 to 250"),
        ("list_deliveries", [{"limits": 1}], "?limits: "),
        ("list_deliveries", [7], "an object of parameters"),
        ("list_endpoints", [{"cursor": "abc"}], "?cursor: "),
    ],
)
def test_what_is_wrong_is_said_and_no_traceback_shown(
    caller: Caller, method: str, args: list[Any], words: str
) -> None:
    assert words in caller.error(method, *args)


def test_a_binding_is_confined_to_its_tenant(pair: Pair, caller: Caller) -> None:
    acme = Caller(pair, "ACME")
    accepted = acme.value("emit", EVENT | {"id": "of-acme"})
    assert accepted["tenant"] == "acme"
    assert acme.value("emit", EVENT | {"id": "of-acme", "tenant": "acme"})["duplicate"]
    assert acme.value("get_event", "of-acme")["tenant"] == "acme"
    for other in (caller, acme):
        foreign = {"tenant": "elsewhere"}
        assert "/tenant: " in other.error("emit", EVENT | foreign)
        assert "/tenant: " in other.error("emit_many", [EVENT, EVENT | foreign])
        assert "?tenant: " in other.error("list_deliveries", foreign)
        assert "?tenant: " in other.error("list_endpoints", foreign)
    assert "no event 'of-acme'" in caller.error("get_event", "of-acme")
    assert acme.value("list_endpoints")["data"] == []


def test_a_foreign_delivery_is_not_found(pair: Pair, caller: Caller) -> None:
    with ThreadedReceiver() as receiver:
        caller.serve(receiver.url)
        caller.value("emit", EVENT | {"id": "foreign"})
        delivery = until(lambda: caller.success("foreign"))
    assert "no delivery" in Caller(pair, "ACME").error("get_delivery", delivery["id"])


def test_a_binding_without_the_scope_is_refused(pair: Pair) -> None:
    reader, emitter = Caller(pair, "READER"), Caller(pair, "EMITTER")
    for method, argument in (("emit", EVENT), ("emit_many", [EVENT])):
        assert "scope emit" in reader.error(method, argument)
        emitter.value(method, argument)
    for method in ("list_deliveries", "list_endpoints"):
        assert "scope read" in emitter.error(method)
        reader.value(method)
    assert "scope read" in emitter.error("get_event", "x")
    assert "scope read" in emitter.error("get_delivery", "x")


def test_no_props_make_a_binding_an_admin_or_let_it_read_secrets(pair: Pair) -> None:
    greedy = Caller(pair, "GREEDY")
    assert "scope emit" in greedy.error("emit", EVENT)
    greedy.value("list_endpoints")


def test_the_entrypoints_answer_to_exactly_these_names(pair: Pair) -> None:
    names = {"emit", "emit_many", "get_event", "get_delivery", "list_deliveries", "list_endpoints"}
    for name in ("add_endpoint", "service", "_own", "env", "ctx", "call", "probe", *names):
        message = str(Caller(pair).call(name).get("error", {}).get("message"))
        assert bool(ABSENT.search(message)) == (name not in names), (name, message)
        # Without an entrypoint a binding reaches what HTTP reaches, and none of these.
        message = str(Caller(pair, "DEFAULT").call(name)["error"]["message"])
        assert ABSENT.search(message), (name, message)
