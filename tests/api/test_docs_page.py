"""The page at /docs tells everything that the document does, loads nothing and runs nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

from tests.api.client import Api
from webhook.api.app import OPERATIONS
from webhook.api.problems import CATALOGUE, problem_response
from webhook.domain.errors import NotFound

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """What a browser would make of a page: ids, links, tags, and whether all are closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                self.ids.append(value or "")
            elif name == "href":
                self.links.append(value or "")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


async def docs(api: Api) -> str:
    answer = await api.client.get("/docs", headers={"authorization": ""})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


async def test_it_is_well_formed_and_every_link_leads_somewhere(api: Api) -> None:
    page = Page(await docs(api))
    assert len(page.ids) == len(set(page.ids))
    assert {link for link in page.links if not link.startswith("#")} == {"/openapi.json"}
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


async def test_it_has_every_operation_schema_and_problem(api: Api) -> None:
    ids = set(Page(await docs(api)).ids)
    assert {operation.name for operation in OPERATIONS} <= ids
    assert {f"problem-{problem.slug}" for problem in CATALOGUE} <= ids
    schemas = (await api.get("/openapi.json"))["components"]["schemas"]
    assert {f"schema-{name}" for name in schemas} <= ids


async def test_the_type_of_a_problem_is_a_link_into_it(api: Api) -> None:
    body = bytes(problem_response(NotFound()).body).decode()
    [anchor] = re.findall(r'"/docs#([\w-]+)"', body)
    assert anchor in Page(await docs(api)).ids


async def test_it_runs_no_script_and_asks_for_nothing_from_anywhere(api: Api) -> None:
    html = await docs(api)
    page = Page(html)
    assert not page.tags & {"script", "img", "link", "iframe", "form", "object", "embed"}
    assert not page.attributes & {"src", "style", "srcset", "onclick", "onload"}
    assert "url(" not in html
    assert "@import" not in html
    # Besides the example of an endpoint no address stands in it.
    assert set(re.findall(r"https?://[^\s\"'&<]+", html)) <= {"https://example.com/hook"}


async def test_its_policy_allows_exactly_its_own_style(api: Api) -> None:
    answer = await api.client.get("/docs")
    [style] = re.findall("<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = dict(
        part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";")
    )
    assert policy == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


async def test_it_has_a_light_and_a_dark_scheme_and_fits_a_telephone(api: Api) -> None:
    html = await docs(api)
    assert "color-scheme: light dark" in html
    assert "width=device-width" in html
