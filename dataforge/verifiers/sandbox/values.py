"""Values that a function in the sandbox returned: written there, read here, and never believed.

What arrives was written by a hostile program, so this is no pickle: a flat list of tokens, one a line, read without
recursion. Types survive exactly (`True` is not 1, a tuple is not a list, 1 is not 1.0, NaN stays NaN), whole numbers of any
length are written in base 16, which both sides do in linear time. Keys of dictionaries become text, as in JSON. `encode` runs in the sandbox, on bare Python, and looks
at objects only through methods of the built-in types, so that subclasses which override them are seen as what they hold.
"""

from __future__ import annotations

from typing import Any

DEPTH = 200
"""The deepest that values may be nested."""


class Unreadable(Exception):
    """Not a value that can be brought across: the message says why."""


def encode(value: object, most_bytes: int) -> bytes:
    """A value as tokens.

    Raises:
        Unreadable: it holds something other than None, bool, int, float, str, list, tuple and dict, or is too large.
    """
    out: list[bytes] = []
    size = 0
    stack: list[tuple[Any, int]] = [(value, 0)]
    while stack:
        item, depth = stack.pop()
        if depth > DEPTH:
            raise Unreadable("the value is nested too deeply")
        token: bytes
        children: list[Any] = []
        kind = type(item)
        if item is None:
            token = b"n"
        elif item is True or item is False:
            token = b"b1" if item else b"b0"
        elif issubclass(kind, int):
            number = int.__index__(item)
            token = (b"i-%x" if number < 0 else b"i%x") % abs(number)
        elif issubclass(kind, float):
            token = b"f" + float.__repr__(float.__float__(item)).encode()
        elif issubclass(kind, str):
            token = b"s" + str.encode(item, "utf-8", "surrogatepass").hex().encode()
        elif issubclass(kind, list):
            children = [*list.__iter__(item)]
            token = b"l%d" % len(children)
        elif issubclass(kind, tuple):
            children = [*tuple.__iter__(item)]
            token = b"t%d" % len(children)
        elif issubclass(kind, dict):
            children = [part for pair in dict.items(item) for part in pair]
            token = b"d%d" % (len(children) // 2)
        else:
            raise Unreadable(f"a `{kind.__name__}` is no plain value")
        size += len(token) + 1
        if size > most_bytes:
            raise Unreadable("the value is too large")
        out.append(token)
        stack += [(child, depth + 1) for child in reversed(children)]
    return b"\n".join(out) + b"\n"


def decode(data: bytes) -> Any:
    """The value that tokens stand for.

    Raises:
        Unreadable: they stand for none.
    """
    tokens = data.split(b"\n")
    if tokens.pop() != b"":
        raise Unreadable("the value is cut off")
    # Read from the end, so that the parts of a container are whole before it.
    ready: list[tuple[Any, int]] = []
    for token in reversed(tokens):
        kind, body = token[:1], token[1:]
        try:
            if kind == b"n" and not body:
                ready.append((None, 0))
            elif kind == b"b" and body in (b"0", b"1"):
                ready.append((body == b"1", 0))
            elif kind == b"i":
                ready.append((int(body, 16), 0))
            elif kind == b"f":
                ready.append((float(body), 0))
            elif kind == b"s":
                ready.append((bytes.fromhex(body.decode("ascii")).decode("utf-8", "surrogatepass"), 0))
            elif kind in (b"l", b"t", b"d"):
                count = int(body) * (2 if kind == b"d" else 1)
                if not 0 <= count <= len(ready):
                    raise Unreadable("the value is cut off")
                parts = [ready.pop() for _ in range(count)]
                depth = 1 + max((depth for _, depth in parts), default=0)
                if depth > DEPTH + 1:
                    raise Unreadable("the value is nested too deeply")
                values = [value for value, _ in parts]
                if kind == b"d":
                    made: Any = dict(zip(map(_key, values[0::2]), values[1::2], strict=True))
                    if 2 * len(made) != len(values):
                        raise Unreadable("a dictionary has a key twice")
                else:
                    made = values if kind == b"l" else tuple(values)
                ready.append((made, depth))
            else:
                raise Unreadable("what came back is no value")
        except (ValueError, UnicodeError) as error:
            raise Unreadable("what came back is no value") from error
    if len(ready) != 1:
        raise Unreadable("what came back is no value, or more than one")
    return ready[0][0]


def _key(key: Any) -> str:
    """A key as JSON writes it. Whole numbers are not hashed: it is easy to choose ones that all collide."""
    if type(key) is str:
        return key
    if type(key) is int:
        return str(key)
    raise Unreadable("a dictionary has keys that are neither text nor whole numbers")
