"""Every framework's glue, in that framework's real server, over real connections."""

from __future__ import annotations

import contextlib
import http.client
import logging
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager

import pytest

from tests.receive.apps import APPS, Handler
from tests.receive.refused import EVENT, REFUSED, Request
from webhook.receive.body import BODY_BYTES_MAX
from webhook.receive.testing import WebhookSender, post

VERIFIES_ONLY = ["starlette", "fastapi", "flask", "django", "django-async", "aiohttp"]
STYLES = [f"{name}/signed" for name in VERIFIES_ONLY] + [f"{name}/receiver" for name in APPS]
RAISES_ITS_OWN = {"starlette/signed", "aiohttp/signed"}


class Served:
    """An application that runs: its handler, and the address of one of its routes."""

    def __init__(self, handler: Handler, url: str, style: str) -> None:
        self.handler, self.sender, self.url, self.style = handler, handler.sender, url, style

    def post(self, body: bytes, headers: Mapping[str, str]) -> int:
        return post(self.url, body, headers)


@pytest.fixture(scope="module")
def running() -> Iterator[Callable[[str], tuple[Handler, str]]]:
    """Start each application once, when it is first asked for."""
    found: dict[str, tuple[Handler, str]] = {}
    open_apps: list[tuple[str, AbstractContextManager[str]]] = []

    def run(name: str) -> tuple[Handler, str]:
        if name not in found:
            handler = Handler()
            app = APPS[name](handler)
            # The two of Django share its routes, and so they never run at once.
            if name.startswith("django"):
                for other in [each for each in open_apps if each[0].startswith("django")]:
                    other[1].__exit__(None, None, None)
                    open_apps.remove(other)
                    del found[other[0]]
            found[name] = handler, app.__enter__()
            open_apps.append((name, app))
        return found[name]

    yield run
    for _, app in open_apps:
        app.__exit__(None, None, None)


@pytest.fixture(params=STYLES)
def served(request: pytest.FixtureRequest, running: Callable[[str], tuple[Handler, str]]) -> Served:
    name, _, route = request.param.partition("/")
    handler, url = running(name)
    handler.handled.clear()
    handler.calls.clear()
    return Served(handler, f"{url}/{route}", request.param)


def test_an_event_arrives_as_it_was_sent(served: Served) -> None:
    assert served.post(*served.sender.sign(EVENT, id="evt_arrives")) == 204
    [event] = served.handler.handled
    assert (event.id, event.type, event.data) == ("evt_arrives", "message.sent", EVENT["data"])
    assert event.metadata == {"lang": "de"}


def test_an_event_arrives_with_the_headers_of_svix(served: Served) -> None:
    body, headers = served.sender.sign(EVENT)
    renamed = {name.replace("webhook-", "svix-"): value for name, value in headers.items()}
    assert served.post(body, renamed) == 204
    assert len(served.handler.handled) == 1


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "a/b"]
)
def test_no_framework_touches_the_body_first(served: Served, content_type: str) -> None:
    body, headers = served.sender.sign(EVENT)
    assert served.post(body, {**headers, "content-type": content_type}) == 204
    assert len(served.handler.handled) == 1


def test_a_handler_that_raises_gets_its_retry(served: Served) -> None:
    event = {"type": "message.sent", "data": {"fail": 1}}
    body, headers = served.sender.sign(event, id="evt_raises")
    assert served.post(body, headers) == 500
    assert served.handler.handled == []
    again, headers = served.sender.sign(body, id="evt_raises", timestamp=time.time() + 5)
    assert served.post(again, headers) == 204
    assert [each.id for each in served.handler.handled] == ["evt_raises"]


def test_a_receiver_handles_an_event_once(served: Served) -> None:
    body, headers = served.sender.sign(EVENT, id="evt_once")
    assert [served.post(body, headers) for _ in range(3)] == [204] * 3
    expected = 1 if served.style.endswith("/receiver") else 3
    assert served.handler.calls["evt_once"] == expected


# The servers of the standard library and of Django know no chunks.
@pytest.mark.parametrize(
    "served", [s for s in STYLES if not s.startswith(("wsgi/", "django/"))], indirect=True
)
def test_a_body_may_come_in_chunks(served: Served) -> None:
    body, headers = served.sender.sign(EVENT)
    where = urllib.parse.urlsplit(served.url)
    connection = http.client.HTTPConnection(where.netloc, timeout=30)
    with contextlib.closing(connection):
        chunks = iter([body[:5], body[5:40], body[40:]])
        connection.request("POST", where.path, chunks, headers, encode_chunked=True)
        assert connection.getresponse().status == 204
    assert len(served.handler.handled) == 1


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
def test_what_is_not_the_senders_is_refused_without_a_reason(
    served: Served,
    make: Callable[[WebhookSender], Request],
    caplog: pytest.LogCaptureFixture,
) -> None:
    body, headers = make(served.sender)
    request = urllib.request.Request(served.url, body, headers, method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)
    with caught.value as answer:
        assert answer.code == 400
        # Nothing, or what the framework says of any 400.
        assert answer.read() in {
            b"",
            b"Bad Request",
            b'{"detail":"Bad Request"}',
            b"400: Bad Request",
        }
    assert served.handler.calls == {}
    [logged] = [each for each in caplog.records if each.name == "webhook.receive"]
    assert logged.levelno == logging.WARNING
    assert logged.getMessage().startswith(f"refused a webhook: {REFUSED[make]}: ")


def test_what_is_signed_and_no_event_is_refused(served: Served) -> None:
    assert served.post(*served.sender.sign(b"hello")) == 400
    assert served.handler.calls == {}


@pytest.mark.parametrize("served", [s for s in STYLES if s not in RAISES_ITS_OWN], indirect=True)
def test_a_handler_that_wants_no_more_answers_410(served: Served) -> None:
    event = {"type": "message.sent", "data": {"gone": True}}
    assert served.post(*served.sender.sign(event)) == 410


def test_only_a_post_is_answered(served: Served) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(served.url, timeout=30)
    with caught.value as answer:
        assert answer.code == 405
        assert answer.headers["allow"].replace(", OPTIONS", "").replace("OPTIONS, ", "") == "POST"


def test_a_body_that_no_webhook_has_is_refused(served: Served) -> None:
    body, headers = served.sender.sign(b" " * (BODY_BYTES_MAX + 1))
    try:
        assert served.post(body, headers) == 413
    except OSError:
        # It hangs up on what it has not read, sometimes before the client has read the answer.
        assert served.style == "wsgi/receiver"
    assert served.handler.calls == {}
