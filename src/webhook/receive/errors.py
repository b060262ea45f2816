"""Why a webhook was refused. The message is for the receiver's log, never for the answer."""

from __future__ import annotations


class BadSecret(ValueError):  # noqa: N818 - named after what is wrong
    """A secret that no webhook can be verified with; raised when a verifier is made."""


class VerificationError(Exception):
    """The request is not a webhook of ours: answer 400 and say nothing about why."""


class MissingHeader(VerificationError):  # noqa: N818 - named after what is wrong
    """The id, the timestamp or the signature is not there."""


class BadHeader(VerificationError):  # noqa: N818 - named after what is wrong
    """A header came twice, or the id is none: what was signed would be anybody's guess."""


class BadTimestamp(VerificationError):  # noqa: N818 - named after what is wrong
    """The timestamp is no whole number of seconds."""


class Expired(VerificationError):  # noqa: N818 - named after what is wrong
    """The timestamp is further from now than the tolerance: an old request again, or a clock."""


class NoMatch(VerificationError):  # noqa: N818 - named after what is wrong
    """No signature is by any of the secrets: another sender, or a body that was changed."""


class BadPayload(Exception):  # noqa: N818 - named after what is wrong
    """The signature is good and the body is not the event that was expected."""


class Gone(Exception):  # noqa: N818 - raised to say so, not because something went wrong
    """Raise it in a handler to answer 410: the sender fails the delivery and stops sending."""
