"""Where an error points to, in the words of the call that was made."""

from __future__ import annotations

from webhook.domain.errors import Conflict, FieldError, InvalidInput


def of_the_only_one[E: InvalidInput | Conflict](error: E) -> E:
    """Take the index out of the pointers of a call that was given one thing alone."""
    errors = [FieldError(e.pointer.removeprefix("/0"), e.detail) for e in error.errors]
    if not errors:
        return error
    return type(error)(f"{errors[0].pointer or 'The event'}: {errors[0].detail}", errors)
