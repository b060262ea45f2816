"""The errors of the project, as a tree.

    WebhookError
    ├── InvalidInput        the caller's data is wrong; names each field and the remedy
    │   └── PayloadTooLarge the caller's data is over a documented limit
    ├── NotFound            no such thing, or not in this tenant
    ├── Conflict            the name is taken by other content, or the row has moved on
    ├── ConfigError         a setting is out of range or contradicts another
    ├── NotSupported        the stores lack what that takes
    ├── SchemaError         the database's schema does not fit this code
    └── StoreUnavailable    the store did not answer, or the outcome is unknown
        ├── StoreFull       its disk is full
        └── SecretsLocked   what it gave is encrypted with a key that is not known

A class's docstring is its default message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """One bad field: a JSON pointer (RFC 6901) to it and a sentence with the remedy."""

    pointer: str
    detail: str


class WebhookError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])
        self.errors = tuple(errors)

    @property
    def message(self) -> str:
        """The sentence for a person."""
        return str(self.args[0])


class InvalidInput(WebhookError):  # noqa: N818 - named after what the caller sees
    """Some fields are missing or wrong."""

    @classmethod
    def at(cls, pointer: str, detail: str) -> Self:
        """Make the error for one field."""
        return cls(f"{pointer or 'The document'}: {detail}", (FieldError(pointer, detail),))

    def under(self, prefix: str) -> Self:
        """Return the same error with every pointer below ``prefix``, such as ``/events/3``."""
        moved = [FieldError(prefix + e.pointer, e.detail) for e in self.errors]
        first = moved[0] if moved else FieldError(prefix, self.message)
        return type(self)(f"{first.pointer}: {first.detail}", moved or (first,))


class PayloadTooLarge(InvalidInput):
    """The payload is over its limit."""


class NotFound(WebhookError):  # noqa: N818 - named after what the caller sees
    """There is nothing of that id."""


class Conflict(WebhookError):  # noqa: N818 - named after what the caller sees
    """The request conflicts with what is stored."""

    @classmethod
    def at(cls, pointer: str, detail: str) -> Self:
        """Make the error for one field."""
        return cls(f"{pointer or 'The document'}: {detail}", (FieldError(pointer, detail),))


class ConfigError(WebhookError):
    """A setting is out of range."""


class NotSupported(WebhookError):  # noqa: N818 - named after what the caller sees
    """The stores of this service cannot do that."""


class SchemaError(WebhookError):
    """The database's schema does not fit this version of the code."""


class StoreUnavailable(WebhookError):  # noqa: N818 - named after what the caller sees
    """The store did not answer; nothing is known to be lost, try again."""

    retry_after_s = 1


class StoreFull(StoreUnavailable):
    """The disk of the store is full: make room, then try again."""

    retry_after_s = 10


class SecretsLocked(StoreUnavailable):
    """The endpoint's secrets are encrypted with a key that is not known here."""

    retry_after_s = 60
