"""DNS messages: what we ask, and what may come back, however broken."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.doh import ELSEWHERE, NAMES, answer_dns
from tests.receiver import Request
from webhook.domain.dns_message import RecordType, dns_addresses, dns_query

# RFC 8484, section 4.2.2: www.example.com, an A record.
RFC_QUERY = bytes.fromhex("00000100000100000000000003777777076578616d706c6503636f6d0000010001")
# The same, section 4.2.2: the answer, an AAAA record of 2001:db8:abcd:12:1:2:3:4.
RFC_ANSWER = bytes.fromhex(
    "00008180000100010000000003777777076578616d706c6503636f6d00001c0001"
    "c00c001c000100000e7d001020010db8abcd00120001000200030004"
)


def ask(name: str, kind: RecordType) -> bytes:
    headers = {"content-type": "application/dns-message"}
    return answer_dns(Request("POST", "/", headers, [], dns_query(name, kind), 1)).body


def test_the_examples_of_rfc_8484() -> None:
    assert dns_query("www.example.com", RecordType.A) == RFC_QUERY
    assert dns_addresses(RFC_ANSWER) == ["2001:db8:abcd:12:1:2:3:4"]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_resolver_knows_is_read(name: str) -> None:
    found = [one for kind in RecordType for one in dns_addresses(ask(name, kind))]
    assert found == [one.replace("10.0.0.1", "a00:1") if ":" in one else one for one in NAMES[name]]


def test_a_name_that_does_not_exist_has_no_address() -> None:
    assert dns_addresses(ask("nowhere.example.com", RecordType.A)) == []


@pytest.mark.parametrize("name", ["garbage", "empty", "servfail", "truncated", "echo"])
def test_what_is_no_whole_answer_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^is "):
        dns_addresses(ask(f"{name}.example.com", RecordType.A))


def test_an_answer_cut_off_anywhere_is_refused() -> None:
    whole = ask("public.example.com", RecordType.A)
    assert dns_addresses(whole) == [ELSEWHERE]
    for length in range(len(whole)):
        with pytest.raises(ValueError, match=r"^(is|has) "):
            dns_addresses(whole[:length])


def test_an_address_of_the_wrong_length_is_refused() -> None:
    whole = ask("public.example.com", RecordType.A)
    with pytest.raises(ValueError, match="another length"):
        dns_addresses(whole[:-6] + struct.pack(">H", 3) + whole[-4:-1])


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda more: RFC_ANSWER[:40] + more))
def test_no_bytes_break_the_reader(message: bytes) -> None:
    try:
        found = dns_addresses(message)
    except ValueError:
        return
    assert all(isinstance(address, str) for address in found)
