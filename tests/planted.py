"""Secrets that are planted into a service, a run that uses what it offers, and a search."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, NamedTuple
from urllib.parse import quote

from tests.api.wire import exchange

# What each is made of stands nowhere else.
TOKEN = "planted-token-Vq8zR1xKc3"
HEADER = "planted-header-Jw7tPd92Lm"
HEADER_CHANGED = "planted-changed-Ty4nBs61Qk"
PATH = "planted-path-Zc5vGh38Xr"
QUERY = "planted-query-Nf2kMj74Dw"
FURTHER_PATH = "planted-further-Hb9wLs36Tq"
DATABASE_PASSWORD = "planted-password-Km3xFq85Zu"
ENCRYPTION_KEY = b"planted-encryption-key-32-bytes!"
SECRET = b"planted-signing-secret-Rb6yHe"
SECRET_ROTATED = b"planted-rotated-secret-Ug9pAs"
# The Ed25519 key whose seed this is.
SEED = b"planted-ed25519-seed-of-32-bytes"
SEED_PUBLIC = bytes.fromhex("57e4d7b993bfdb7012c44fa98192006d3554f0007d1fc9c5fbcc1faf5909a301")

# Any, since it is JSON.
type Call = Callable[[str, str, Any], tuple[int, str]]
type Ask = Callable[..., Any]


def forms(secret: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield in which forms a secret may stand somewhere, each with its name."""
    yield "raw", secret
    yield "hex", secret.hex().encode()
    yield "HEX", secret.hex().upper().encode()
    yield "escaped", quote(secret).encode()
    for shift in range(3):
        # What surrounds it decides about the first and the last letters.
        encoded = base64.b64encode(b"\0" * shift + secret)
        inner = encoded[(0, 2, 3)[shift] : len(secret) * 4 // 3 - 4]
        yield f"base64, {shift} on", inner
        yield f"base64url, {shift} on", inner.replace(b"+", b"-").replace(b"/", b"_")


def searched(data: bytes, **planted: str | bytes) -> list[str]:
    """Return which of the planted secrets stand in ``data``, and in which form."""
    return [
        f"{name}: {form}"
        for name, secret in planted.items()
        for form, text in forms(secret.encode() if isinstance(secret, str) else secret)
        if text in data
    ]


SIGNING: dict[str, str | bytes] = {"secret": SECRET, "secret_rotated": SECRET_ROTATED}
NEVER_SHOWN: dict[str, str | bytes] = {
    "token": TOKEN,
    "header": HEADER,
    "header_changed": HEADER_CHANGED,
    "encryption_key": ENCRYPTION_KEY,
    "database_password": DATABASE_PASSWORD,
    "seed": SEED,
}
ALL = {**SIGNING, **NEVER_SHOWN}
URLS: dict[str, str | bytes] = {"path": PATH, "query": QUERY, "further_path": FURTHER_PATH}


class Answer(NamedTuple):
    """What was asked and answered; ``shows`` tells the answers that are there to show secrets."""

    request: str
    status: int
    text: str
    shows: bool


def written(secret: bytes, prefix: str = "whsec_") -> str:
    """Return a secret as one writes it."""
    return prefix + base64.b64encode(secret).decode()


def exercise(call: Call, good: str, bad: str) -> list[Answer]:
    """Use what the API offers with planted secrets; ``good`` and ``bad`` are receivers' addresses.

    Returns every answer.
    """
    answers: list[Answer] = []
    private_key = written(SEED + SEED_PUBLIC, "whsk_")

    def ask(method: str, path: str, body: object = None, *, shows: bool = False) -> Any:
        status, text = call(method, path, body)
        answers.append(Answer(f"{method} {path}", status, text, shows))
        return json.loads(text) if text.startswith("{") else text

    def made(url: str, **fields: object) -> str:
        given = {
            "url": f"{url}/{PATH}?key={QUERY}",
            "event_types": ["*"],
            "headers": {"x-api-key": HEADER, "Authorization": f"Bearer {HEADER}"},
            **fields,
        }
        return str(ask("POST", "/v1/endpoints", given, shows=True)["id"])

    one = made(good, secret=written(SECRET))
    two = made(bad, secret=written(SECRET), retry={"schedule_s": [0.1]})
    asymmetric = made(good, secret=private_key)
    several = made(bad, failover={"urls": [f"{good}/{FURTHER_PATH}"]})
    ask("POST", "/v1/endpoints/batch", {"endpoints": [
        {"url": f"{good}/{PATH}", "event_types": ["a.b"], "headers": {"x-k": HEADER}},
    ]}, shows=True)  # fmt: skip
    ask("PATCH", f"/v1/endpoints/{one}", {"headers": {"x-api-key": HEADER_CHANGED}})
    for endpoint in (one, two, asymmetric, several):
        ask("GET", f"/v1/endpoints/{endpoint}")
        ask("POST", f"/v1/endpoints/{endpoint}/probe")
        ask("POST", f"/v1/endpoints/{endpoint}/secret", shows=True)
    rotation = {"secret": written(SECRET_ROTATED), "overlap_s": 3600}
    ask("POST", f"/v1/endpoints/{one}/secret/rotate", rotation, shows=True)
    events = [
        ask("POST", "/v1/events", {"type": "message.sent", "data": {"n": n}}) for n in range(3)
    ]
    ask("POST", "/v1/events", {"events": [{"type": "a.b", "data": 1, "idempotency_key": "k"}]})
    ask("POST", "/v1/sending/pause")
    ask("POST", "/v1/events", {"type": "message.sent", "data": "waits"})
    ask("POST", "/v1/sending/resume")
    found: list[Any] = []
    while not found or any(delivery["status"] == "pending" for delivery in found):
        found = ask("GET", f"/v1/events/{events[0]['id']}/deliveries")["data"]
    for delivery in found:
        ask("GET", f"/v1/deliveries/{delivery['id']}")
        ask("POST", f"/v1/deliveries/{delivery['id']}/replay")
        ask("POST", f"/v1/deliveries/{delivery['id']}/cancel")
    since = {"since": "2020-01-01T00:00:00Z", "which": "all"}
    ask("POST", f"/v1/endpoints/{two}/recover", since)
    for path in ("/v1/endpoints", "/v1/events", "/v1/deliveries", "/v1/recoveries", "/v1/sending"):
        ask("GET", path)
    for path in ("/openapi.json", "/docs", "/health"):
        ask("GET", path)
    _mistakes(ask, one)
    ask("DELETE", f"/v1/endpoints/{two}")
    return answers


def _mistakes(ask: Ask, endpoint: str) -> None:
    """Ask wrongly, with secrets in all the wrong places."""
    given = {"url": "https://example.com/", "event_types": ["*"]}
    numbers = count()
    for wrong in (
        {"secret": written(SECRET)[:-3] + "!"},
        {"secret": written(SEED, "whsk_")},
        {"secret": f"v1,{written(SECRET)}"},
        {"secret": {"value": written(SECRET)}},
        {"headers": {"x-key": f"{HEADER}\n"}},
        {"headers": {"host": HEADER}},
        {"headers": {"x-key": [HEADER]}},
        {"headers": [HEADER]},
        {"secret": written(SECRET), "signature": "v1a"},
    ):
        ask("POST", "/v1/endpoints", {**given, **wrong, "external_id": f"wrong-{next(numbers)}"})
    ask("PATCH", f"/v1/endpoints/{endpoint}", {"headers": {"x-key": f"\0{HEADER}"}})
    further = {"urls": [f"ftp://a.example/{FURTHER_PATH}"]}
    refused = ask("PATCH", f"/v1/endpoints/{endpoint}", {"failover": further})
    assert searched(json.dumps(refused).encode(), **URLS) == []
    rotate = f"/v1/endpoints/{endpoint}/secret/rotate"
    ask("POST", rotate, {"secret": written(SECRET_ROTATED)})
    ask("POST", rotate, {"secret": written(SECRET), "overlap_s": -1})
    ask("GET", f"/v1/endpoints/{HEADER[:8]}")
    # A token that is nearly right, and one of another kind.
    for authorization in (f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN):
        ask("GET", "/v1/events", authorization)


def caller(base_url: str) -> Call:
    """Return what calls the API of a service whose token is the planted one.

    A body that is no object is the authorization to send instead.
    """

    def call(method: str, path: str, body: Any) -> tuple[int, str]:
        authorization = body if isinstance(body, str) else f"Bearer {TOKEN}"
        headers = {"authorization": authorization, "content-type": "application/json"}
        sent = json.dumps(body).encode() if isinstance(body, dict) else b""
        answered = exchange(base_url, method, path, headers, sent)
        return answered.status, answered.body.decode()

    return call


def check(answers: list[Answer]) -> None:
    """See that of all answers those that are there to show secrets did so, and only of secrets."""
    for answer in answers:
        hidden = NEVER_SHOWN if answer.shows else ALL
        assert searched(answer.text.encode(), **hidden) == [], answer.request
    shown = [answer for answer in answers if searched(answer.text.encode(), **ALL)]
    assert len(shown) >= 4
    assert {answer.status // 100 for answer in answers} == {2, 4}
    assert [answer for answer in answers if answer.status >= 500] == []


def ids(page: str) -> list[str]:
    """Return the ids of a list's first page."""
    return [one["id"] for one in json.loads(page)["data"]]
