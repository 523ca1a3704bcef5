"""Words, sentences, paragraphs and languages: what counts as one."""

from __future__ import annotations

import pytest

from dataforge.verifiers.instructing.languages import looks_english, other_language
from dataforge.verifiers.instructing.replies import echo, refusal
from dataforge.verifiers.instructing.speech import SENTENCES
from dataforge.verifiers.instructing.text import Text
from dataforge.verifiers.instructing.words import whole, words_in


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("don't mother-in-law rock'n'roll it’s", ["don't", "mother-in-law", "rock'n'roll", "it’s"]),
        ("3.14 1,000 10:30 20th x-ray", ["3.14", "1,000", "10:30", "20th", "x-ray"]),
        ("e.g. the U.S. and/or snake_case", ["e.g", "the", "U.S", "and", "or", "snake_case"]),
        ("**bold** _italic_ `code` — 'x'", ["bold", "italic", "code", "x"]),
        ("naïve cafe\u0301 Ærø", ["naïve", "café", "Ærø"]),
        ("हिन्दी में लिखो", ["हिन्दी", "में", "लिखो"]),
        ("你好吗 ok 東京", ["你", "好", "吗", "ok", "東", "京"]),
        ("안녕 하세요", ["안녕", "하세요"]),
        ("👩‍🚀 hi 🎉 *** - ", ["hi"]),
        ("end.Start no.5", ["end", "Start", "no", "5"]),
        ("", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert [word.text for word in Text(text).words] == words


def test_words_of_plain_text_are_the_same_by_both_patterns() -> None:
    plain = "Don't pay 3.50 for the well-made pot, e.g. at 10:30; it's snake_case and/or U.S. made (20th)."
    assert [w.text for w in words_in(plain)] == [w.text for w in words_in(plain + " é")][:-1]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Dr. Smith paid $3.14 to Mr. Jones. He left at 5 p.m. The shop closed.", 3),
        ("Wait... what? Yes! OK.", 3),
        ('He said "Stop." Then he left.', 2),
        ("这是第一句。这是第二句！好吗？", 3),
        ("यह पहला है। यह दूसरा है।", 2),
        ("هل هذا جيد؟ نعم.", 2),
        ("1. First item\n2. Second item\n- third", 3),
        ("# Title\nText here. More.", 3),
        ("hello there... this is fine. and so on.", 3),
        ("I met J. Smith. It was I. Then we left.", 3),
        ("Pick plan B. Engines start.", 2),
        ("No. I won't. See no. 5 there.", 3),
        ("Visit example.com. It works.", 2),
        ("Really?! Yes.", 2),
        ("One\n\nTwo\n\nThree", 3),
        ("Line one\nline two\nline three.", 1),
        ("One here.\n\n***\n\nTwo here.", 2),
        ("...", 0),
        ("", 0),
    ],
)
def test_sentences(text: str, number: int) -> None:
    assert len(Text(text).sentences) == number


def test_paragraphs_are_between_blank_lines_and_dividers_are_none() -> None:
    text = Text("One.\r\n\r\n \r\nTwo\nstill two.\n\n***\n\nThree.\n")
    assert [text.piece(span) for span in text.paragraphs] == ["One.", "Two\nstill two.", "Three."]
    assert len(text.lines) == 5


@pytest.mark.parametrize(
    ("keyword", "text", "found"),
    [
        ("art", "The department", 0),
        ("art", "ART, art; (art) *art* _art_ art's", 6),
        ("art", "snake_art art_house", 0),
        ("C++", "C++ and C++.", 2),
        ("東京", "東京タワーは東京にある", 2),
        ("café", "Café cafés", 1),
        ("solar panel", "solar\n panel solar-panel", 1),
        ("हिन्दी", "हिन्दी हिन्दीवाला", 1),
        ("don't", "don’t don't", 2),
    ],
)
def test_a_keyword_is_a_whole_word(keyword: str, text: str, found: int) -> None:
    assert len(whole(keyword).findall(text)) == found


