"""Parsed JSON as a type of the receiver's, as far as the standard library reads types.

Dataclasses, ``TypedDict`` and ``NamedTuple`` (nested, with defaults), ``list``, ``dict``,
``tuple``, ``set``, ``Literal``, ``Enum``, unions, and ``datetime``, ``date``, ``UUID``, ``Decimal``
from text. Fields that the type does not name are left out, so that a sender may add some. Anything
else that can be called is called with the parsed JSON: ``partial(msgspec.convert, type=Sent)`` and
``Model.model_validate`` are shapes too. Numbers are not made from text, nor truth from numbers.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict
from uuid import UUID

from webhook.receive.errors import BadPayload

_JSON: tuple[type, ...] = (dict, list, str, int, float, bool, type(None))
_FROM_TEXT: Mapping[object, Callable[[str], object]] = {
    dt.datetime: dt.datetime.fromisoformat,
    dt.date: dt.date.fromisoformat,
    UUID: UUID,
    Decimal: Decimal,
}


def shaped(value: Any, shape: Any) -> Any:  # noqa: ANN401 - any JSON, any type
    """Return ``data`` as a type; raises ``BadPayload`` with the path of what does not fit."""
    return _shape(value, shape, "data")


def _shape(value: Any, shape: Any, path: str) -> Any:  # noqa: ANN401, C901, PLR0911 - a table of types
    shape = _plain(shape)
    if shape is Any or shape is object:
        return value
    if shape in _JSON:
        return _json(value, shape, path)
    origin, arguments = get_origin(shape), get_args(shape)
    if origin in (Union, types.UnionType):
        return _union(value, arguments, path)
    if origin is Literal:
        return _literal(value, arguments, path)
    if origin is not None:
        return _collection(value, origin, arguments, path)
    if shape in _FROM_TEXT:
        return _made(_FROM_TEXT[shape], _json(value, str, path), path)
    if isinstance(shape, type) and issubclass(shape, Enum):
        return _made(shape, value, path)
    if isinstance(shape, type) and (dataclasses.is_dataclass(shape) or _is_named_tuple(shape)):
        return _made(lambda given: shape(**given), _fields(value, shape, path), path)
    if is_typeddict(shape):
        return _fields(value, shape, path)
    if callable(shape):
        return _made(shape, value, path)
    raise TypeError(f"{shape!r} is no type that JSON can become, nor a function that makes one")


def _plain(shape: Any) -> Any:  # noqa: ANN401 - any type
    """Take away what says nothing about the JSON: aliases, ``Annotated``, ``Required``."""
    while True:
        if shape is None:
            return type(None)
        if isinstance(shape, typing.TypeAliasType):
            shape = shape.__value__
        elif isinstance(shape, typing.NewType):
            shape = shape.__supertype__
        elif get_origin(shape) in (typing.Annotated, typing.Required, typing.NotRequired):
            shape = get_args(shape)[0]
        else:
            return shape


def _json(value: Any, kind: Any, path: str) -> Any:  # noqa: ANN401 - any JSON
    whole = type(value) is int
    if type(value) is kind or (kind is float and whole):
        return float(value) if kind is float else value
    raise BadPayload(f"{path} is {_name(value)}, not {_NAMES[kind]}")


def _union(value: Any, shapes: Sequence[Any], path: str) -> Any:  # noqa: ANN401 - any shape
    # The type that it already is goes first: 1 stays 1 in `float | int`.
    reasons = []
    for shape in sorted(shapes, key=lambda each: _plain(each) is not type(value)):
        try:
            return _shape(value, shape, path)
        except BadPayload as error:
            reasons.append(str(error))
    raise BadPayload("; ".join(dict.fromkeys(reasons)))


def _literal(value: Any, choices: Sequence[Any], path: str) -> Any:  # noqa: ANN401 - any shape
    # 1 == True in Python, not in JSON.
    if any(type(value) is type(choice) and value == choice for choice in choices):
        return value
    raise BadPayload(f"{path} is not one of {', '.join(map(repr, choices))}")


def _collection(value: Any, origin: Any, arguments: Sequence[Any], path: str) -> Any:  # noqa: ANN401 - any shape
    if origin is dict or (isinstance(origin, type) and issubclass(origin, Mapping)):
        key, item = arguments
        given = _json(value, dict, path)
        return {_shape(k, key, path): _shape(v, item, f"{path}.{k}") for k, v in given.items()}
    if dataclasses.is_dataclass(origin):  # a generic one: its parameters stay unknown
        return _shape(value, origin, path)
    items = _json(value, list, path)
    if origin is tuple and (len(arguments) != 2 or arguments[1] is not Ellipsis):  # noqa: PLR2004 - one type, and the ellipsis
        if len(items) != len(arguments):
            raise BadPayload(f"{path} has {len(items)} items, not {len(arguments)}")
        shapes = list(arguments)
    else:
        shapes = [arguments[0]] * len(items)
    made = [
        _shape(v, s, f"{path}[{n}]") for n, (v, s) in enumerate(zip(items, shapes, strict=True))
    ]
    return made if origin not in (tuple, set, frozenset) else origin(made)


def _fields(value: Any, shape: Any, path: str) -> dict[str, Any]:  # noqa: ANN401 - any shape
    """Return the fields that a class names, each as its type."""
    given = _json(value, dict, path)
    hints = get_type_hints(shape, include_extras=True)
    if dataclasses.is_dataclass(shape):
        fields = [each for each in dataclasses.fields(shape) if each.init]
        needed = {each.name for each in fields if _has_no_default(each)}
        hints = {each.name: hints[each.name] for each in fields}
    elif is_typeddict(shape):
        needed = {name for name, hint in hints.items() if _is_required(name, hint, shape)}
    else:
        needed = set(hints) - set(shape._field_defaults)
    for name in sorted(needed):
        if name not in given:
            raise BadPayload(f"{path}.{name} is missing")
    return {
        name: _shape(given[name], hint, f"{path}.{name}")
        for name, hint in hints.items()
        if name in given
    }


def _is_required(name: str, hint: Any, shape: Any) -> bool:  # noqa: ANN401 - any shape
    # Where annotations are texts, __required_keys__ does not know what they say.
    if get_origin(hint) in (typing.Required, typing.NotRequired):
        return get_origin(hint) is typing.Required
    return name in shape.__required_keys__


def _has_no_default(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _is_named_tuple(shape: type) -> bool:
    return issubclass(shape, tuple) and hasattr(shape, "_field_defaults")


def _made(make: Callable[[Any], Any], value: Any, path: str) -> Any:  # noqa: ANN401 - any shape
    try:
        return make(value)
    except (ValueError, TypeError, ArithmeticError) as error:  # the last: Decimal's
        raise BadPayload(f"{path}: {error}") from error


_NAMES: Mapping[Any, str] = {
    dict: "an object",
    list: "a list",
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def _name(value: object) -> str:
    return _NAMES[type(value)]
