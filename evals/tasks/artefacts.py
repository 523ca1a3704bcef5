"""Whether what a model writes is damaged: broken symbols, tokens that should not be seen, words of another script, a torn end.

Thirty open questions in ten languages, with nothing right or wrong about them. The score counts undamaged answers; the measures say
what the damage is: `damaged` (characters that no writer meant), `mixed` (words of a script that neither the question nor the answer
is in), `torn` (an end within a sentence, where the model ended by itself), each of the answer; `damaged_thinking` and
`mixed_thinking` of its thinking.
"""

from __future__ import annotations

from dataforge.verifiers.protocol import failed, passed
from dataforge.verifiers.spoken import Spoken
from evals.behaviour import cut_short, damaged, mixed_scripts
from evals.data import Own, Row
from evals.probe import Probe
from evals.task import Item, Judged
from schemas.task import Task

ASKED = {
    "en": ("Describe how bread is made, in one paragraph.", "Why do leaves fall in autumn?", "Tell a short story about a lost key."),
    "de": ("Beschreibe in einem Absatz, wie Brot gebacken wird.", "Warum fallen im Herbst die Blätter?", "Erzähle eine kurze Geschichte von einem verlorenen Schlüssel."),
    "fr": ("Décris en un paragraphe comment on fait du pain.", "Pourquoi les feuilles tombent-elles en automne ?", "Raconte une courte histoire de clé perdue."),
    "es": ("Describe en un párrafo cómo se hace el pan.", "¿Por qué caen las hojas en otoño?", "Cuenta una historia breve sobre una llave perdida."),
    "pt": ("Descreva em um parágrafo como se faz pão.", "Por que as folhas caem no outono?", "Conte uma breve história sobre uma chave perdida."),
    "it": ("Descrivi in un paragrafo come si fa il pane.", "Perché le foglie cadono in autunno?", "Racconta una breve storia di una chiave smarrita."),
    "ru": ("Опиши в одном абзаце, как пекут хлеб.", "Почему осенью опадают листья?", "Расскажи короткую историю о потерянном ключе."),
    "zh": ("用一段话描述面包是怎样做成的。", "为什么秋天树叶会落下？", "讲一个关于丢失的钥匙的短故事。"),
    "ja": ("パンの作り方を一段落で説明してください。", "なぜ秋に葉が落ちるのですか。", "なくした鍵についての短い話をしてください。"),
    "ar": ("صف في فقرة واحدة كيف يُصنع الخبز.", "لماذا تسقط الأوراق في الخريف؟", "احكِ قصة قصيرة عن مفتاح ضائع."),
}  # fmt: skip
ROWS = tuple(
    {"id": f"{language}/{number}", "language": language, "question": question}
    for language, questions in ASKED.items()
    for number, question in enumerate(questions)
)


class Artefacts(Probe):
    """Undamaged text in ten languages: no broken symbols, stray scripts or torn ends."""

    name = "artefacts"
    sources = (Own("artefacts", ROWS),)

    def item(self, row: Row, number: int) -> Item:
        return Item(str(row["id"]), Task(prompt=row["question"], topic=row["language"]))

    def seen(self, item: Item, said: Spoken, finish_reason: str | None) -> Judged:
        answer = said.answer
        found = {"damaged": damaged(answer), "mixed": mixed_scripts(answer, item.task.prompt)}
        torn = finish_reason == "stop" and cut_short(answer)
        measures = {name: float(bool(pieces)) for name, pieces in found.items()} | {"torn": float(torn)}
        if said.reasoning:
            measures["damaged_thinking"] = float(bool(damaged(said.reasoning)))
            measures["mixed_thinking"] = float(
                bool(mixed_scripts(said.reasoning, f"{item.task.prompt} thinking"))
            )
        pieces = [piece for each in found.values() for piece in each]
        if pieces or torn:
            what = ", ".join(repr(piece) for piece in pieces[:3]) or "it ends within a sentence"
            return Judged(failed(what, answer), {"pieces": pieces[:20]}, measures)
        return Judged(passed(answer), measures=measures)
