"""Custom headers: which an endpoint may have, and a pointer to each that it may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.domain.errors import InvalidInput
from webhook.domain.headers import HEADERS_BYTES_MAX, HEADERS_MAX, check_headers


def problems(headers: dict[str, str], *reserved: str) -> dict[str, str]:
    try:
        check_headers(headers, reserved=reserved)
    except InvalidInput as error:
        return {one.pointer: one.detail for one in error.errors}
    return {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-api-key", "abc"),
        ("Authorization", "Bearer a.b-c_d~e+f/g="),
        ("X_Custom_Header", "v"),
        ("x123-header", "v"),
        ("123", "v"),
        ("tEsT-header-1", "v"),
        ("X-A", 'any "printable" {text}; here, too'),
        ("X-A", "x" * 4096),
        ("x" * 256, "v"),
        ("Webhook", "v"),
        ("X-Webhook", "v"),
        ("Accept", "application/json"),
        ("X-Hostname", "v"),
    ],
)
def test_accepted(name: str, value: str) -> None:
    assert problems({name: value}) == {}


@pytest.mark.parametrize(
    "name",
    [
        "", " ", "invalid?", "invalid\0", "x-invalid???", "header with space", "header:colon",
        ":authority", "-starts-with-dash", "_starts_with_underscore", "x\r\ny", "x\n", "\nx",
        "x\ty", "x\x7f", "x\u00e9", "\uff58-api-key", "x/y", "x~y", "x(y)", "x" * 257, "x\udc00",
    ],
)  # fmt: skip
def test_ill_formed_names(name: str) -> None:
    assert len(problems({name: "v"})) == 1


@pytest.mark.parametrize(
    "value",
    [
        "", " ", " v", "v ", "v\r\nX-Other: 1", "v\n", "\nv", "v\0", "v\tw", "v\x7f", "v\x1b[31m",
        "caf\u00e9", "\u2713", "x" * 4097, "v\udc00", "v\x85", "v\u2028",
    ],
)  # fmt: skip
def test_ill_formed_values(value: str) -> None:
    assert list(problems({"X-Api-Key": value})) == ["/headers/X-Api-Key"]


@pytest.mark.parametrize(
    "name",
    [
        "user-agent", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailers",
        "transfer-encoding", "upgrade", "age", "cache-control", "clear-site-data", "expires",
        "pragma", "warning", "content-length", "content-type", "content-encoding",
        "content-language", "content-location", "x-amz-date", "x-amzn-trace-id", "x-google-a",
        "x-goog-a", "x-gfe-a", "x-azure-a", "x-fd-a", "x-svix-a", "svix-id", "svix-signature",
        "host", "connection", "webhook-id", "webhook-timestamp", "webhook-signature",
        "webhook-event-type", "webhook-attempt", "x-webhook-signature", "x-webhook-id",
        "x-webhook-timestamp", "trailer", "expect", "proxy-connection", "accept-encoding",
    ],
)  # fmt: skip
def test_reserved_names_in_every_spelling(name: str) -> None:
    # A program behind CGI or WSGI cannot tell _ from -.
    for spelling in (name, name.upper(), name.title(), name.replace("-", "_")):
        assert "reserved" in problems({spelling: "v"})[f"/headers/{spelling}"]


def test_a_service_can_reserve_more() -> None:
    assert problems({"X-Hub-Signature": "v"}) == {}
    assert problems({"x_hub-SIGNATURE": "v"}, "X-Hub-Signature") != {}


def test_names_that_differ_only_in_case_are_one_header() -> None:
    found = problems({"X-Api-Key": "a", "x-api-key": "b", "X-Other": "c"})
    assert list(found) == ["/headers/x-api-key"]


def test_each_bad_header_has_its_pointer_escaped() -> None:
    found = problems({"a/b": "v", "c~d": "v", "X-Good": "v", "Host": "v", "X-Bad": ""})
    assert list(found) == ["/headers/a~1b", "/headers/c~0d", "/headers/Host", "/headers/X-Bad"]


def test_the_error_does_not_print_the_value() -> None:
    with pytest.raises(InvalidInput) as caught:
        check_headers({"Authorization": "Bearer hunter2\r\n"})
    assert "hunter2" not in str(caught.value)


def test_number_and_size_are_limited() -> None:
    assert problems({f"X-{number}": "v" for number in range(HEADERS_MAX)}) == {}
    assert "/headers" in problems({f"X-{number}": "v" for number in range(HEADERS_MAX + 1)})
    assert "/headers" in problems({f"X-{n}": "v" * 4096 for n in range(HEADERS_BYTES_MAX // 4096)})


def test_no_headers_are_fine() -> None:
    check_headers({})


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=5))
def test_what_passes_can_be_written_on_the_wire_as_it_is(headers: dict[str, str]) -> None:
    if problems(headers):
        return
    for name, value in headers.items():
        line = f"{name}: {value}".encode("ascii")
        assert not set(line) & {*range(32), 127}
        assert value == value.strip()