@pytest.mark.parametrize("language", sorted(SENTENCES))
def test_a_language_is_known_by_its_own_sentences_and_by_no_others(language: str) -> None:
    assert other_language(" ".join(SENTENCES[language]), language) is None
    for other in ("en", "de", "ru", "ja", "hi", "fr", "ar"):
        if other != language:
            assert other_language(" ".join(SENTENCES[other]), language) is not None, other


@pytest.mark.parametrize(
    ("text", "english"),
    [
        ("HELLO WORLD", True),
        ("yes!", True),
        ("see you soon", True),
        ("roses are red\nviolets are blue", True),
        ("bonjour mes amis comment allez vous", False),
        ("je suis très content de vous voir ici mes chers amis", False),
        ("Привет, мир", False),
        ("42", False),
    ],
)
def test_english_is_told_from_little_text(text: str, english: bool) -> None:
    assert (looks_english(text, Text(text.lower()).forms) is None) is english


@pytest.mark.parametrize(
    ("text", "refuses"),
    [
        ("I can't help but love the rain and the river.", False),
        ("I don't do mornings, but evenings are mine.", False),
        ("I will not write about the sun today; the rain deserves its hour.", False),
        ("I do not write often, dear friend, but today I must.", False),
        ("I must answer your letter.", False),
        ("Unfortunately, I can't provide exact times, but it starts at noon.", False),
        ("I'm afraid I can't do that. Ask another.", True),
        ("I'd rather not write about rain.", True),
        ("Rain? I'm sorry, but I can't help with that.", True),
        ("I cannot fulfill your request.", True),
        ("I'm unable to assist you with this.", True),
    ],
)
def test_refusals(text: str, refuses: bool) -> None:
    assert refusal(text) is refuses


@pytest.mark.parametrize(
    "text",
    [
        "Hello, this is a test.",
        "Hi there my friend, how are you?",
        "Here is the translation: Der Hund schläft heute im Garten, und die Katze sitzt am Fenster.",
        "Sure! Here is the text in German:\n\nDer Hund schläft heute im Garten, und die Katze sitzt am Fenster.",
    ],
)
@pytest.mark.parametrize("language", ["de", "es", "it", "sw"])
def test_english_sentences_are_no_other_language(text: str, language: str) -> None:
    assert other_language(text, language, text.split("\n\n")) is not None


ASKED = "Write a short text about the rain."


@pytest.mark.parametrize(
    ("text", "again"),
    [
        (f"Sure! {ASKED}", True),
        (f"Prompt: {ASKED}", True),
        (f"Sure! Here is the prompt: {ASKED}", True),
        (f"{ASKED} ok", True),
        (f"{ASKED}\n{ASKED}", True),
        (f"{ASKED}\n\nThe rain fell all night.", False),
        ("The rain fell all night.", False),
    ],
)
def test_echoes(text: str, again: bool) -> None:
    assert echo(text, ASKED) is again


@pytest.mark.parametrize(
    ("text", "words", "sentences"),
    [
        ("1. The cat sat.\n2. The dog ran.", 6, 2),
        ("(1) Go on.\n- 2) Stop.", 3, 2),
        ("1990 was cold.", 3, 1),
        ("It was 12. Then 13.", 5, 2),
        ("12.", 1, 1),
        ("“Stop!” he cried. “Why?”", 4, 2),
        ("“Stop!” “Why?”", 2, 2),
        ("She has a Ph.D. in physics.", 7, 1),
        ("Wow! that is odd. Yes.", 5, 3),
        ("He asked (really?) and left.", 5, 1),
    ],
)
def test_numerals_of_lists_and_quoted_cries(text: str, words: int, sentences: int) -> None:
    read = Text(text)
    assert (len(read.words), len(read.sentences)) == (words, sentences)


def test_every_divider_of_markdown_parts_paragraphs() -> None:
    for divider in ("***", "* * *", "---", "- - -", "___"):
        assert len(Text(f"One.\n\n{divider}\n\nTwo.").paragraphs) == 2
