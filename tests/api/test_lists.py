"""Lists come in pages; a cursor leads through exactly its list, and through no other."""

from __future__ import annotations

import pytest

from tests.api.client import Api


async def pages(api: Api, path: str, **params: str | int) -> list[list[str]]:
    """Follow the cursors to the end and return the ids of each page."""
    found = []
    cursor: dict[str, str] = {}
    while True:
        page = await api.get(path, **params, **cursor)
        assert list(page) == ["data", "next_cursor"]
        found.append([item["id"] for item in page["data"]])
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def fill(api: Api) -> None:
    """Make three endpoints and five events that go to all of them."""
    for index in range(3):
        await api.add_endpoint("http://127.0.0.1:9/", external_id=f"e{index}")
    for index in range(5):
        await api.emit(id=f"n{index}")


async def test_pages_hold_everything_once_in_order(api: Api) -> None:
    await fill(api)
    assert await pages(api, "/v1/events", limit=2) == [["n4", "n3"], ["n2", "n1"], ["n0"]]
    whole = [one["id"] for one in (await api.get("/v1/endpoints"))["data"]]
    assert await pages(api, "/v1/endpoints", limit=2) == [whole[:2], whole[2:]]
    whole = [one["id"] for one in (await api.get("/v1/deliveries", limit=250))["data"]]
    assert len(whole) == 15
    assert [one for page in await pages(api, "/v1/deliveries", limit=4) for one in page] == whole
    whole = [one["id"] for one in (await api.get("/v1/events/n1/deliveries"))["data"]]
    assert await pages(api, "/v1/events/n1/deliveries", limit=2) == [whole[:2], whole[2:]]


async def test_a_page_has_50_items_unless_told_otherwise(api: Api) -> None:
    events = [{"type": "a", "data": n} for n in range(60)]
    await api.client.post("/v1/events", json={"events": events})
    assert [len(page) for page in await pages(api, "/v1/events")] == [50, 10]
    assert [len(page) for page in await pages(api, "/v1/events", limit=250)] == [60]


async def test_the_limit_may_change_between_pages(api: Api) -> None:
    await fill(api)
    cursor = (await api.get("/v1/events", limit=1))["next_cursor"]
    assert await api.event_ids(limit=3, cursor=cursor) == ["n3", "n2", "n1"]


async def refused(api: Api, path: str, **params: str | int) -> bool:
    answer = await api.client.get(path, params=params)
    return answer.status_code == 422 and answer.json()["errors"][0]["pointer"] == "?cursor"


async def test_a_cursor_holds_for_its_tenant_filters_and_list_only(api: Api) -> None:
    await fill(api)
    cursor = (await api.get("/v1/events", limit=1, type="message.sent"))["next_cursor"]
    assert await api.event_ids(cursor=cursor, type="message.sent") == ["n3", "n2", "n1", "n0"]
    assert await refused(api, "/v1/events", cursor=cursor)
    assert await refused(api, "/v1/events", cursor=cursor, type="a")
    assert await refused(api, "/v1/events", cursor=cursor, type="message.sent", tenant="other")
    assert await refused(
        api, "/v1/events", cursor=cursor, type="message.sent", since="2026-01-01T00:00:00Z"
    )
    assert await refused(api, "/v1/deliveries", cursor=cursor)
    of_one = (await api.get("/v1/events/n1/deliveries", limit=1))["next_cursor"]
    assert await refused(api, "/v1/events/n2/deliveries", cursor=of_one)


async def test_a_cursor_with_any_letter_changed_is_refused(api: Api) -> None:
    await fill(api)
    cursor = (await api.get("/v1/events", limit=1))["next_cursor"]
    assert cursor.replace("-", "").replace("_", "").isalnum()
    mangled = [
        *(cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :]
          for at in range(len(cursor))),
        cursor[:-1], cursor + "A", cursor + "=", " " + cursor, cursor.upper(),
    ]  # fmt: skip
    for text in mangled:
        assert await refused(api, "/v1/events", cursor=text), text


@pytest.mark.parametrize("path", ["/v1/events", "/v1/endpoints", "/v1/deliveries"])
async def test_an_empty_list_is_one_empty_page(api: Api, path: str) -> None:
    assert await api.get(path) == {"data": [], "next_cursor": None}
