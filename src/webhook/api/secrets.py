"""``/v1/endpoints/{id}/secret``: what signs for an endpoint, shown and changed."""

from __future__ import annotations

from typing import Annotated, Self

import msgspec
from msgspec import Meta
from starlette.responses import Response

from webhook.api.body import decode, read_body, refuse_body
from webhook.api.endpoints import any_tenant
from webhook.api.operation import Call, Operation, answer
from webhook.api.problems import CONFLICT, NOT_FOUND, NOT_SUPPORTED
from webhook.api.query import AnyTenantQuery
from webhook.api.views import Time, shown_secret
from webhook.domain.access import Scope
from webhook.domain.endpoint import Signature
from webhook.domain.event import rfc3339
from webhook.domain.model import Endpoint
from webhook.domain.secret import (
    OVERLAP_S_DEFAULT,
    OVERLAP_S_MAX,
    SECRETS_MAX,
    SignatureVersion,
    SigningSecret,
)


class RotateInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another secret, and how long the old ones still sign beside it."""

    secret: Annotated[
        str | None, Meta(description="As when an endpoint is made; made for you unless given.")
    ] = None
    signature: Annotated[
        Signature | None,
        Meta(description="v1 or v1a; as the newest one signs unless given."),
    ] = None
    overlap_s: Annotated[
        int,
        Meta(
            description=f"Seconds for which the old ones go on, 0 to {OVERLAP_S_MAX}; 0 is at once."
        ),
    ] = OVERLAP_S_DEFAULT

    def __repr__(self) -> str:
        """Hide the secret from logs."""
        return f"RotateInput(signature={self.signature!r}, overlap_s={self.overlap_s})"


class LiveSecretView(msgspec.Struct, frozen=True, kw_only=True):
    """One secret that signs now."""

    signature: SignatureVersion
    secret: Annotated[
        str | None,
        Meta(description="What verifies v1; null for v1a, whose private key stays."),
    ]
    public_key: Annotated[str | None, Meta(description="What verifies v1a, whpk_ + base64.")]
    expires_at: Annotated[Time | None, Meta(description="When it stops; null for the newest one.")]

    @classmethod
    def of(cls, one: SigningSecret) -> Self:
        """Make the view of one secret."""
        return cls(
            signature=one.version,
            secret=shown_secret(one),
            public_key=one.public_key,
            expires_at=None if one.expires_at is None else rfc3339(one.expires_at),
        )

    def __repr__(self) -> str:
        """Hide the secret from logs."""
        return f"LiveSecretView(signature={self.signature!r}, expires_at={self.expires_at!r})"


class SecretView(msgspec.Struct, frozen=True, kw_only=True):
    """What the receiver of an endpoint verifies signatures with."""

    secret: Annotated[
        str | None,
        Meta(
            description="The newest one; null where that is a key pair, or where the service's own "
            "secret signs."
        ),
    ]
    public_key: Annotated[
        str | None, Meta(description="The newest one's, where that is a key pair.")
    ]
    live: Annotated[list[LiveSecretView], Meta(description="All that sign now, newest first.")]

    @classmethod
    def of(cls, endpoint: Endpoint, now: int) -> Self:
        """Make the view of what signs for an endpoint at a time."""
        live = [LiveSecretView.of(one) for one in endpoint.secrets if one.live(now)]
        return cls(
            secret=live[0].secret if live else None,
            public_key=live[0].public_key if live else None,
            live=live,
        )

    def __repr__(self) -> str:
        """Hide the secret from logs."""
        return f"SecretView(live={self.live!r})"


_rotate = msgspec.json.Decoder(RotateInput)


async def get_secret(call: Call) -> Response:
    """Show what signs for an endpoint."""
    tenant = any_tenant(call)
    await refuse_body(call)
    service = call.context.service
    endpoint = await service.read_secrets(call.id, tenant=tenant)
    return answer(200, SecretView.of(endpoint, service.now_ms()))


async def rotate_secret(call: Call) -> Response:
    """Sign with another secret."""
    tenant = any_tenant(call)
    given = decode(call, await read_body(call), _rotate)
    service = call.context.service
    endpoint = await service.rotate_secret(
        call.id,
        secret=given.secret,
        signature=given.signature,
        overlap_s=given.overlap_s,
        tenant=tenant,
    )
    return answer(200, SecretView.of(endpoint, service.now_ms()))


_PATH = "/v1/endpoints/{id}/secret"

OPERATIONS = (
    Operation(
        method="POST",
        path=_PATH,
        name="get_secret",
        scope=Scope.SECRETS,
        summary="Show an endpoint's secret",
        description=(
            "What its receiver verifies signatures with. A POST, so that no cache and no history "
            "of a browser keeps it. A private key is never shown."
        ),
        handler=get_secret,
        query=AnyTenantQuery,
        status=200,
        answer=(SecretView,),
        answer_description="What signs now.",
        problems=(NOT_FOUND,),
    ),
    Operation(
        method="POST",
        path=f"{_PATH}/rotate",
        name="rotate_secret",
        scope=Scope.SECRETS,
        summary="Rotate an endpoint's secret",
        description=(
            "Requests carry a signature of the new secret and, for overlap_s, of each old one, so "
            "that receivers can move in between; also from v1 to v1a. At most "
            f"{SECRETS_MAX} sign at once. Under the k-msg scheme, whose header has room for one, "
            "only the newest does."
        ),
        handler=rotate_secret,
        query=AnyTenantQuery,
        body=(RotateInput,),
        status=200,
        answer=(SecretView,),
        answer_description="What signs now, the new one first.",
        problems=(NOT_FOUND, CONFLICT, NOT_SUPPORTED),
        example='{"overlap_s": 86400}',
    ),
)
