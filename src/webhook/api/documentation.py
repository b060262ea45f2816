"""``/openapi.json`` and ``/docs``: the table of operations, these two included, as a document."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
from starlette.responses import Response

from webhook.api.docs_page import CONTENT_SECURITY_POLICY, render
from webhook.api.openapi import openapi
from webhook.api.operation import JSON, Call, Operation


def documented(*operations: Operation) -> tuple[Operation, ...]:
    """Return the operations and those that document them, at the first request and not before."""

    @functools.cache
    def document() -> dict[str, Any]:
        return openapi(everything)

    @functools.cache
    def document_json() -> bytes:
        return msgspec.json.encode(document())

    @functools.cache
    def page() -> bytes:
        return render(document()).encode()

    async def get_document(_call: Call) -> Response:
        return Response(document_json(), media_type=JSON)

    async def get_page(_call: Call) -> Response:
        headers = {"content-security-policy": CONTENT_SECURITY_POLICY}
        return Response(page(), media_type="text/html", headers=headers)

    everything = (
        *operations,
        Operation(
            method="GET",
            path="/openapi.json",
            name="get_openapi",
            scope=None,
            summary="Get this document",
            description="OpenAPI 3.1, made of what validates. Needs no token.",
            handler=get_document,
            status=200,
            answer=(dict[str, Any],),
            answer_description="The document.",
        ),
        Operation(
            method="GET",
            path="/docs",
            name="get_docs",
            scope=None,
            summary="Read this page",
            description="The document for people, on one page that loads nothing else.",
            handler=get_page,
            status=200,
            answer=(str,),
            answer_description="The page.",
            answer_media_type="text/html",
        ),
    )
    return everything
