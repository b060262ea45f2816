"""The corpus of hostile and legitimate URLs, at registration. Never dialled: ``tests/sender``."""

from __future__ import annotations

import ipaddress
import sys
from collections import Counter

import pytest

from tests.unit.corpus import CORPUS, HOSTILE, LEGITIMATE, Line
from webhook.domain.balancing import Failover
from webhook.domain.endpoint import EndpointInput, EndpointPatch
from webhook.domain.errors import InvalidInput
from webhook.domain.url_rules import UrlRules, address_problem, check_url
from webhook.runtime import WebhookRuntimeService

PUBLIC = UrlRules()
IPV6 = 6


def is_refused(line: Line) -> bool:
    try:
        check_url(line.url, PUBLIC)
    except InvalidInput as error:
        return [one.pointer for one in error.errors] == ["/url"]
    return False


def address_of(line: Line) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that a URL has for its host, if it is spelled as everybody does."""
    try:
        address = ipaddress.ip_address(line.host)
    except ValueError:
        return None
    spelled = f"[{line.host}]" if address.version == IPV6 else line.host
    return address if line.url == f"https://{spelled}/" else None


def test_the_corpus_is_as_large_as_it_has_to_be_and_names_nothing_twice() -> None:
    assert len(HOSTILE) >= 400
    assert len(LEGITIMATE) >= 60
    assert [url for url, count in Counter(line.url for line in CORPUS).items() if count > 1] == []


def test_every_url_of_the_corpus_has_its_verdict() -> None:
    assert [line for line in CORPUS if is_refused(line) != line.refused] == []


def test_what_resolves_to_an_address_of_the_corpus_has_the_same_verdict() -> None:
    wrong = []
    for line in CORPUS:
        address = address_of(line)
        # NAT64 of a public address is what a name has on a network with DNS64.
        if address is None or line.why == "nat64":
            continue
        if (address_problem(str(address), PUBLIC) is not None) != line.refused:
            wrong.append(line)
    assert wrong == []


@pytest.mark.skipif(sys.version_info < (3, 12, 4), reason="ipaddress knew less of the registries")
def test_what_python_calls_global_and_we_refuse_is_marked() -> None:
    unmarked = [
        line
        for line in HOSTILE
        if (address := address_of(line)) and address.is_global and not line.called_global
    ]
    assert unmarked == []
    assert {line.why for line in HOSTILE if line.called_global} >= {
        "multicast", "6to4-relay", "amt", "as112", "metadata", "nat64", "orchid", "pcp-anycast",
        "reserved", "site-local", "srv6",
    }  # fmt: skip


async def test_registration_refuses_the_same_and_so_does_a_change() -> None:
    runtime = WebhookRuntimeService(auto_start=False)
    known = await runtime.add_endpoint(
        EndpointInput(url="https://example.com", event_types=["*"], external_id="known")
    )
    wrong = []
    for line in CORPUS:
        refused = 0  # of three: a new endpoint, a change, a further URL
        try:
            await runtime.add_endpoint(EndpointInput(url=line.url, event_types=["*"]))
        except InvalidInput:
            refused += 1
        try:
            await runtime.update_endpoint(known.id, EndpointPatch(url=line.url))
        except InvalidInput:
            refused += 1
        further = Failover(urls=(line.url,))
        given = EndpointInput(url="https://first.example.com", event_types=["*"], failover=further)
        try:
            await runtime.add_endpoint(given)
        except InvalidInput:
            refused += 1
        if refused != 3 * line.refused:
            wrong.append((line, refused))
    assert wrong == []
    await runtime.shutdown()
