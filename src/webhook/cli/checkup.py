"""What ``webhook doctor`` finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """Whether all is well there; a note is neither well nor wrong."""

    OK = "ok"
    BAD = "BAD"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, and the cure if it is not well."""

    verdict: Verdict
    what: str
    told: str
    cure: str = ""


def ok(what: str, told: str) -> Finding:
    """All is well there."""
    return Finding(Verdict.OK, what, told)


def bad(what: str, told: str, cure: str) -> Finding:
    """Something is wrong there."""
    return Finding(Verdict.BAD, what, told, cure)


def note(what: str, told: str, cure: str = "") -> Finding:
    """Something was not looked at, or is worth knowing."""
    return Finding(Verdict.NOTE, what, told, cure)
