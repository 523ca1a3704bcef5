"""The words and marks with which a choice is told: what may stand around a letter, before a choice, and behind one.

Every repetition is bounded or possessive, so that no text makes a search take more than a few steps a character.
"""

from __future__ import annotations

import re

from dataforge.verifiers.matching.finals import ANSWER, lead_in

OPEN = r"(?:[*_`\"'“‘«「(\[{$ \t]|\\(?:text|math)[a-z]*+\s*+\{|\\[(\[]){0,12}+"
CLOSE = r"(?:[*_`\"'”’»」)\]}$]|\\[)\]]){0,12}+"
NOUN = (
    r"(?:(?:(?:the|la|a|die)[ \t]{1,9})?(?:option|choice|letter|answer|opción|opzione|opção|letra|lettre|lettera)[ \t]{1,9}"
    r"|la[ \t]{1,9})?"
)
LETTER = r"(?P<letter>[^\W\d_])(?:(?!\w)|(?=选项|です|입니다|이다))"
AT = re.compile(rf"(?P<open>{OPEN}{NOUN}{OPEN}){LETTER}(?P<close>{CLOSE})", re.IGNORECASE)
LONE = re.compile(r"(?<![\w'’-])(?=[A-Z](?!\w))")
LINE_START = re.compile(r"(?:\n|\\\\)\s*+")
OPENING = re.compile(OPEN + NOUN + OPEN, re.IGNORECASE)
CLOSING = re.compile(CLOSE)
TO_END = re.compile(CLOSE + r"[.!]?" + CLOSE + r"\s*\Z")
END = re.compile(
    r"\s*\Z|[ \t]*\n|[ \t]+(?:[^\w\s\"'“‘«$+*/=<>&|^%#@→⇒\\-]|-(?=\s))|[:;!?,)–—](?!\d)|\.++(?!\w)|、|。|，|：|选项|です|입니다|이다"
)
"""What may follow a letter that is an option's, and no word's beginning."""
CONTINUES = re.compile(r"\w(?<=\w\w)|[%°]|[.,:/-]\w|[ \t]*[\^*/+=<>×·÷][ \t]*[\w(]")
"""What makes a number, a word or a sum go on behind an option's text."""
GOES_ON = re.compile(
    r"\s+(?:because|since|as|for|due|based|given|are|where|which|with|by|and(?!\s+\W*[A-Za-z]\b)|but|not|rather|over|while|whereas|so|thus"
    r"|therefore|hence|at|here|in|considering|according)\b",
    re.IGNORECASE,
)
ALSO = re.compile(
    r"\s*+(?:(?:,\s*+)?\bas\s+well\s+as\b|,\s*(?:and|or)?|[、，]|/|&|\+|;|->|→|⇒|=>|\band/or\b|\band\b|\bor\b)\s*(?:also\s+|maybe\s+|perhaps\s+)?",
    re.IGNORECASE,
)
SEPARATOR = re.compile(r"[).:,、\] \t]*")
DASH = re.compile(r"(?:[–—-]|→|->)\s*")
WRAPPED = re.compile(r"\\(?:text|math)[a-z]*\s*\{(?P<in>[^{}]*)\}")
LEAD = re.compile(
    lead_in(
        rf"(?:{ANSWER}|choice|option|guess|pick|solution|result|letter|response|reply|选项|selection|verdict|conclusion|correct(?=\s{{0,3}}[:：])|(?:(?<=right\s)|(?<=correct\s))one)"
    )
    + r"|\b(?:i|we)(?:['’]d|['’]ll|\s+would|\s+will|\s+must|\s+have\s+to|['’]m\s+going\s+to)?\s+(?:choose|chose|pick|select"
    r"|selected|go(?:\s+with|\s+for)|going\s+with|vote\s+for|answer|settle\s+on)\s+"
    r"|\bi['’]?d?\s+(?:would\s+)?say\s+|\b(?:i['’]m|let['’]s|let\s+me|i\s+am)\s+go(?:ing)?\s+with\s+"
    r"|(?:故|应|應|因此|所以|答案)[选選](?:择|擇)?\s{0,9}[:：]?\s{0,9}",
    re.IGNORECASE,
)
_NAME = r"(?:answer|option|choice|one|response|letter|pick|solution)"
RIGHT = re.compile(
    r"(?<!\s)\s{1,9}(?:"
    r"(?P<surely>(?:is|must\s+be|should\s+be|has\s+to\s+be)\s+(?:therefore\s+|thus\s+|clearly\s+|hence\s+|indeed\s+|obviously\s+)?"
    rf"(?:(?:the\s+)?(?:only\s+|single\s+)?(?:(?P<sort>correct|right)(?:\s+{_NAME})?|(?:best|better|final)(?:\s+{_NAME}|(?=\W*\Z|[.,;!])))"
    r"|the\s+(?:only\s+|single\s+)?(?:answer|one))\b(?!-|\s+(?:only\s+)?if\b))"
    r"|(?:is|are|could|can|may|might|would|seems|looks)\s+(?:(?:also|equally|just\s+as)\s+(?:be\s+)?(?:considered\s+)?(?:the\s+|a\s+)?"
    rf"(?:correct|right|valid|plausible|possible|acceptable|true)|(?:(?:be|work|fit)\s+)?(?:(?:correct|right)\s+)?(?:too|as\s+well))\b)",
    re.IGNORECASE,
)
"""Behind a choice: that it is right; without `surely` that it is right as well as another."""
BEFORE_RIGHT = re.compile(
    rf"(?<![\w-])(?P<noun>(?:the\s{{1,9}})?(?:option|choice|answer)\s{{1,9}})?(?P<open>{OPEN}){LETTER}(?P<close>{CLOSE})\Z",
    re.IGNORECASE,
)
CLAUSE = re.compile(
    rf"(?:\A|[.,:;!?)\n–—]|\b(?:so|thus|hence|therefore|that|clearly|think|believe|because|and|but)\b)\s*{OPEN}\Z",
    re.IGNORECASE,
)
"""Before the text of an option that begins a clause."""
AGAIN = re.compile(
    r"(?:\b(?:maybe|perhaps|possibly|alternative(?:ly)?|(?:could|might|may)(?:\s+also)?\s+be|correction|edit|sorry|oops|wait|actually|scratch\s+that|i\s+mean(?:t)?|also|so\s+(?:is|are)"
    r"|no(?=\s*[,.:;!—–])|on\s+second\s+thou?ghts?)\b|[.;!?\n(\[—–…]\s{0,9}or\b)"
    r"[\s,.:;!—–(-]{0,9}(?:(?:wait|no|possibly|maybe|perhaps|even|also|just|it['’]s|(?:it|that)\s+(?:is|was|should\s+be)|i\s+mean)\b[\s,.:(]{0,9}){0,4}",
    re.IGNORECASE,
)
"""What adds a choice to a final one, or puts one in its place, and what may stand between."""
STATED = re.compile(
    r"\b(?:it|that|this|which)(?:['’]s|\s+is|\s+must\s+be|\s+has\s+to\s+be|\s+should\s+be|\s+would\s+(?:have\s+to\s+)?be)\s+"
    r"(?:therefore\s+|thus\s+|clearly\s+|probably\s+|definitely\s+|most\s+likely\s+)?"
    r"|\b(?:so|thus|hence|therefore)[,:]?\s+|\bleft\s+with\s+(?:only\s+)?|\bleav(?:es|ing)\s+(?:us\s+with\s+)?(?:only\s+)?"
    r"|\b(?:match(?:es)?|corresponds\s+(?:to|with)|points\s+to)\s+(?=(?:the\s+)?\W{0,4}(?:option|choice|answer)\s)"
    r"|;\s+(?=\W{0,4}[A-Z]\W{0,4}\Z)",
    re.IGNORECASE,
)
EQUALS = re.compile(r"(?P<is>\b(?:is|are|was|were)\s+)|(?:\b(?:be|equals|gives)|=)\s*", re.IGNORECASE)
"""Before an option at the end of the last line: `the capital of France is Paris.`"""
TAG = re.compile(
    r"<(?P<tag>answer|final_answer|final|choice)>(?P<in>.{0,4000}?)</(?P=tag)>", re.IGNORECASE | re.DOTALL
)
_BULLET = r"[ \t]*+(?:[-*•=>#→⇒∴✓✔✅👉➡\ufe0f]{1,12}[ \t]{1,12}+){0,4}"
LINE = re.compile(
    rf"^{_BULLET}(?P<open>{OPEN}{NOUN}{OPEN}){LETTER}(?P<close>{CLOSE}[.)!]?{CLOSE})[ \t]*+$",
    re.MULTILINE | re.IGNORECASE,
)
ITEM = re.compile(
    rf"^(?P<bullet>{_BULLET})(?P<open>{OPEN}{NOUN}{OPEN})(?P<letter>[^\W\d_])"
    rf"(?P<close>[*_`\"'”’»}}$]{{0,12}}+(?:[)\]][.:]?|[.:]|[ \t][-–—](?=[ \t])){CLOSE})[ \t]*+(?P<rest>\S[^\n]*+)$",
    re.MULTILINE | re.IGNORECASE,
)
BULLET_AHEAD = re.compile(r"\s*+(?:(?:[-*•]|>{1,9}|#{1,9}|[=-]>|\d{1,3}[.)])\s{1,12}+){0,4}")
_VERB = r"(?:is|are|was|were|can|cannot|could|would|seems|looks|does|has|fits|makes)"
SENTENCE = re.compile(rf"(?:{_VERB}|and|or|because|since)\b(?!\s*\W*\Z)", re.IGNORECASE)
"""What makes `(B) is wrong` a sentence, and no item of a list."""
OPENS = re.compile(rf"(?![ \t]*{_VERB}\b)(?:[.,:;)–—]?\s|\s*[–—]|[.)]?\s*\Z)", re.IGNORECASE)
"""What follows a letter with which a reply opens: `B. It is the only one …`"""
_OPTION = r"(?:(?i:option|choice|answer)\s{1,9})?"
MARKED = re.compile(
    rf"(?:\*\*|__)\(?{_OPTION}(?P<bold>[A-Z])[).:]?(?:\*\*|__)|\({_OPTION}(?P<round>[A-Z])\)|\[(?P<square>[A-Z])\]|`(?P<code>[A-Z])`"
)
RIGHT_ITEM = re.compile(
    r"[\s*_.:,(\[–—←<-]*(?:(?:this|that|it)\s+is\s+)?(?:the\s+)?(?:correct|right|✓|✔️?|✅)(?:\s+answer)?[\s*_.!)\]]*\Z",
    re.IGNORECASE,
)
UNSURE = re.compile(
    r"\b(?:(?:can(?:not|['’]t)|could(?:n['’]t|\s+not))\s+(?:decide|determine|tell|say|answer|help|choose|pick)"
    r"|(?:not\s+sure|unsure|no\s+idea)|(?:don['’]t|do\s+not)\s+know|impossible\s+to\s+(?:say|tell|know))\b",
    re.IGNORECASE,
)
