"""Which language a text is in.

First by its script: Kannada letters are Kannada. Where several languages share the script (Latin, Cyrillic, Arabic,
Devanagari) the `lingua` library decides among those of that script, with its smaller models, which load in a fifth of a
second and are as good as the large ones for more than 120 letters. What it can't decide is not held against a reply:

- In a text of at least 60 letters the language asked for must come first, or be a close relative of the first
  (`RELATIVES`), or get a quarter of the confidence.
- Nepali, which the library lacks, is told from Hindi and Marathi by small words.
- Of a shorter one the detector knows little: it is another language's only where that gets 0.95 (0.97 below 30 letters)
  and the one asked for next to nothing. So `Hola.` passes as Italian, and a short reply in a wrong language may pass.
- A sentence of any length whose small words are English is no other language of the Latin script.
- Then every paragraph of at least 60 letters that is surely another language's (0.9) is one too many, as is more than a
  third of letters in a foreign script: names and borrowed words are not.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

from dataforge.verifiers.instructing.sentences import sentence_spans
from dataforge.verifiers.instructing.words import spread, words_in

NAMES: dict[str, str] = {
    "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "ca": "Catalan", "cs": "Czech", "da": "Danish", "de": "German",
    "el": "Greek", "en": "English", "es": "Spanish", "et": "Estonian", "fa": "Persian", "fi": "Finnish", "fr": "French",
    "gu": "Gujarati", "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian", "hy": "Armenian",
    "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ka": "Georgian", "kn": "Kannada", "ko": "Korean",
    "lt": "Lithuanian", "lv": "Latvian", "mk": "Macedonian", "ml": "Malayalam", "mr": "Marathi", "ms": "Malay",
    "ne": "Nepali", "nl": "Dutch", "no": "Norwegian", "pa": "Punjabi", "pl": "Polish", "pt": "Portuguese",
    "ro": "Romanian", "ru": "Russian", "sk": "Slovak", "sl": "Slovenian", "sr": "Serbian", "sv": "Swedish",
    "sw": "Swahili", "ta": "Tamil", "te": "Telugu", "th": "Thai", "tl": "Tagalog", "tr": "Turkish", "uk": "Ukrainian",
    "ur": "Urdu", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip
"""Languages that can be asked for: ISO 639-1 code to English name."""

SCRIPTS: dict[str, str] = {
    "latin": "A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff",
    "cyrillic": "\u0400-\u052f",
    "greek": "\u0370-\u03ff\u1f00-\u1fff",
    "armenian": "\u0531-\u0587",
    "hebrew": "\u05d0-\u05ea",
    "arabic": "\u0620-\u064a\u066e-\u06d3\u0750-\u077f",
    "devanagari": "\u0904-\u0939\u0958-\u0961",
    "bengali": "\u0985-\u09b9\u09dc-\u09e1",
    "gurmukhi": "\u0a05-\u0a39\u0a59-\u0a5e",
    "gujarati": "\u0a85-\u0ab9",
    "tamil": "\u0b85-\u0bb9",
    "telugu": "\u0c05-\u0c39",
    "kannada": "\u0c85-\u0cb9",
    "malayalam": "\u0d05-\u0d39",
    "thai": "\u0e01-\u0e30",
    "georgian": "\u10a0-\u10ff",
    "hangul": "\uac00-\ud7af\u1100-\u11ff",
    "kana": "\u3041-\u30fa",
    "han": "\u3400-\u4dbf\u4e00-\u9fff",
}
_WRITTEN: dict[str, tuple[str, ...]] = {
    "ru": ("cyrillic",), "uk": ("cyrillic",), "bg": ("cyrillic",), "mk": ("cyrillic",), "sr": ("cyrillic", "latin"),
    "el": ("greek",), "hy": ("armenian",), "he": ("hebrew",), "ar": ("arabic",), "fa": ("arabic",), "ur": ("arabic",),
    "hi": ("devanagari",), "mr": ("devanagari",), "ne": ("devanagari",), "bn": ("bengali",), "pa": ("gurmukhi",),
    "gu": ("gujarati",), "ta": ("tamil",), "te": ("telugu",), "kn": ("kannada",), "ml": ("malayalam",),
    "th": ("thai",), "ka": ("georgian",), "ko": ("hangul",), "ja": ("kana", "han"), "zh": ("han",),
}  # fmt: skip
RELATIVES: tuple[frozenset[str], ...] = (
    frozenset({"no", "da"}),
    frozenset({"hr", "sr", "sl"}),
    frozenset({"id", "ms"}),
    frozenset({"cs", "sk"}),
    frozenset({"bg", "mk"}),
)
"""Languages too near to each other to hold one against the other."""

SHORT, PARAGRAPH, SAMPLE = 60, 60, 240
"""Letters of a text that is too short to be sure of, of a paragraph worth a look, and that the detector is shown."""

_LINGUA = {"no": "NB"}
_FOREIGN = 1 / 3
_RUNS = {name: re.compile(f"[{letters}]") for name, letters in SCRIPTS.items()}
_HINDI = frozenset(spread("है हैं की में और था थी थे नहीं यह वह हूँ रहे रहा रही"))
_MARATHI = frozenset(spread("आहे आहेत आणि मध्ये नाही नाहीत होते होता होती मी आम्ही माझी त्यांचे रोज"))
_NEPALI = re.compile(
    r"(?<!\S)(?:छ|छन्|हो|हुन्|थियो|भएको|गर्न|गरेको|हरू|पनि|लागि|मा|यो|त्यो|र|हामी|उनी|धेरै|छैन)(?=[\s।,!?]|$)|हरू|ेको|िन्छ|न्छ"
)


def written(language: str) -> tuple[str, ...]:
    """The scripts of a language."""
    return _WRITTEN.get(language, ("latin",))


def script_counts(text: str) -> dict[str, int]:
    """How many letters of each script a text has; scripts it has none of are left out."""
    if text.isascii():
        found = len(_RUNS["latin"].findall(text))
        return {"latin": found} if found else {}
    return {name: count for name, pattern in _RUNS.items() if (count := len(pattern.findall(text)))}


def other_language(text: str, language: str, paragraphs: Sequence[str] = ()) -> str | None:
    """Why a text is not in a language, or None where it is or nothing says that it isn't."""
    scripts = script_counts(text)
    letters = sum(scripts.values())
    name = NAMES[language]
    if not letters:
        return "it has no letters"
    own = sum(scripts.get(script, 0) for script in written(language))
    if language == "ja" and not scripts.get("kana") and letters > 12:
        return "it has no kana, so it is not Japanese"
    if language == "zh" and scripts.get("kana", 0) > 0.1 * letters:
        return "it is Japanese, not Chinese"
    if own < (1 - _FOREIGN) * letters:
        return f"too few of its letters are those of {name}"
    if language != "en" and written(language) == ("latin",):
        for span in sentence_spans(text):
            for piece in text[span[0] : span[1]].split(":"):
                if _plainly_english(piece):
                    return f"it has English in it, not {name}: {piece.strip()[:60]}"
    found = _detected_other(text, language, own)
    if found is not None:
        return f"it reads as {found}, not as {name}"
    if len(paragraphs) > 1:
        for index, paragraph in enumerate(paragraphs, start=1):
            counts = script_counts(paragraph)
            total = sum(counts.values())
            if total < PARAGRAPH:
                continue
            if sum(counts.get(script, 0) for script in written(language)) < total / 2:
                return f"paragraph {index} is not in {name}"
            if language != "en" and _share_of_english(paragraph) >= ENOUGH:
                return f"paragraph {index} is in English, not in {name}"
            others = confidences(paragraph, language)
            if others and others[0][0] not in _near(language) and others[0][1] >= 0.9:
                return f"paragraph {index} reads as {NAMES.get(others[0][0], others[0][0])}, not as {name}"
    return None


