"""Signed, retried webhook delivery: the runtime API and nothing else; see the README.

Its names are those of ``webhook.exports``, loaded when the first of them is asked for, so that
``import webhook.receive`` in a receiver loads no engine.
"""

import typing

if typing.TYPE_CHECKING:
    from webhook.exports import *  # noqa: F403 - what it exports is listed there
    from webhook.exports import __all__ as __all__
else:

    def __getattr__(name: str) -> object:
        """Load the exports, unless a submodule or one of Python's own names is asked for."""
        import importlib.util  # noqa: PLC0415 - only those who ask pay for it

        own = name.startswith("_") and name != "__all__"
        # `from webhook import receive` asks here first.
        if not own and importlib.util.find_spec(f"{__name__}.{name}") is None:
            exports = importlib.import_module("webhook.exports")
            globals()["__all__"] = exports.__all__
            globals().update({each: getattr(exports, each) for each in exports.__all__})
            if name in globals():
                return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return [*globals(), *__getattr__("__all__")]
