"""Seals an endpoint's headers and secrets on their way into its row, and opens them again.

A sealed column holds a JSON string, ``"sealed.<key id>.<base64>"``, in place of an object or array.
It is bound to its place (table, tenant, row id, column) and key, so that it opens nowhere else.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from webhook.adapters.sql.rows import EndpointRow, endpoint_of, read_endpoint_json
from webhook.domain.encryption import EncryptionKey
from webhook.domain.errors import SecretsLocked
from webhook.domain.model import Endpoint
from webhook.domain.secret import SigningSecret
from webhook.ports import Crypto

_MARK = "sealed"
_PARTS = 3
_OPENED_MAX = 1_000
_NOTHING = {"headers": "{}", "secrets": "[]"}
_encode = msgspec.json.encode
_headers = msgspec.json.Decoder(dict[str, str])
_secrets = msgspec.json.Decoder(tuple[SigningSecret, ...])


class Sealing:
    """Keys, the first of which seals and all of which open; without any nothing is sealed."""

    def __init__(self, keys: Sequence[EncryptionKey] = (), crypto: Crypto | None = None) -> None:
        self._keys = {key.id: key.value for key in keys}
        self._crypto = crypto
        self.key_id = keys[0].id if keys else ""
        self._opened: dict[str, Endpoint] = {}

    def knows(self, key_id: str) -> bool:
        """Whether what is sealed with a key can be opened; "" is no key."""
        return key_id == "" or key_id in self._keys

    async def try_out(self) -> None:
        """Raise ``NotSupported`` when the platform cannot encrypt."""
        if self._crypto is not None and self.key_id:
            await self._crypto.seal(self._keys[self.key_id], b"", b"")

    async def seal_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return an endpoint's row with its columns sealed and its ``key_id`` set."""
        sealed = {**row, "key_id": self.key_id}
        if all(row[column] == nothing for column, nothing in _NOTHING.items()):
            sealed["key_id"] = None
        elif self.key_id:
            for column, nothing in _NOTHING.items():
                if row[column] != nothing:
                    sealed[column] = await self._seal(row["tenant"], row["id"], column, row[column])
        return sealed

    async def open_row(self, row: EndpointRow) -> Endpoint:
        """Return the endpoint of a row; raises ``SecretsLocked``."""
        headers, secrets = row.headers, row.secrets
        if isinstance(headers, str):
            headers = _headers.decode(await self.open(row.tenant, row.id, "headers", headers))
        if isinstance(secrets, str):
            secrets = _secrets.decode(await self.open(row.tenant, row.id, "secrets", secrets))
        return endpoint_of(row, headers, secrets)

    async def open_json(self, text: str) -> Endpoint:
        """Return the endpoint that a claim brought; as ``open_row``, but equal texts only once."""
        endpoint = self._opened.get(text)
        if endpoint is None:
            endpoint = await self.open_row(read_endpoint_json(text))
            if len(self._opened) >= _OPENED_MAX:
                self._opened.clear()
            self._opened[text] = endpoint
        return endpoint

    async def open(self, tenant: str, endpoint_id: str, column: str, text: str) -> bytes:
        """Return what was sealed, the column's text without its quotes given."""
        parts = text.split(".")
        key = self._keys.get(parts[1]) if len(parts) == _PARTS and parts[0] == _MARK else None
        if key is None or self._crypto is None:
            which = f"key {parts[1]}, which is" if len(parts) == _PARTS else "a key that is"
            raise SecretsLocked(
                f"The {column} of {endpoint_id} are encrypted with {which} not among "
                "WEBHOOK_ENCRYPTION_KEYS."
            )
        try:
            sealed = base64.b64decode(parts[2], validate=True)
            return await self._crypto.open(
                key, sealed, _place(tenant, endpoint_id, column, parts[1])
            )
        except ValueError:
            raise SecretsLocked(
                f"The {column} of {endpoint_id} do not open: they were changed, or moved there."
            ) from None

    async def _seal(self, tenant: str, endpoint_id: str, column: str, text: str) -> str:
        if self._crypto is None:
            raise SecretsLocked("There is a key, and nothing to encrypt with.")
        place = _place(tenant, endpoint_id, column, self.key_id)
        sealed = await self._crypto.seal(self._keys[self.key_id], text.encode(), place)
        return f'"{_MARK}.{self.key_id}.{base64.b64encode(sealed).decode()}"'


def _place(tenant: str, endpoint_id: str, column: str, key_id: str) -> bytes:
    return _encode(["endpoints", tenant, endpoint_id, column, key_id])