def _detected_other(text: str, language: str, letters: int) -> str | None:
    ranked = confidences(text, language, short=letters < SHORT)
    if not ranked or ranked[0][0] in _near(language):
        return None
    first, confidence = ranked[0]
    own = max((value for code, value in ranked if code in _near(language)), default=0.0)
    if letters >= SHORT:
        sure = own < 0.25
    elif letters >= SHORT / 2:
        sure = confidence >= 0.95 and own < 0.02
    else:
        sure = confidence >= 0.97 and own < 0.005
    return NAMES.get(first, first) if sure else None


def _near(language: str) -> frozenset[str]:
    return frozenset({language}).union(*(group for group in RELATIVES if language in group))


def confidences(text: str, language: str, *, short: bool = False) -> list[tuple[str, float]]:
    """How sure the detector is of the languages that share a language's script, surest first; empty where none do."""
    if language in ("ne", "hi", "mr"):
        # lingua has no Nepali: small words and endings tell it from Hindi and Marathi.
        words = re.split(r"[\s।,.!?]+", text)
        hindi, marathi = (sum(word in small for word in words) for small in (_HINDI, _MARATHI))
        if language == "ne":
            enough = 0.06 * len(words)
            return [("hi" if hindi >= marathi else "mr", 1.0)] if hindi + marathi > enough else []
        if not hindi and not marathi and len(_NEPALI.findall(text)) >= 0.12 * len(words):
            return [("ne", 1.0)]
    script = written(language)[0]
    found = _detector("major" if short and language in _SHARED["major"] else script)
    if found is None:
        return []
    detector, codes = found
    values = detector.compute_language_confidence_values(text[:SAMPLE].lower())
    # Rounded, since the library sums in an order of its own.
    ranked = [(codes[value.language], round(value.value, 4)) for value in values]
    return sorted(ranked, key=lambda pair: (-pair[1], pair[0]))


