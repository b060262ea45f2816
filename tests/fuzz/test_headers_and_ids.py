"""No header, secret, id or cursor breaks what reads it."""

from __future__ import annotations

import base64
import hmac

from hypothesis import assume, given
from hypothesis import strategies as st

from tests.fuzz.bounds import bounded
from webhook.api.query import ListQuery, after_of, next_cursor
from webhook.domain.errors import InvalidInput
from webhook.domain.headers import name_problem
from webhook.domain.ids import KEY_CHARS, DeliveryRef, event_key, is_endpoint_id, parse_delivery_id
from webhook.domain.retry import RETRY_AFTER_MAX_MS, retry_after_ms
from webhook.domain.secret import key_pair, public_key, secret_bytes, version_of
from webhook.receive import VerificationError, Verifier

NOW_S = 1_795_000_000
KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
VERIFIER = Verifier(SECRET, clock=lambda: NOW_S)
WORDS = st.sampled_from(
    [
        "v1", "v1a", "v2", ",", " ", "  ", "=", "==", "whsec_", "whpk_", "whsk_", "A" * 43 + "=",
        ".", "_", "-", "+", "/", "\uff11", "\n", "\0", "\ud800", "1e99", "inf", "nan", "GMT",
        "Fri, 31 Dec 2099", "23:59:59", "+9999", "9" * 30, "evt_", "ep_", "dlv_", "0" * KEY_CHARS,
        "z" * KEY_CHARS,
    ]
)  # fmt: skip
TEXTS = st.text(max_size=80) | st.lists(WORDS | st.text(max_size=4), max_size=8).map("".join)


def signature(message_id: str, timestamp: str, body: bytes) -> str:
    signed = message_id.encode() + b"." + timestamp.encode() + b"." + body
    return "v1," + base64.b64encode(hmac.digest(KEY, signed, "sha256")).decode()


def is_verified(body: bytes, message_id: str, timestamp: str, signed: str) -> bool:
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": signed,
    }
    try:
        VERIFIER.verify(body, headers)
    except VerificationError:
        return False
    return True


@bounded
@given(st.binary(max_size=100), TEXTS, TEXTS, TEXTS)
def test_no_headers_break_the_verifier_and_none_pass(
    body: bytes, message_id: str, timestamp: str, signed: str
) -> None:
    assert not is_verified(body, message_id, timestamp, signed)
    assert not is_verified(body, message_id, str(NOW_S), signed)


@bounded
@given(st.binary(max_size=50), st.from_regex(r"[A-Za-z0-9_:-]{1,40}", fullmatch=True), st.data())
def test_a_good_signature_passes_and_any_other_letter_does_not(
    body: bytes, message_id: str, data: st.DataObject
) -> None:
    good = signature(message_id, str(NOW_S), body)
    assert is_verified(body, message_id, str(NOW_S), good)
    at = data.draw(st.integers(0, len(good) - 1))
    other = good[:at] + data.draw(st.characters()) + good[at + 1 :]
    assume(other != good)
    assert not is_verified(body, message_id, str(NOW_S), other)
    assert is_verified(body, message_id, str(NOW_S), f"{other.replace(' ', '')} {good}")


@bounded
@given(TEXTS)
def test_no_text_breaks_the_readers_of_secrets(text: str) -> None:
    version_of(text)
    complaints = []
    for read in (secret_bytes, key_pair, public_key, Verifier):
        try:
            read(text)
        except ValueError as error:
            complaints.append(str(error))
    # What cannot be a secret may be most of one.
    assert len(text) < 12 or not any(text in complaint for complaint in complaints)


@bounded
@given(TEXTS)
def test_no_text_breaks_the_readers_of_ids(text: str) -> None:
    ref = parse_delivery_id(text)
    assert ref is None or ref.id == text
    key = event_key(text)
    assert key is None or f"evt_{key}" == text
    assert not is_endpoint_id(text) or text.isascii()


@bounded
@given(st.from_regex(r"[0-9a-hjkmnp-tv-z]{26}", fullmatch=True))
def test_an_id_is_read_back(key: str) -> None:
    assert parse_delivery_id(DeliveryRef(f"ep_{key}", key).id) == DeliveryRef(f"ep_{key}", key)
    assert event_key(f"evt_{key}") == key


@bounded
@given(TEXTS | st.text("ABCDEFabcdef0123456789_-", max_size=60))
def test_no_text_is_a_cursor_unless_we_made_it(text: str) -> None:
    query = ListQuery(cursor=text)
    try:
        after = after_of("events", query)
    except InvalidInput:
        return
    assert next_cursor("events", query, after) == text


@bounded
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), TEXTS)
def test_a_cursor_is_read_back_and_holds_for_its_list_alone(after: str, tenant: str) -> None:
    assume(tenant.isprintable() and tenant.isascii())
    made = next_cursor("events", ListQuery(tenant=tenant), after)
    assert made is not None
    assert after_of("events", ListQuery(tenant=tenant, cursor=made, limit=7)) == after
    for name, other in (("deliveries", tenant), ("events", f"{tenant}x")):
        try:
            after_of(name, ListQuery(tenant=other, cursor=made))
        except InvalidInput:
            continue
        raise AssertionError("a cursor of another list was taken")


@bounded
@given(TEXTS | st.datetimes().map(lambda at: at.strftime("%a, %d %b %Y %H:%M:%S GMT")))
def test_no_retry_after_breaks_its_reader_or_is_too_long(text: str) -> None:
    wait_ms = retry_after_ms(text, NOW_S * 1000)
    assert wait_ms is None or 0 < wait_ms <= RETRY_AFTER_MAX_MS


@bounded
@given(TEXTS)
def test_no_text_breaks_the_rule_for_names_of_headers(text: str) -> None:
    if name_problem(text) is None:
        assert text.isascii()
        assert text.isprintable()
