"""Programs as people write them, of as many nodes as a drawing is to be tried on: rewriting, asking, drafting, polishing.

They have what drawings must cope with: layers of many nodes with the same neighbours, layers whose nodes each lead
elsewhere, a graph inside the graph, an optional step, and a node that no walk uses.
"""

from __future__ import annotations

from dataclasses import dataclass

GENRES = [
    "essay",
    "dialogue",
    "debate",
    "interview",
    "letter",
    "speech",
    "poem",
    "diary",
    "memo",
    "report",
    "story",
    "fable",
    "lecture",
    "faq",
    "tutorial",
    "review",
    "obituary",
    "editorial",
    "synopsis",
    "sermon",
    "manifesto",
    "recipe",
    "script",
    "travelogue",
    "blog_post",
    "case_study",
    "press_release",
    "abstract",
    "legend",
    "riddle",
    "monologue",
    "postcard",
    "almanac",
    "chronicle",
    "critique",
    "eulogy",
    "pamphlet",
    "proverb",
    "limerick",
    "ballad",
    "sonnet",
    "elegy",
    "parody",
    "homily",
    "dispatch",
    "column",
    "glossary",
    "quiz",
]
TYPES = [
    "definition",
    "cause",
    "comparison",
    "procedure",
    "evidence",
    "opinion",
    "timeline",
    "counting",
    "paraphrase",
    "analogy",
    "exception",
    "consequence",
    "motive",
    "location",
    "translation",
    "summary",
]
LEVELS = ("primary", "school", "college", "expert")
METHODS = [
    "from_memory",
    "step_by_step",
    "by_elimination",
    "with_sources",
    "by_example",
    "by_contradiction",
    "socratic",
    "by_analogy",
    "with_table",
    "backwards",
    "two_views",
    "by_estimate",
]
TONES = [
    "plain",
    "friendly",
    "formal",
    "terse",
    "playful",
    "scholarly",
    "patient",
    "vivid",
    "neutral",
    "warm",
    "dry",
    "legal",
]


@dataclass(frozen=True)
class Size:
    """How many of each kind of node."""

    genres: int
    types: int
    levels: int
    methods: int
    tones: int
    drafts_a_type: int


SIZES = {60: Size(11, 6, 2, 6, 8, 3), 300: Size(48, 16, 4, 12, 12, 10)}


def program(nodes: int) -> str:
    """A `.forge` file of about so many nodes: 60 or 300."""
    return text_of(SIZES[nodes])


def text_of(size: Size) -> str:
    genres, types, levels = GENRES[: size.genres], TYPES[: size.types], LEVELS[: size.levels]
    methods, tones = METHODS[: size.methods], TONES[: size.tones]
    nodes = {f"rewrite_as_{genre}": _rewrite(genre) for genre in genres}
    nodes |= {f"ask_{type_}_{level}": _ask(type_, level) for type_ in types for level in levels}
    for number, type_ in enumerate(types):
        for k in range(size.drafts_a_type):
            method = methods[(number * 5 + k) % len(methods)]
            nodes[f"draft_{type_}_{method}"] = _draft(type_, method)
    nodes |= {f"check_{method}": _check(method) for method in methods}
    nodes |= {f"polish_{tone}": _polish(tone) for tone in tones}
    listed = ", ".join([*nodes, "translate_to_latin", "finish"])
    head = _head(genres, types, levels, methods, tones)
    return "\n".join([head, *nodes.values(), _tail().replace("NODES", listed)])


def _values(names: tuple[str, ...] | list[str]) -> str:
    return " | ".join(f'"{name}"' for name in names)


def _head(
    genres: list[str], types: list[str], levels: tuple[str, ...], methods: list[str], tones: list[str]
) -> str:
    return f'''
struct Passage {{ text: str  genre: {_values(["article", *genres])} = "article"  lang: str = "en" }}
struct Question {{ text: str  type: {_values(types)} = "{types[0]}"  level: {_values(levels)} = "{levels[0]}" }}
struct Draft {{ text: str  method: {_values(methods)} = "{methods[0]}"  checked: bool = false }}
struct Answer {{ text: str  tone: {_values(["none", *tones])} = "none"  score: float = 0.0 }}
generator writer {{ temperature 0.8  max_tokens 800 }}
generator checker {{ temperature 0.0 }}
judge critic
rubric helpful {{
  """Grade as somebody who asked the question would."""
  relevance "The answer addresses the question." in 1..5
  grounding "Nothing in it contradicts the passage." in 1..5
  accept relevance >= 3 and grounding >= 3
}}
'''