_SHARED: dict[str, tuple[str, ...]] = {
    "latin": spread("ca cs da de en es et fi fr hr hu id it lt lv ms nl no pl pt ro sk sl sv sw tl tr vi"),
    # Of a few letters nearly any language can be made; those that replies are in are more likely.
    "major": spread("cs da de en es fi fr hu id it nl pl pt ro sv tr"),
    "cyrillic": ("bg", "mk", "ru", "sr", "uk"),
    "arabic": ("ar", "fa", "ur"),
    "devanagari": ("hi", "mr"),
}


@functools.cache
def _detector(script: str) -> tuple[Any, dict[Any, str]] | None:
    if script not in _SHARED:
        return None
    from lingua import IsoCode639_1, Language, LanguageDetectorBuilder

    codes = {
        Language.from_iso_code_639_1(getattr(IsoCode639_1, _LINGUA.get(code, code.upper()))): code
        for code in _SHARED[script]
    }
    return LanguageDetectorBuilder.from_languages(*codes).with_low_accuracy_mode().build(), codes


STOP_WORDS = frozenset(
    spread(
        "the of and a to in is it that for on with as was at by an be this are from or have not but had has his her they "
        "which one you were all their there been if more when who will would so no out up into than them can only other "
        "some could time these two may then do first any my now such like our over even most me after also many he she we "
        "i its your what how about just because while where through very too here each before between under again don't "
        "it's i'm let's that's isn't can't you're we're does did"
    )
)
"""English function words."""

ENGLISH_ONLY = STOP_WORDS - frozenset(
    spread(
        "of a to in is it for on as was at by an so no do me he we i has his her had all one been per two over under will "
        "are or not who them or up any may like even most more time be"
    )
)
"""Those that no other language of the Latin script has: they make a text English without asking the detector."""

ENOUGH, ENOUGH_OF_A_PARAGRAPH = 0.15, 0.06


def looks_english(text: str, forms: Sequence[str], paragraphs: Sequence[str] = ()) -> str | None:
    """Why a text is not English, or None; by its small words where they tell, since that is a hundred times cheaper."""
    if len(forms) >= 4 and sum(form in ENGLISH_ONLY for form in forms) >= ENOUGH * len(forms):
        scripts = {} if text.isascii() else script_counts(text)
        if sum(scripts.values()) - scripts.get("latin", 0) <= _FOREIGN * sum(scripts.values()) and all(
            _smells_english(paragraph) for paragraph in (paragraphs if len(paragraphs) > 1 else ())
        ):
            return None
    return other_language(text, "en", paragraphs)


def _smells_english(paragraph: str) -> bool:
    if len(paragraph) < PARAGRAPH:
        return True
    return _share_of_english(paragraph) >= ENOUGH_OF_A_PARAGRAPH


def _plainly_english(sentence: str) -> bool:
    """Whether the small words of a sentence, however short, are those of English."""
    words = [word.text.lower() for word in words_in(sentence)]
    only, small = (sum(word in group for word in words) for group in (ENGLISH_ONLY, STOP_WORDS))
    if not only:
        return False
    return (only >= 2 and only >= 0.25 * len(words)) or (small >= 3 and small >= 0.6 * len(words))


def _share_of_english(text: str) -> float:
    words = [word.strip(".,!?;:\"'()*").lower() for word in text.split()]
    return sum(word in ENGLISH_ONLY for word in words) / max(1, len(words))
