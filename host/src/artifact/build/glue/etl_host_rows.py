"""Rows as lines of JSON, from and to the values of a user's module."""

import base64
import dataclasses
import datetime
import decimal
import enum
import json
import math
import types as python_types
import uuid

MAX_DEPTH = 32


class Refusal(Exception):
    """What a function returned cannot be taken."""

    def __init__(self, code, message, field=None):
        super().__init__(message)
        self.code, self.field = code, field


def as_json(value):
    """The JSON form of a value that has none of its own."""
    if isinstance(value, decimal.Decimal):
        return str(value) if value.is_finite() else None
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, python_types.MappingProxyType):
        return dict(value)
    raise TypeError(f"a value of type `{type(value).__name__}` has no JSON form")


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=as_json).encode


def cleaned(value, path, depth=0):
    """A value with NaN and infinity made null; tells where something cannot be written."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if depth > MAX_DEPTH:
        raise Refusal("not_serialisable", f"`{path[:80]} …` is nested more than {MAX_DEPTH} deep, or contains itself", path.split(".")[0])
    if isinstance(value, dict):
        result = {}
        for key, item in value.items():
            if not isinstance(key, (str, int, float, bool)) and key is not None:
                whole = f" of `{path}`" if path else ""
                raise Refusal("not_serialisable", f"the key {key!r}{whole} is of type `{type(key).__name__}`, but a key must be text")
            name = key if isinstance(key, str) else json.dumps(key)
            result[name] = cleaned(item, f"{path}.{name}" if path else name, depth + 1)
        return result
    if isinstance(value, (list, tuple)):
        return [cleaned(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    try:
        plain = as_json(value)
    except TypeError as error:
        raise Refusal("not_serialisable", f"key `{path}`: {error}", path.split(".")[0].split("[")[0]) from None
    return cleaned(plain, path, depth + 1)


def encode(row):
    """A row as one line of JSON."""
    if not isinstance(row, dict):
        if dataclasses.is_dataclass(row) and not isinstance(row, type):
            row = as_json(row)
        else:
            raise Refusal("not_a_row", f"returned {described(row)} where a row, a dict, must be")
    try:
        line = _encode(row)
        return line.encode()
    except UnicodeEncodeError as error:
        raise Refusal("not_serialisable", f"a text has a lone surrogate, which UTF-8 cannot hold: {error.object[error.start]!r}") from None
    except (ValueError, TypeError, RecursionError):
        return _encode(cleaned(row, "")).encode()


def described(value):
    return "None" if value is None else f"a `{type(value).__name__}`"


def decode(lines):
    """Rows from JSON lines. A line end never stands inside JSON text that the host writes."""
    return json.loads(b"[" + lines.rstrip(b"\n").replace(b"\n", b",") + b"]")
