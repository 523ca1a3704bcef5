"""Sampling from a policy behind HTTP whose every token is known: what is cut, what is kept, through kills and resumes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import policy_server as script
import pytest
from sampling_nursery import SamplingNursery

from dataforge.cli._length_book import JournalBook
from dataforge.cli._length_sample import known_context
from dataforge.errors import InputError, ModelError
from dataforge.models import connect
from dataforge.models.client import ChatReply, ChatRequest, ModelSpec, Sampling
from dataforge.run.journal import CallRecord, Journal
from schemas.chat import Message
from tests.trainer.nursery import Nursery, until
from trainer.chat import SHIPPED
from trainer.length.policy import Draft, EndpointPolicy, heard
from trainer.length.prompts import Prompt, asking
from trainer.length.sample import SamplingPlan, sample, slack
from trainer.length.trace import Trace, encode, read_manifest, read_traces
from trainer.masks import Renderer
from trainer.tiny import tiny_tokenizer
from trainer.turn import in_pieces

SERVER = Path(__file__).with_name("policy_server.py")
FORMS = ("tags", "parsed", "opened", "plain")


@dataclass
class Server:
    """A policy server that runs.

    Attributes:
        url: of its API.
        log: a line for each request, also of servers before it on the same log.
    """

    process: subprocess.Popen[str]
    url: str
    log: Path

    def requests(self) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines]

    def calls(self) -> int:
        return self.log.read_bytes().count(b"\n") if self.log.exists() else 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def serving(log: Path, *options: str) -> Iterator[Server]:
    process = subprocess.Popen(
        [sys.executable, "-S", str(SERVER), str(log), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    server = Server(process, f"http://127.0.0.1:{int(process.stdout.readline())}/v1", log)
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """One of each form."""
    folder = tmp_path_factory.mktemp("servers")
    with (
        serving(folder / "tags", "--form", "tags") as tags,
        serving(folder / "parsed", "--form", "parsed") as parsed,
        serving(folder / "opened", "--form", "opened") as opened,
        serving(folder / "plain", "--form", "plain") as plain,
    ):
        yield dict(zip(FORMS, (tags, parsed, opened, plain), strict=True))


@pytest.fixture(scope="module")
def renderers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Renderer]:
    """What each form is rendered by here."""
    qwen = SHIPPED["qwen3"].read_text()
    opened = tmp_path_factory.mktemp("templates") / "opened.jinja"
    header, off = "{{- '<|im_start|>assistant\\n' }}\n    {%- if off %}", "{%- if off %}"
    assert qwen.count(header) == 1
    opened.write_text(
        qwen.replace(header, header.replace(off, "{%- if not off %}{{- '<think>\\n' }}{%- endif %}" + off))
    )
    tokenizer = tiny_tokenizer()
    return {
        "tags": Renderer(tokenizer, "qwen3"),
        "parsed": Renderer(tokenizer, "qwen3"),
        "opened": Renderer(tokenizer, str(opened)),
        "plain": Renderer(_without_tags(), "chatml"),
    }


def _without_tags() -> Any:
    """The tokenizer, for which the tags of thinking are text, as for SmolLM2."""
    tokenizer = tiny_tokenizer()
    document = json.loads(tokenizer.backend_tokenizer.to_str())
    document["added_tokens"] = [t for t in document["added_tokens"] if t["content"] in script.SPECIAL[:3]]
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    plain = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer.from_str(json.dumps(document)),
        eos_token="<|im_end|>",
        bos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
    )
    plain.chat_template = tokenizer.chat_template
    return plain


def _prompt(number: int, think: int, answer: int, more: str = "") -> Prompt:
    told = f"problem {number}: think {think}, answer {answer}{more}"
    return Prompt(f"p{number}-{think}-{answer}", "script", (Message(role="user", content=told),), str(number))


def _sampled(
    server: Server, renderer: Renderer, prompts: Sequence[Prompt], plan: SamplingPlan, **options: Any
) -> list[Trace]:
    async def run() -> list[Trace]:
        spec = ModelSpec(
            "policy",
            "generator",
            "openai",
            "scripted",
            "scripted",
            Sampling(seed=0),
            options={"base_url": (server.url,), "retry_base_s": 0.01, **options},
        )
        backend = connect(spec)
        try:
            return await sample(prompts, EndpointPolicy(spec, backend), renderer, plan)
        finally:
            await backend.close()

    return asyncio.run(run())


# ---- to the token


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("budget", [1, 40, 300])
def test_traces_are_what_the_script_says_to_the_token(
    servers: dict[str, Server], renderers: dict[str, Renderer], form: str, budget: int
) -> None:
    """Both cases, around the budget and the slack, for each way in which servers and templates show thinking.

    The server refuses to go on from anything but the tokens that it wrote itself, up to the cut.
    """
    lengths = sorted({1, budget - 1, budget, budget + 1, budget + slack(budget), 3 * budget + 50} - {0})
    prompts = [
        _prompt(number, think, answer)
        for number, (think, answer) in enumerate((t, a) for t in lengths for a in (20, 400))
    ]
    renderer = renderers[form]
    found = _sampled(servers[form], renderer, prompts, SamplingPlan(budget, 5000, 500, samples=2))
    assert [(t.problem, t.sample) for t in found] == [(p.problem, n) for p in prompts for n in (0, 1)]
    for trace, prompt in zip(found, [p for p in prompts for _ in range(2)], strict=True):
        number, think, length = map(int, trace.problem[1:].split("-"))
        think += 7 * trace.sample
        thoughts, said = script.thinking(number, think), script.answer(number, length)
        turn = in_pieces(renderer, prompt.messages, (), "")
        opening = len(turn.opening)
        closing = len(turn.before_tag) + len(turn.tag) + 2
        whole = opening + think + closing + len(said) + 1
        assert trace.prompt_tokens == len(turn.prompt)
        assert (trace.budget, trace.limit, trace.unfit, trace.ended) == (budget, 5000, None, True)
        assert trace.thinking_tokens == len(encode(trace.thinking, renderer.tokenizer))
        assert trace.answer_tokens == len(encode(trace.answer, renderer.tokenizer))
        assert trace.score == 1.0
        if think > budget:
            assert (trace.case, trace.closed, trace.forced) == ("thinking", False, True)
            assert trace.thinking == thoughts[:budget]
            assert trace.thinking_tokens == budget
            assert trace.answer == script.forced(number, budget)
        else:
            case = "finished" if whole <= opening + budget + slack(budget) else "answer"
            assert (trace.case, trace.closed, trace.forced) == (case, True, False)
            assert (trace.thinking, trace.answer) == (thoughts, said)
    assert {t.case for t in found} == {"thinking", "finished", "answer"}


def test_a_measurement_appends_nothing(servers: dict[str, Server], renderers: dict[str, Renderer]) -> None:
    prompts = [_prompt(1, 100, 30), _prompt(2, 900, 30), _prompt(3, 500, 300)]
    before = servers["tags"].calls()
    done, endless, cut = _sampled(
        servers["tags"], renderers["tags"], prompts, SamplingPlan(None, 700, samples=1)
    )
    assert (done.case, done.closed, done.unfit, done.score) == ("finished", True, None, 1.0)
    assert done.thinking == script.thinking(1, 100)
    assert (endless.case, endless.closed, endless.forced) == ("thinking", False, False)
    assert (endless.unfit, endless.score, endless.ended, endless.answer) == ("overlong", 0.0, False, "")
    # All of the context but the prompt, the opening and the white space at the ends.
    room = 700 - endless.prompt_tokens - 2
    assert endless.thinking == script.thinking(2, 900)[:room].strip()
    assert endless.thinking_tokens == len(endless.thinking)
    assert (cut.case, cut.closed, cut.unfit, cut.thinking_tokens) == ("answer", True, "unended", 500)
    assert [r["path"] for r in servers["tags"].requests()[before:]] == ["/chat/completions"] * 4


def test_half_a_character_at_the_end_of_the_context_is_no_thinking(
    servers: dict[str, Server], renderers: dict[str, Renderer]
) -> None:
    prompts = [_prompt(1, 900 + n, 30, " in French") for n in range(2)]
    found = _sampled(servers["tags"], renderers["tags"], prompts, SamplingPlan(None, 700))
    assert {t.thinking.replace("a", "").strip("é") for t in found} == {""}
    assert {700 - t.prompt_tokens - 2 - t.thinking_tokens for t in found} == {0, 1}


def test_half_a_character_at_the_cut_is_kept_apart(
    servers: dict[str, Server], renderers: dict[str, Renderer]
) -> None:
    even, odd = (_prompt(1, n, 30, " in French") for n in (100, 101))
    whole, half = _sampled(servers["tags"], renderers["tags"], [even, odd], SamplingPlan(40, 2000))
    assert (whole.unfit, whole.thinking, whole.thinking_tokens) == (None, "é" * 20, 40)
    assert (half.unfit, half.thinking, half.thinking_tokens) == ("unstable", "a" + "é" * 19 + "\ufffd", 40)
    # It is a trace all the same: it was closed at its budget, and answered.
    assert half.answer == whole.answer == script.forced(1, 40)


def test_an_answer_that_does_not_end_is_kept_apart(
    servers: dict[str, Server], renderers: dict[str, Renderer]
) -> None:
    prompts = [_prompt(1, 100, 30), _prompt(2, 20, 400)]
    forced, running = _sampled(servers["tags"], renderers["tags"], prompts, SamplingPlan(40, 2000, 9))
    assert (forced.case, forced.unfit, forced.ended) == ("thinking", "unended", False)
    assert forced.answer == script.forced(1, 40)[:7]  # two of the nine tokens are white space
    assert (running.case, running.unfit, running.ended) == ("answer", "unended", False)
    assert script.answer(2, 400).startswith(running.answer)


def test_budgets_can_be_asked_for(servers: dict[str, Server], renderers: dict[str, Renderer]) -> None:
    prompt = asking(_prompt(1, 100, 30), 40, "reasoning budget: {budget}")
    (trace,) = _sampled(servers["tags"], renderers["tags"], [prompt], SamplingPlan(40, 2000))
    assert (trace.asked, trace.thinking_tokens, trace.unfit) == (40, 40, None)
    assert trace.messages[0] == Message(role="system", content="reasoning budget: 40")


def test_equal_calls_share_a_reply(servers: dict[str, Server], renderers: dict[str, Renderer]) -> None:
    prompt, before = _prompt(1, 100, 30), servers["tags"].calls()
    prompts = [replace(prompt, problem=f"{n}") for n in range(5)]
    found = _sampled(servers["tags"], renderers["tags"], prompts, SamplingPlan(40, 2000))
    assert len({t.id for t in found}) == 5
    assert len({t.answer for t in found}) == 1
    assert servers["tags"].calls() == before + 4  # a greeting of two, and two calls


# ---- what policies do otherwise


SEVEN = Draft(None, False, "\n\n7", stopped=True)
LONG = Draft("x" * 90, False, "", stopped=False)


class Odd:
    """A policy in this process that says what it is told to say."""

    name = weights = "odd"

    def __init__(self, first: Draft, then: Draft = SEVEN) -> None:
        self.first, self.then = first, then
        self.seen: list[tuple[int, ...]] = []

    async def think(self, messages: Sequence[Message], *, tokens: int, sample: int) -> Draft:
        return self.first

    async def go_on(self, prompt: Sequence[int], *, tokens: int, sample: int) -> Draft:
        self.seen.append(tuple(prompt))
        return self.then


@pytest.mark.parametrize(
    ("first", "then", "case", "unfit"),
    [
        (LONG, "7", "thinking", None),
        (LONG, "no, </think> 7", "thinking", "reopened"),
        (LONG, "<think> again", "thinking", "reopened"),
        (LONG, "as in <|im_start|>", "thinking", "control"),
        (replace(LONG, thinking="<|im_end|>" + "x" * 90), "7", "thinking", "control"),
        (replace(LONG, thinking="<think>" + "x" * 90), "7", "thinking", None),
        (replace(LONG, thinking="so </think>" + "x" * 90), "7", "thinking", "reopened"),
        (replace(LONG, thinking="x" * 39), "7", "thinking", "short"),
        (replace(LONG, thinking="x" * 40), "7", "thinking", None),
        (replace(LONG, stopped=True), "7", "thinking", None),
        (Draft("x" * 39, False, "", stopped=True), "7", "finished", None),
        (Draft(None, False, "at on", stopped=False), "ce: 7", "answer", "thoughtless"),
        (Draft(None, False, "at once: 7", stopped=True), "", "finished", None),
        (Draft("  \n", True, "I sa", stopped=False), "y: 7", "answer", "thoughtless"),
    ],
)
def test_what_training_must_not_see_is_kept_apart(
    renderers: dict[str, Renderer], first: Draft, then: str, case: str, unfit: str | None
) -> None:
    policy = Odd(first, Draft(None, False, then, stopped=True))
    (trace,) = asyncio.run(sample([_prompt(1, 0, 0)], policy, renderers["tags"], SamplingPlan(40, 2000)))
    assert (trace.case, trace.unfit) == (case, unfit)
    assert trace.thinking_tokens == 40 or unfit in ("short", "thoughtless") or case == "finished"
    assert trace.closed == (first.closed or first.thinking is None)
    # Of what the server cut too early nothing was closed, from outside either.
    assert trace.forced == (case == "thinking" and unfit != "short")


def test_an_answer_without_thinking_goes_on_from_its_own_tokens(renderers: dict[str, Renderer]) -> None:
    policy = Odd(Draft(None, False, "at on", stopped=False), Draft(None, False, "ce: 7", stopped=True))
    prompt, renderer = _prompt(7, 0, 0), renderers["tags"]
    (trace,) = asyncio.run(sample([prompt], policy, renderer, SamplingPlan(40, 2000)))
    header = in_pieces(renderer, prompt.messages, (), "").prompt
    assert policy.seen[-1] == (*header, *encode("at on", renderer.tokenizer))
    assert (trace.answer, trace.score, trace.thinking) == ("at once: 7", 0.0, "")


def test_where_the_prompt_opens_the_thinking_a_text_without_tags_is_thinking(
    renderers: dict[str, Renderer],
) -> None:
    policy = Odd(Draft(None, False, "x" * 90, stopped=False))
    (trace,) = asyncio.run(sample([_prompt(7, 0, 0)], policy, renderers["opened"], SamplingPlan(40, 2000)))
    assert (trace.thinking, trace.case, trace.answer, trace.score) == ("x" * 40, "thinking", "7", 1.0)


def test_where_the_server_opens_the_thinking_a_text_without_tags_is_thinking(
    renderers: dict[str, Renderer],
) -> None:
    prompt, renderer = _prompt(7, 0, 0), renderers["tags"]
    turn = in_pieces(renderer, prompt.messages, (), "")
    counted = len(turn.prompt + turn.opening)
    policy = Odd(Draft(None, False, "x" * 90, stopped=False, prompt_tokens=counted))
    (trace,) = asyncio.run(sample([prompt], policy, renderer, SamplingPlan(40, 2000)))
    assert (trace.thinking, trace.case, trace.closed, trace.answer) == ("x" * 40, "thinking", False, "7")
    assert policy.seen[-1][:counted] == turn.prompt + turn.opening


@pytest.mark.parametrize(
    ("text", "reasoning", "told"),
    [
        ("<think>\nso\n</think>\n\n7", None, ("so", True, "7")),
        ("so\n</think>\n\n7", None, ("so", True, "7")),
        (" <think>so", None, ("so", False, "")),
        ("7", None, (None, False, "7")),
        ("7 <think> so </think>", None, (None, False, "7 <think> so </think>")),
        ("7", "so", ("so", True, "7")),
        ("", "so", ("so", False, "")),
        ("7", "", ("", True, "7")),
        ("a\ud83d b", None, (None, False, "a\ufffd b")),
        ("", "so\ufffd", ("so", False, "")),
    ],
)
def test_thinking_is_told_from_the_answer_however_it_comes(
    text: str, reasoning: str | None, told: tuple[str | None, bool, str]
) -> None:
    draft = heard(ChatReply(text, reasoning, finish_reason="length"))
    thinking = None if draft.thinking is None else draft.thinking.strip()
    assert (thinking, draft.closed, draft.answer.strip()) == told
    forced = heard(ChatReply(text, reasoning, finish_reason="stop", forced=True))
    assert forced.stopped
    assert not (reasoning and forced.closed)


# ---- what is under way, and what is kept


def test_calls_in_flight_end_before_a_failure_is_told(renderers: dict[str, Renderer]) -> None:
    class Failing(Odd):
        async def think(self, messages: Sequence[Message], *, tokens: int, sample: int) -> Draft:
            if tokens > 1:  # no greeting
                await asyncio.sleep(0.01 * sample)
                if sample == 0:
                    raise RuntimeError("down")
                ended.append(sample)
            return self.first

    ended: list[int] = []
    with pytest.raises(RuntimeError, match="down"):
        asyncio.run(
            sample([_prompt(1, 0, 0)], Failing(SEVEN), renderers["tags"], SamplingPlan(40, 2000, samples=2))
        )
    assert ended == [1]


def test_a_reply_is_in_the_journal_before_anything_builds_on_it() -> None:
    class Slow:
        def reply(self, key: str) -> None:
            return None

        async def put_call(self, record: CallRecord) -> None:
            await asyncio.sleep(0)
            kept.append(record.reply)

    class Seven:
        async def complete(self, request: ChatRequest) -> ChatReply:
            return said

    async def run() -> None:
        policy = EndpointPolicy(spec, Seven(), JournalBook(Slow(), spec))  # type: ignore[arg-type]
        await policy.think(_prompt(1, 0, 0).messages, tokens=9, sample=0)
        assert kept == [said]

    kept: list[ChatReply] = []
    said, spec = (
        ChatReply("7", None, finish_reason="stop"),
        ModelSpec("policy", "generator", "openai", "m", "m"),
    )
    asyncio.run(run())


# ---- what is refused


def test_a_server_that_renders_prompts_otherwise_is_found_out_at_the_first_call(
    tmp_path: Path, renderers: dict[str, Renderer]
) -> None:
    prompts = [_prompt(n, 100, 30) for n in range(20)]
    with serving(tmp_path / "log", "--skew", "3") as server, pytest.raises(InputError) as refused:
        _sampled(server, renderers["tags"], prompts, SamplingPlan(40, 2000))
    assert refused.value.code == "L003"
    ours = len(in_pieces(renderers["tags"], prompts[0].messages, (), "").prompt)
    assert f"counts {ours + 3} tokens" in refused.value.message
    assert f"here {ours}, or {ours + 2} with <think>" in refused.value.message
    assert server.calls() == 1


def test_a_server_without_raw_completions_is_found_out_before_any_thinking(
    tmp_path: Path, renderers: dict[str, Renderer]
) -> None:
    with serving(tmp_path / "log", "--chat-only") as server:
        with pytest.raises(ModelError) as refused:
            _sampled(server, renderers["tags"], [_prompt(1, 100, 30)], SamplingPlan(40, 2000))
        assert refused.value.code == "L004"
        assert [r["max_tokens"] for r in server.requests()] == [1, 1]
        # To measure, chat is enough.
        (trace,) = _sampled(server, renderers["tags"], [_prompt(1, 100, 30)], SamplingPlan(None, 2000))
    assert trace.case == "finished"


def test_a_context_without_room_is_refused_before_any_call(
    servers: dict[str, Server], renderers: dict[str, Renderer]
) -> None:
    prompts, before = [_prompt(1, 100, 30), _prompt(22, 100, 30)], servers["tags"].calls()
    needed = len(in_pieces(renderers["tags"], prompts[1].messages, (), "").to_tag) + 40 + 50
    assert len(_sampled(servers["tags"], renderers["tags"], prompts, SamplingPlan(40, needed, 50))) == 2
    before = servers["tags"].calls()
    with pytest.raises(InputError, match=f"1 of 2 prompts .* `p22-100-30`, needs {needed}") as refused:
        _sampled(servers["tags"], renderers["tags"], prompts, SamplingPlan(40, needed - 1, 50))
    assert refused.value.code == "L001"
    assert servers["tags"].calls() == before


# ---- the command: kills, signals, and servers that go away


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    found = SamplingNursery(tmp_path_factory.mktemp("nursery"))
    yield found
    found.close()


class Setting:
    """Prompts, a binding, and the command that samples for them."""

    def __init__(self, folder: Path, url: str, problems: int = 24) -> None:
        self.folder, self.url = folder, url
        draw = random.Random(5)
        rows = [
            {
                "id": n,
                "prompt": f"problem {n}: think {draw.randrange(1, 250)}, answer {draw.randrange(30, 300)}",
            }
            for n in range(problems)
        ]
        (folder / "prompts.jsonl").write_text(
            "".join(f"{json.dumps({**r, 'expected': r['id']})}\n" for r in rows)
        )
        tiny_tokenizer(SHIPPED["qwen3"].read_text()).save_pretrained(folder / "model")
        (folder / "policy.toml").write_text(
            f'[models.policy]\nbase_url = "{url}"\nmodel = "scripted"\nseed = 0\nconcurrency = 4\n'
            "retry_base_s = 0.01\nrate_limit_wait_s = 0.05\n"
        )

    def command(self, out: str, *more: str) -> list[object]:
        return [
            "length", "sample", self.folder / "prompts.jsonl", "--models", self.folder / "policy.toml",
            "--model", self.folder / "model", "--out", self.folder / out,
            *(more or ("--budget", "96", "--context", "2000", "--samples", "2")),
        ]  # fmt: skip

    def files(self, out: str) -> dict[str, str]:
        """Each file with a hash of its bytes."""
        found = (path for path in (self.folder / out).rglob("*") if path.is_file())
        return {
            str(path.relative_to(self.folder / out)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in found
        }

    def acknowledged(self, out: str) -> set[int]:
        """The requests whose replies are in the journal, by the serial that the server gave them."""
        path = self.folder / out / "journal"
        if not (path / "journal.sqlite").exists():
            return set()
        with sqlite3.connect(path / "journal.sqlite") as reader:
            header = dict(reader.execute("SELECT name, value FROM header"))
        reader.close()
        with Journal.open(path, header) as journal:
            return {int(call.reply.model.removeprefix("scripted-")) for call in journal.calls()}


@pytest.mark.parametrize("told", ["many", 1.5, True, 0])
def test_a_context_that_is_no_number_is_refused(told: object) -> None:
    spec = ModelSpec("policy", "generator", "openai", "m", "m", options={"context_length": told})
    with pytest.raises(InputError, match="context_length") as refused:
        known_context(spec)
    assert refused.value.code == "L001"
    assert known_context(replace(spec, options={"context_length": 2000})) == 2000


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[Setting, Server]]:
    with serving(tmp_path / "log", "--slow") as server:
        yield Setting(tmp_path, server.url), server


def test_killed_sampling_resumes_without_repeating_a_call(
    nursery: Nursery, slow: tuple[Setting, Server]
) -> None:
    setting, server = slow
    assert nursery.run(*setting.command("whole"))[0] == 0
    calls = server.calls()
    draw, settled, kills = random.Random(), set[str](), 0
    for _ in range(4):
        begun = server.calls()
        child = nursery.start(*setting.command("killed"))
        mark = begun + draw.randrange(1, calls // 4)
        until(lambda mark=mark: server.calls() >= mark)
        child.kill(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        kills += 1
        assert not settled & {r["body"] for r in server.requests()[begun:]}, (
            "an acknowledged call was made again"
        )
        serials = setting.acknowledged("killed")
        settled = {r["body"] for r in server.requests() if r["serial"] in serials}
    begun = server.calls()
    assert nursery.run(*setting.command("killed"))[0] == 0
    assert not settled & {r["body"] for r in server.requests()[begun:]}, "an acknowledged call was made again"
    assert server.calls() - calls <= calls + kills * 4, "more than the calls in flight were made again"
    assert setting.files("killed") == setting.files("whole")
    assert "journal/journal.sqlite" not in setting.files("whole")
    found = read_traces(setting.folder / "whole")
    assert len(found) == 48
    assert {t.case for t in found} == {"thinking", "finished", "answer"}
    assert all(t.thinking_tokens == 96 for t in found if t.case == "thinking")


def test_a_signal_lets_calls_in_flight_end_and_none_is_made_twice(
    nursery: Nursery, slow: tuple[Setting, Server]
) -> None:
    setting, server = slow
    child = nursery.start(*setting.command("out"))
    until(lambda: server.calls() >= 20)
    child.kill(signal.SIGTERM)
    assert child.wait() == 3
    said = child.log.read_text()
    assert "waiting for the calls in flight" in said
    assert "to go on: dataforge" in said
    assert len(setting.acknowledged("out")) == server.calls()
    assert nursery.run(*setting.command("out"))[0] == 0
    bodies = [r["body"] for r in server.requests()]
    assert len(set(bodies)) == len(bodies)


def test_a_server_that_goes_away_ends_the_command_and_what_was_sampled_is_kept(
    nursery: Nursery, slow: tuple[Setting, Server]
) -> None:
    setting, server = slow
    child = nursery.start(*setting.command("out"))
    until(lambda: server.calls() >= 20)
    server.kill()
    assert child.wait() == 1
    assert "what was sampled is kept, to go on: dataforge" in child.log.read_text()
    serials = setting.acknowledged("out")
    assert serials
    settled = {r["body"] for r in server.requests() if r["serial"] in serials}
    port = server.url.removesuffix("/v1").rpartition(":")[2]
    with serving(setting.folder / "log again", "--port", port) as again:
        assert nursery.run(*setting.command("out"))[0] == 0
    assert not settled & {r["body"] for r in again.requests()}
    assert len(read_traces(setting.folder / "out")) == 48


def test_a_folder_is_of_one_run_and_a_finished_one_is_told_of_again(
    nursery: Nursery, servers: dict[str, Server], tmp_path: Path
) -> None:
    setting = Setting(tmp_path, servers["tags"].url, problems=3)
    code, said = nursery.run(*setting.command("out"))
    assert code == 0
    files, calls = setting.files("out"), servers["tags"].calls()
    code, again = nursery.run(*setting.command("out"))
    assert (code, again) == (0, said)
    assert servers["tags"].calls() == calls
    for other in (
        ("--budget", "95", "--context", "2000", "--samples", "2"),
        ("--budget", "96", "--context", "2000", "--samples", "3"),
        ("--budget", "measure", "--context", "2000"),
    ):
        code, said = nursery.run(*setting.command("out", *other))
        assert code == 2
        assert "error[L007]" in said
    binding = tmp_path / "policy.toml"
    binding.write_text(binding.read_text() + "options = { repeat_penalty = 1.0 }\n")
    code, said = nursery.run(*setting.command("out"))
    assert (code, "the traces of another run: other options" in said) == (2, True)
    assert setting.files("out") == files


def test_a_folder_of_something_else_is_left_alone(nursery: Nursery, tmp_path: Path) -> None:
    setting = Setting(tmp_path, "http://127.0.0.1:9/v1", problems=1)
    (tmp_path / "out" / "data").mkdir(parents=True)
    (tmp_path / "out" / "data" / "train.parquet").write_bytes(b"somebody's")
    files = setting.files("out")
    code, said = nursery.run(*setting.command("out"))
    assert (code, "error[L007]" in said, "not empty" in said) == (2, True, True)
    assert setting.files("out") == files


def test_a_refused_command_can_be_mended(nursery: Nursery, tmp_path: Path) -> None:
    with serving(tmp_path / "log") as server:
        setting = Setting(tmp_path, server.url, problems=2)
        code, said = nursery.run(*setting.command("out"), "--ask", "think briefly")
        assert (code, "error[L001]" in said) == (2, True)
        code, said = nursery.run(*setting.command("out"), "--template", "hermes4-14b")
        assert (code, "error[L003]" in said) == (2, True)
        assert not setting.files("out")
        assert nursery.run(*setting.command("out"))[0] == 0


def test_several_budgets_are_sampled_into_one_folder(
    nursery: Nursery, servers: dict[str, Server], tmp_path: Path
) -> None:
    setting = Setting(tmp_path, servers["tags"].url, problems=6)
    more = ("--budget", "50,1k", "--context", "3000", "--ask", "reasoning budget: {budget}", "--json")
    code, said = nursery.run(*setting.command("out", *more))
    assert code == 0
    document = json.loads(said)
    assert [(arm["budget"], arm["asked"], arm["traces"]) for arm in document["arms"]] == [
        (50, 50, 6),
        (1000, 1000, 6),
    ]
    found = read_traces(tmp_path / "out")
    assert {(t.budget, t.messages[0].content) for t in found} == {
        (50, "reasoning budget: 50"),
        (1000, "reasoning budget: 1k"),
    }
    assert read_manifest(tmp_path / "out")["arms"] == document["arms"]


@pytest.mark.parametrize(
    "wrong",
    [
        ("--budget", "0"),
        ("--budget", "many"),
        ("--budget", "8,8"),
        ("--budget", "8", "--asked", "8"),
        ("--budget", "measure", "--ask", "budget: {budget}"),
    ],
)
def test_settings_at_odds_are_refused(nursery: Nursery, tmp_path: Path, wrong: tuple[str, ...]) -> None:
    setting = Setting(tmp_path, "http://127.0.0.1:9/v1", problems=1)
    code, said = nursery.run(*setting.command("out", *wrong))
    assert (code, "error[L001]" in said) == (2, True)
    assert not (tmp_path / "out").exists()
