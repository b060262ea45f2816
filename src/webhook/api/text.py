"""Texts of a certain form: described here for the document, checked by the domain."""

from __future__ import annotations

from msgspec import Meta


def text(description: str, pattern: str, chars_max: int | None = None) -> Meta:
    """Return an annotation that describes and validates nothing."""
    schema: dict[str, object] = {"pattern": f"^({pattern})$"}
    if chars_max is not None:
        schema["maxLength"] = chars_max
    return Meta(description=description, extra_json_schema=schema)
