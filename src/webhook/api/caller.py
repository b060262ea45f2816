"""Who calls, what they may do, and what of the things they may see is shown to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from webhook.api.errors import Forbidden
from webhook.domain.access import Scope
from webhook.domain.json_text import escape

_OTHERS = "Is another tenant than {tenant}, to which this caller is confined; leave it out."


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a token's id, ``bootstrap``, ``insecure``, or ``rpc:`` and a binding.

    ``tenant`` None is bound to none. What a bound caller asks for is asked for in its tenant, so
    that it gets the same answer for what others have as for what nobody has.
    """

    name: str
    scopes: frozenset[Scope]
    tenant: str | None = None

    def may(self, scope: Scope) -> bool:
        """Whether the caller has a scope."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def check(self, scope: Scope | None, *, whole: bool) -> None:
        """Raise ``Forbidden`` unless the caller has the scope and, for the ``whole``, no tenant."""
        if scope is not None and not self.may(scope):
            raise Forbidden(f"This needs the scope {scope}, which this caller has not.")
        if whole and self.tenant is not None:
            raise Forbidden("This concerns all tenants, and this caller is confined to one.")

    def confine[T: msgspec.Struct](
        self, value: T, given: Mapping[str, Any], pointer: str = "/"
    ) -> T:
        """Return what a caller asks for as asked for in its tenant, whatever struct that is.

        ``given`` is what was sent, by which a tenant that was left out is told from the default.
        Raises ``Forbidden`` when it names another tenant.
        """
        if self.tenant is None:
            return value
        changes: dict[str, Any] = {}
        for name in value.__struct_fields__:
            field = getattr(value, name)
            if name == "tenant":
                if name in given and field != self.tenant:
                    raise Forbidden.at(f"{pointer}tenant", _OTHERS.format(tenant=self.tenant))
                changes[name] = self.tenant
            elif isinstance(field, list) and field and isinstance(field[0], msgspec.Struct):
                changes[name] = [
                    self.confine(item, sent, f"{pointer}{escape(name)}/{index}/")
                    for index, (item, sent) in enumerate(zip(field, given[name], strict=True))
                ]
        return msgspec.structs.replace(value, **changes)


EVERYTHING = frozenset({Scope.ADMIN})
BOOTSTRAP = Caller("bootstrap", EVERYTHING)
INSECURE = Caller("insecure", EVERYTHING)
NOBODY = Caller("nobody", frozenset())
