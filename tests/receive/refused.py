"""Requests that no receiver takes, and the name of the error that says why."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from webhook.receive.testing import WebhookSender

EVENT = {"type": "message.sent", "data": {"text": "Zoë ✓ + & %"}, "metadata": {"lang": "de"}}

Request = tuple[bytes, dict[str, str]]


def touched(sender: WebhookSender) -> Request:
    body, headers = sender.sign(EVENT)
    return body.replace(b"Z", b"z", 1), headers


def stale(sender: WebhookSender) -> Request:
    return sender.sign(EVENT, timestamp=time.time() - 310)


def from_the_future(sender: WebhookSender) -> Request:
    return sender.sign(EVENT, timestamp=time.time() + 310)


def written_again(sender: WebhookSender) -> Request:
    body, headers = sender.sign(EVENT)
    return json.dumps(json.loads(body)).encode(), headers


def by_a_stranger(_: WebhookSender) -> Request:
    return WebhookSender().sign(EVENT)


def without(header: str) -> Callable[[WebhookSender], Request]:
    def request(sender: WebhookSender) -> Request:
        body, headers = sender.sign(EVENT)
        del headers[header]
        return body, headers

    request.__name__ = f"without_{header}"
    return request


def with_a_timestamp_that_is_none(sender: WebhookSender) -> Request:
    body, headers = sender.sign(EVENT)
    return body, {**headers, "webhook-timestamp": headers["webhook-timestamp"] + ".0"}


def with_junk_in_the_signature(sender: WebhookSender) -> Request:
    body, headers = sender.sign(EVENT)
    signature = headers["webhook-signature"]
    return body, {**headers, "webhook-signature": f"{signature[:9]}!{signature[9:]}"}


def under_another_id(sender: WebhookSender) -> Request:
    body, headers = sender.sign(EVENT)
    return body, {**headers, "webhook-id": "evt_other"}


def empty(_: WebhookSender) -> Request:
    return b"", {"content-type": "application/json"}


REFUSED: dict[Callable[[WebhookSender], Request], str] = {
    touched: "NoMatch",
    written_again: "NoMatch",
    by_a_stranger: "NoMatch",
    under_another_id: "NoMatch",
    with_junk_in_the_signature: "NoMatch",
    stale: "Expired",
    from_the_future: "Expired",
    with_a_timestamp_that_is_none: "BadTimestamp",
    without("webhook-id"): "MissingHeader",
    without("webhook-timestamp"): "MissingHeader",
    without("webhook-signature"): "MissingHeader",
    empty: "MissingHeader",
}
