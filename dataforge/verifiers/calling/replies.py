"""What a reply in words may not be where no tool was to be called: a claim that the thing is done, or a call in other clothes.

Only what the model says itself is looked at, so a draft, a quotation and code may hold any words. Claims are looked for
clause by clause: what stands behind `if` or `whether`, and what is denied, is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_NOT_ITS_OWN = re.compile(
    r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]*`|\"[^\"\n]*\"|“[^”\n]{0,500}”|«[^»\n]{0,500}»|„[^“\n]{0,500}“|^[ \t]*>[^\n]*"
    # A letter: from its subject, or from a salutation that has a line of its own behind other text, to the end.
    r"|^[^\w\n]{0,5}subject\W{0,5}:.*|(?<=\n)[^\w\n]{0,5}(?:dear|hi|hello|hey)\b[^.!?\n]{0,40},[ \t]*\n.*",
    re.DOTALL | re.IGNORECASE | re.MULTILINE,
)
_OPENING = re.compile(
    r"(?:\W*\b(?:ok(?:ay)?|sure(?:\s+thing)?|great(?:\s+news)?|good\s+news|alright|all\s+right|got\s+it|perfect|certainly|absolutely"
    r"|of\s+course|yes|thanks?(?:\s+you)?)\b)*\W*",
    re.IGNORECASE,
)
"""What may stand before a claim at the beginning of a reply."""

_CLAUSE = re.compile(r"[^,.;:!?…—\n]+")
_SUPPOSED = re.compile(
    r"\b(?:if|whether|once|when(?:ever)?|until|unless|before|after|suppose|imagine|wish|may|might|could|would|should|must|not|never|cannot|like|as\s+though)\b|n['’]t\b",
    re.IGNORECASE,
)

_SENT = (
    r"sent|booked|scheduled|reserved|cancel?led|transferred|paid|uploaded|e-?mailed|texted|submitted|purchased|notified|rescheduled|forwarded|posted"
    r"|ordered\s+(?:you|your|an?)|taken\s+care\s+of"
)
"""Deeds that no words can do."""

_SET = r"set|added|created|updated|ordered|placed|saved|moved|removed|deleted|changed|turned|switched|made|confirmed|completed|done"
"""Deeds that words can do to words, and need a thing."""

_THING = (
    r"e-?mail|message|invit(?:e|ation)|reminder|alarm|timer|event|meeting|appointment|calendar|ticket|reservation|booking|order(?!\s+(?:of|you|in|that)\b)"
    r"|payment|transfer|flight|light|lamp|heating|thermostat|playlist|cart|account|note|subscription"
)
_HOW = r"(?:(?:now|just|also|already|all|successfully|been|went\s+ahead\s+and|gone\s+ahead\s+and)\s+)*"

_LEADS = re.compile(
    rf"(?:(?:all|it(?:['’]s|\s+is|\s+has)|that(?:['’]s|\s+is)|everything(?:['’]s|\s+is))\s+)?{_HOW}"
    r"(?:done|sent|booked|completed?|finished|all\s+set|taken\s+care\s+of)\s*"
    rf"|(?:(?:your|the|an?)\s+)?(?:[\w-]+\s+)?(?:{_THING})s?\s+{_HOW}(?:{_SENT}|{_SET})(?:\s+(?:successfully|(?:for|to|at|on)\s.*))?\s*",
    re.IGNORECASE,
)
"""A whole clause that claims, at the beginning of a reply: `Done`, `Email sent`."""

_CLAIMS = re.compile(
    rf"\bI(?:['’]ve|\s+have)\s+{_HOW}(?:{_SENT})\b"
    rf"|\bI(?:['’]ve|\s+have)?\s+{_HOW}(?:{_SENT}|{_SET})\s+(?:(?:it|that|this)\s*\Z|[^\n]{{0,60}}\b(?:{_THING})s?\b|(?:on|off)\b)"
    rf"|\bI\s+{_HOW}(?:{_SENT})\s+(?:it|them|your|the)\b"
    rf"|\byour\s+(?:[\w-]+\s+){{1,4}}(?:has|have)\s+{_HOW}(?:{_SENT}|{_SET})\b"
    rf"|\byour\s+(?:[\w-]+\s+){{1,4}}(?:is|are)\s+{_HOW}(?:booked|scheduled|reserved|placed|confirmed|cancell?ed|on\s+its\s+way)\b"
    rf"|\bthe\s+(?:[\w-]+\s+)?(?:{_THING})s?\s+(?:(?:has|have)\s+{_HOW}been|(?:is|are)\s+now)\s+{_HOW}(?:{_SENT}|{_SET})\b",
    re.IGNORECASE,
)


def claims(prose: str) -> bool:
    """Whether a reply says that something was done for which it would have needed a tool."""
    own = _NOT_ITS_OWN.sub(" ", prose)
    opening = _OPENING.match(own)
    assert opening is not None  # it matches the empty text
    first = _CLAUSE.match(own, opening.end())
    if first is not None and not _asks(own, first) and _LEADS.fullmatch(first.group().rstrip("*_ ")):
        return True
    for clause in _CLAUSE.finditer(own):
        claim = _CLAIMS.search(clause.group())
        if (
            claim is not None
            and not _asks(own, clause)
            and not _SUPPOSED.search(clause.group(), 0, claim.end())
        ):
            return True
    return False


def _asks(text: str, clause: re.Match[str]) -> bool:
    return text.startswith("?", clause.end())


def describes_call(prose: str, names: Iterable[str]) -> bool:
    """Whether a call of one of these tools is written out: as of a function, as an object, or as a ReAct agent does."""
    present = [re.escape(name) for name in names if name in prose]
    if not present:
        return False
    name = rf"(?<![\w.])(?:functions\.)?(?:{'|'.join(present)})(?!\w)"
    written = (
        # With a space before it, a parenthesis may as well be a remark on the tool.
        rf"{name}[`*]*(?:\(|\s+\(\s*(?:[\w.]+\s*[=:]|[\"'{{\[]))"
        rf"|{name}\s+[\w-]+=\S"
        rf"|{name}[^{{}}]{{0,80}}\{{\s*[\"']"
        rf"|\{{[^{{}}]{{0,200}}[\"']{name}[\"']"
        rf"|\b(?:[Aa]ction|[Tt]ool|[Ff]unction)\s*:\W{{0,5}}{name}"
    )
    return re.search(written, prose) is not None
