"""``/docs``: the OpenAPI document as one page of HTML and CSS, which loads and runs nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: light-dark(#d4d4dc, #3c3c46);
  --soft: light-dark(#f4f4f7, #1f1f25); --quiet: light-dark(#5a5a66, #a5a5b2);
  --link: light-dark(#1a56b0, #8ab4f8); }
body { margin: 0 auto; max-width: 52rem; padding: 1rem; background: light-dark(#fff, #17171b);
  color: light-dark(#1c1c22, #e8e8ee); font: 1rem/1.5 system-ui, sans-serif; }
a { color: var(--link); } h1 { margin: .5rem 0; } h2 { margin-top: 3rem; }
h3 { margin: 2.5rem 0 .25rem; overflow-wrap: anywhere; } h4 { margin: 1rem 0 .25rem; }
section { border-top: 1px solid var(--line); } p { margin: .5rem 0; }
nav ul { list-style: none; padding: 0; } nav li { padding: .15rem 0; overflow-wrap: anywhere; }
code, pre { font: .875rem/1.45 ui-monospace, monospace; } code { overflow-wrap: anywhere; }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: 6px; padding: .75rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
dl { margin: .25rem 0; } dt { margin-top: .5rem; } dd { margin: 0 0 0 1rem; }
.quiet { color: var(--quiet); } .method { font-weight: 700; }
:target { scroll-margin-top: 1rem; background: var(--soft); }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEAD = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>{title} API</title>
<style>{style}</style></head><body><h1>{title} API</h1>"""
_HOW_TO_READ = """<p><code>$WEBHOOK</code> is where the service is, <code>$TOKEN</code> a token.
See <a href="#schemas">schemas</a>, <a href="#problems">problems</a>, and for programs
<a href="/openapi.json">openapi.json</a>.</p>"""
_CODE = re.compile("(`+)([^`]+)`+")
type _Json = dict[str, Any]


def render(document: _Json) -> str:
    """Return the page."""
    operations = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    title = escape(document["info"]["title"])
    problems = {problem["slug"]: problem for problem in document["x-problems"]}
    parts = [
        _HEAD.format(title=title, style=_STYLE),
        *(f"<p>{escape(text)}</p>" for text in document["info"]["description"].split("\n\n")),
        _HOW_TO_READ,
        "<nav><ul>",
        *(
            f'<li><a href="#{o["operationId"]}"><code>{m} {escape(p)}</code></a> '
            f'<span class="quiet">{escape(o["summary"])}</span></li>'
            for m, p, o in operations
        ),
        "</ul></nav><h2>Operations</h2>",
        *(part for found in operations for part in _operation(*found, problems)),
        '<h2 id="schemas">Schemas</h2>',
        *(
            part
            for name, schema in document["components"]["schemas"].items()
            for part in _component(name, schema)
        ),
        '<h2 id="problems">Problems</h2>',
        *(_problem(problem) for problem in problems.values()),
        "</body></html>",
    ]
    return "\n".join(parts)


def _operation(
    method: str, path: str, operation: _Json, problems: dict[str, _Json]
) -> Iterator[str]:
    yield f'<section id="{operation["operationId"]}"><h3>{escape(operation["summary"])}</h3>'
    yield f'<p><code><span class="method">{method}</span> {escape(path)}</code></p>'
    yield f"<p>{_prose(operation['description'])}</p>"
    for needed in operation["security"]:
        scopes = " ".join(f"<code>{scope}</code>" for scope in needed["token"])
        yield f"<p class=quiet>The token needs the scope {scopes}.</p>"
    if operation["parameters"]:
        yield "<h4>Parameters</h4>"
        yield _fields(
            (f"{p['name']}{'' if p['in'] == 'query' else ' (' + p['in'] + ')'}", p)
            for p in operation["parameters"]
        )
    example = None
    if body := operation.get("requestBody"):
        content = body["content"]["application/json"]
        example = content.get("example")
        yield f"<h4>Body</h4><p>{_kind(content['schema'])}</p>"
    yield f"<pre>{escape(_curl(method, path, operation, example))}</pre><h4>Answers</h4><dl>"
    slugs: list[str] = []
    for status, answer in operation["responses"].items():
        if "x-problems" in answer:
            slugs += answer["x-problems"]
            continue
        kinds = [_kind(content["schema"]) for content in answer.get("content", {}).values()]
        yield f"<dt><code>{status}</code> {' '.join(kinds)}</dt>"
        yield f"<dd>{_prose(answer['description'])}</dd>"
    links = (f'<a href="#problem-{s}">{problems[s]["status"]} {s}</a>' for s in slugs)
    yield f"</dl><p class=quiet>Problems: {', '.join(links)}</p></section>"


def _curl(method: str, path: str, operation: _Json, example: object) -> str:
    parts = [f"curl -X {method}" if method != "GET" else "curl"]
    if operation["security"]:
        parts.append('-H "authorization: Bearer $TOKEN"')
    if example is not None:
        parts.append("-H 'content-type: application/json'")
        parts.append(f"-d '{json.dumps(example)}'")
    return " \\\n  ".join([*parts, f'"$WEBHOOK{path.replace("{id}", "ID")}"'])


def _component(name: str, schema: _Json) -> Iterator[str]:
    yield f'<section id="schema-{escape(name)}"><h3>{escape(schema.get("title", name))}</h3>'
    yield f"<p>{_prose(schema.get('description', ''))}</p>"
    if "properties" in schema:
        required = schema.get("required", ())
        yield _fields(
            (field, {"schema": kind, "required": field in required, **kind})
            for field, kind in schema["properties"].items()
        )
    else:
        yield f"<p>{_kind(schema)}</p>"
    yield "</section>"


def _fields(fields: Iterable[tuple[str, _Json]]) -> str:
    rows = []
    for name, field in fields:
        schema = field["schema"]
        notes = ["required"] if field.get("required") else []
        if "default" in schema and schema["default"] is not None:
            notes.append(f"default {json.dumps(schema['default'])}")
        quiet = f' <span class="quiet">{escape(", ".join(notes))}</span>' if notes else ""
        description = _prose(field.get("description", ""))
        rows.append(f"<dt><code>{escape(name)}</code> {_kind(schema)}{quiet}</dt>")
        rows.append(f"<dd>{description}</dd>" if description else "")
    return f"<dl>{''.join(rows)}</dl>"


def _problem(problem: _Json) -> str:
    return (
        f'<section id="problem-{problem["slug"]}"><h3><code>{problem["status"]}</code> '
        f"{escape(problem['title'])}</h3><p>{_prose(problem['remedy'])}</p></section>"
    )


def _prose(text: str) -> str:
    return _CODE.sub(r"<code>\2</code>", escape(text))


def _kind(schema: _Json) -> str:
    """Say in HTML what a schema allows."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"<code>{escape(json.dumps(value))}</code>" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}" if schema.get("items") else "list"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_kind(schema['additionalProperties'])}"
    kind = str(schema.get("format") or schema.get("type") or "any JSON")
    low, high = schema.get("minimum"), schema.get("maximum")
    return escape(kind if low is None else f"{kind}, {low} to {high}")