def _rewrite(genre: str) -> str:
    words = genre.replace("_", " ")
    return f'''
node rewrite_as_{genre} {{
  """Tell the article again as a {words}, and leave its facts as they are."""
  takes Passage
  gives Passage
  pre   Passage.genre == "article", words(Passage.text) >= 60
  post  words(Passage.text) >= 40
  keeps Passage.lang
  ask writer {{
    prompt """
      Rewrite this article as a {words}. Keep every fact.

      {{{{ Passage.text }}}}
    """
    into Passage.text
  }}
  set Passage.genre = "{genre}"
}}'''


def _ask(type_: str, level: str) -> str:
    return f'''
node ask_{type_}_{level} {{
  """Ask for a {type_} at the level of {level}."""
  takes Passage
  gives Question
  post  words(Question.text) in 4..60
  ask writer {{
    system "You write questions for {level} readers."
    prompt "Ask one question about {type_} that this passage answers.\\n\\n{{{{ Passage.text }}}}"
    into Question.text
  }}
  set Question.type = "{type_}"
  set Question.level = "{level}"
  retry 3
}}'''


def _draft(type_: str, method: str) -> str:
    return f'''
node draft_{type_}_{method} {{
  """Draft an answer about {type_}, {method.replace("_", " ")}."""
  takes Passage, Question
  gives Draft
  pre   Question.type == "{type_}"
  post  words(Draft.text) >= 20
  ask writer {{ thinking auto  prompt "{{{{ Passage.text }}}}\\n\\n{{{{ Question.text }}}}"  into Draft.text }}
  set Draft.method = "{method}"
  weight 2
}}'''


def _check(method: str) -> str:
    return f'''
node check_{method} {{
  """Check a draft that was written {method.replace("_", " ")} against the passage, and mend it."""
  takes Passage, Draft
  gives Draft
  pre   Draft.method == "{method}", not Draft.checked
  post  words(Draft.text) >= 20
  keeps Draft.method
  ask checker {{ prompt "Mend what the passage contradicts.\\n{{{{ Draft.text }}}}"  into Draft.text }}
  set Draft.checked = true
}}'''


def _polish(tone: str) -> str:
    return f'''
node polish_{tone} {{
  """Write the answer in a {tone} tone."""
  takes Draft
  gives Answer
  pre   Draft.checked
  post  words(Answer.text) in 10..400
  ask writer {{ prompt "Say this in a {tone} tone: {{{{ Draft.text }}}}"  into Answer.text }}
  set Answer.tone = "{tone}"
  set Answer.score = 0.0
}}'''


def _tail() -> str:
    return '''
node shorten {
  """Shorten an answer of many words."""
  takes Answer
  gives Answer
  pre   Answer.score == 0, words(Answer.text) >= 10
  post  words(Answer.text) in 10..120
  ask writer { prompt "Shorten: {{ Answer.text }}"  into Answer.text }
  set Answer.score = 1.0
}
node leave_long {
  """Leave the answer as long as it is."""
  takes Answer
  gives Answer
  pre   Answer.score == 0
  keeps Answer.text
  post  words(Answer.text) >= 10
  set Answer.score = 1.0
}
node grade {
  """Have the answer graded; what is not accepted goes back once."""
  takes Question, Answer
  gives Answer
  pre   Answer.score == 1
  post  Answer.score >= 3
  ask writer { prompt "Improve: {{ Question.text }} {{ Answer.text }}"  into Answer.text }
  judge critic { rubric helpful  score Answer.score  rounds 1 }
}
node translate_to_latin {
  """Translate; nothing here ever writes German, so no walk uses it."""
  takes Passage
  gives Passage
  pre   Passage.lang == "de"
  post  words(Passage.text) >= 10
  ask writer { prompt "Translate: {{ Passage.text }}"  into Passage.text }
  set Passage.lang = "la"
}
graph finish {
  """Settle the length of an answer, then have it graded."""
  from Question, Answer where Answer.score == 0, words(Answer.text) >= 10
  to   Answer where Answer.score >= 3
  nodes shorten, leave_long, grade
}
graph tutoring {
  """Questions and answers about passages, in many genres, kinds and tones."""
  from  Passage where Passage.genre == "article", Passage.lang == "en", words(Passage.text) >= 60
  to    Answer where Answer.score >= 3
  nodes NODES
  walk  uniform
  emit { user "{{ Question.text }}"  assistant "{{ Answer.text }}" }
}
'''
