"""What a method that other Workers call returns in place of raising."""

from __future__ import annotations


class Rejected:
    """A promise that fails with an error of JavaScript's own.

    An exception that left Python would reach the caller as a traceback. This is returned instead:
    the SDK hands on ``js_object``, and a promise's result that is a promise is waited for.
    """

    def __init__(self, message: str) -> None:
        from js import Error, Promise  # noqa: PLC0415 - exist in a Worker only

        self.js_object = Promise.reject(Error.new(message))
