"""The string formats of the subset, each a function from a text to whether it has the format.

`format` asserts here (draft 2020-12 leaves that open): a schema that says `email` means it. Dates and times are those of
RFC 3339, so a `date-time` has an offset; an address of IPv4 has no leading zeros; an `email` is an addr-spec of plain
atoms at a domain of at least two labels, which is what forms in the world accept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime

_EMAIL = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
_URI = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*+:"
    r"(?://(?:[A-Za-z0-9._~!$&'()*+,;=:@\[\]-]|%[0-9A-Fa-f]{2})*+(?=[/?#]|\Z))?"
    r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*+"
    r"(?:\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*+)?"
    r"(?:#(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*+)?"
)
_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(
    r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(?:\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")


def is_date(text: str) -> bool:
    if not _DATE.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def is_date_time(text: str) -> bool:
    return (
        len(text) > 11 and text[10] in "Tt" and is_date(text[:10]) and _TIME.fullmatch(text, 11) is not None
    )


def is_email(text: str) -> bool:
    return len(text) <= 254 and text.find("@") <= 64 and _EMAIL.fullmatch(text) is not None


def is_uri(text: str) -> bool:
    colon = text.find(":")
    rest = text[colon + 1 :]
    return _URI.fullmatch(text) is not None and rest not in ("", "//")


FORMATS: dict[str, Callable[[str], bool]] = {
    "date": is_date,
    "date-time": is_date_time,
    "time": lambda text: _TIME.fullmatch(text) is not None,
    "email": is_email,
    "uri": is_uri,
    "uuid": lambda text: _UUID.fullmatch(text) is not None,
    "ipv4": lambda text: _IPV4.fullmatch(text) is not None,
}


def order_of(text: str) -> float | None:
    """Where a date or a date-time lies in time, for comparisons; None where it is neither."""
    if is_date(text):
        return date.fromisoformat(text).toordinal() * 86_400.0
    if is_date_time(text):
        # Python knows no leap second: 23:59:60 lies where 23:59:59 does, which orders it rightly against all others.
        return datetime.fromisoformat(re.sub(r":60(?=[.Zz+-])", ":59", text.upper())).timestamp()
    return None
