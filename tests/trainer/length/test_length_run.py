"""All of length control as one command: a scripted policy over HTTP, a tiny model that is tuned and asked in the process.

The command runs in processes of its own, which are killed wherever they are.
"""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from dataforge.errors import InputError
from tests.trainer.nursery import Nursery, until
from trainer.conversations import Conversations
from trainer.length.run import STAGE, _Stages
from trainer.length.settings import TABLES, Settings, load
from trainer.length.trace import read_traces

SERVER = Path(__file__).with_name("policy_server.py")
STAGES = ("before", "forced", "sampled", "masked", "tuned", "control", "after", "after-control", "report")
BUDGET = 24
PAGE = (Path(__file__).parents[3] / "docs" / "length.md").read_text(encoding="utf-8")


@contextmanager
def served(folder: Path, *arguments: str) -> Iterator[str]:
    """A policy server, by the address of its API; it ends with us."""
    with subprocess.Popen(
        [sys.executable, str(SERVER), str(folder / "requests.jsonl"), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.kill()


def problems(path: Path, thoughts: list[int]) -> str:
    lines = (
        {"id": f"{path.stem}-{n}", "prompt": f"problem {n}: think {think}, answer 16", "expected": str(n)}
        for n, think in enumerate(thoughts)
    )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def lessons(path: Path) -> str:
    rows = (
        {
            "messages": [
                {"role": "user", "content": f"problem {n}"},
                {"role": "assistant", "content": f"answer: {n}", "reasoning_content": "hm"},
            ]
        }
        for n in range(20)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def settings(folder: Path, url: str, *, tuned: str = "", **length: object) -> Path:
    """A file of settings: six problems of which four are cut, five that are measured."""
    told = {"budgets": [BUDGET], "context": 256, "answer_tokens": 32, "control": True, **length}
    if "ordinary" not in told:
        told["ordinary"] = [lessons(folder / "lessons.jsonl")]
    file = folder / "length.toml"
    file.write_text(
        f"""
preset = "tiny"
[problems]
train = [{json.dumps(problems(folder / "train.jsonl", [5, 40, 60, 12, 80, 33]))}]
benchmarks = [{json.dumps(problems(folder / "bench.jsonl", [7, 30, 90, 150, 21]))}]
[policy]
base_url = "{url}"
model = "scripted"
temperature = 0.6
concurrency = 2
[length]
{"".join(f"{key} = {json.dumps(value)}{chr(10)}" for key, value in told.items())}
[train]
steps = 6
rows = 2
threads = 1
[checkpoint]
every = 1
{tuned}
"""
    )
    return file


@pytest.fixture(scope="module")
def whole(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nobody disturbed, its settings beside it."""
    folder = tmp_path_factory.mktemp("whole")
    with served(folder) as url:
        code, said = nursery.run("length", "run", settings(folder, url), "--out", folder / "out")
    assert code == 0, said
    return folder / "out"


def files(out: Path) -> dict[str, str]:
    """What a run leaves for good, hashed."""
    kept = ("data/*", "finished/*", "unfit/*", "model/*", "rows/data/*", "report.json", "report.png")
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for stage in STAGES
        for pattern in kept
        for path in sorted((out / stage).glob(pattern))
    }


def test_every_stage_leaves_its_folder_and_the_report_has_all_arms(whole: Path) -> None:
    assert [name for name in STAGES if (whole / name / STAGE).is_file()] == list(STAGES)
    report = json.loads((whole / "report" / "report.json").read_text())
    assert report["arms"] == ["before", f"forced {BUDGET}", "control", "after"]
    before, forced = read_traces(whole / "before"), read_traces(whole / "forced")
    assert sorted(t.thinking_tokens for t in before) == [7, 21, 30, 90, 150]
    assert sorted(t.thinking_tokens for t in forced) == [7, 21, BUDGET, BUDGET, BUDGET]
    after = read_traces(whole / "after")
    assert {t.problem for t in before} == {t.problem for t in after}
    # Other weights, so other traces.
    assert not {t.id for t in before} & {t.id for t in after}
    told = json.loads((whole / "tuned" / STAGE).read_text())["result"]["mix"]
    # Four of six problems were thought about for longer than the budget; a tag and an end of each are trained.
    assert told["masked"] == {"samples": 4, "tokens": told["masked"]["tokens"], "trained": 8}
    assert told["ordinary"]["samples"] == 4


def test_the_control_trains_the_ordinary_rows_alone_as_many_a_step_for_as_many_steps(whole: Path) -> None:
    mixed = (whole / "tuned" / "rows" / "data" / "train-00000-of-00001.jsonl").read_text().splitlines()
    alone = (whole / "control" / "rows.jsonl").read_text().splitlines()
    assert alone == [line for line in mixed if "mask" not in json.loads(line)]
    assert len(alone) == 4
    both, told = (
        json.loads((whole / name / "packed" / "manifest.json").read_text())["counts"]["samples"]
        for name in ("tuned", "control")
    )
    assert (both, told) == (8, 4)
    steps = [
        json.loads((whole / name / "summary.json").read_text())["steps"] for name in ("tuned", "control")
    ]
    assert steps == [6, 6]
    result = json.loads((whole / "control" / STAGE).read_text())["result"]
    # Two rows a step, packed: half of the samples fill less than half of the rows.
    assert (result["batch"], result["samples"]) == (1, 4)
    control, tuned = read_traces(whole / "after-control"), read_traces(whole / "after")
    assert {t.problem for t in control} == {t.problem for t in tuned}
    assert not {t.id for t in control} & {t.id for t in tuned}


def test_two_processes_tune_to_the_weights_of_one_and_one_speaks(
    whole: Path, nursery: Nursery, tmp_path: Path
) -> None:
    sets = [f"--set={s}" for s in ("train.steps=4", "train.rows=2", "train.threads=1", "data.context=256")]
    given = [whole / "masked", "--ordinary", lessons(tmp_path / "lessons.jsonl"), "--preset", "tiny", *sets]
    one, two = tmp_path / "one", tmp_path / "two"
    code, said = nursery.run("length", "tune", *given, "--out", one)
    assert code == 0, said
    first, second = nursery.both("length", "tune", *given, "--out", two)
    assert (first.wait(), second.wait()) == (0, 0), first.log.read_text() + second.log.read_text()
    assert "4 masked (50.0% of samples" in first.log.read_text()
    assert "loss" not in second.log.read_text()
    ours, theirs = (load_file(out / "model" / "model.safetensors") for out in (one, two))
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) < 1e-5


def test_a_run_that_is_killed_in_every_stage_ends_with_the_same_files(
    whole: Path, nursery: Nursery, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    moments = {
        "before": lambda: (out / "before" / "journal").exists(),
        "sampled": lambda: (out / "sampled" / "journal").exists(),
        "masked": lambda: (out / "masked" / "manifest.json").exists(),
        "tuned": lambda: any((out / "tuned" / "checkpoints").glob("step-*[0-9]")),
        "control": lambda: any((out / "control" / "checkpoints").glob("step-*[0-9]")),
        "after": lambda: (out / "after" / "journal").exists(),
        "report": lambda: (out / "report").exists(),
    }
    with served(tmp_path, "--slow") as url:
        file = settings(tmp_path, url)
        killed = 0
        for moment, came in moments.items():
            child = nursery.start("length", "run", file, "--out", out)
            until(lambda came=came, child=child: came() or not child.running())
            assert came(), f"{moment}: {child.log.read_text()}"
            if child.running():
                child.kill(signal.SIGKILL)
            killed += child.wait() == -signal.SIGKILL
        assert killed >= 4, "it was never caught at work"
        code, said = nursery.run("length", "run", file, "--out", out)
    assert code == 0, said
    assert "before: done already" in said
    assert files(out) == files(whole)
    # What was answered before a kill was not asked again, but for what was in flight: two calls, and a greeting.
    asked = [json.loads(line)["body"] for line in (tmp_path / "requests.jsonl").read_text().splitlines()]
    assert len(asked) - len(set(asked)) <= 2 * 3 + 4


def test_several_budgets_are_asked_for_in_training_and_afterwards(nursery: Nursery, tmp_path: Path) -> None:
    with served(tmp_path) as url:
        told: dict[str, Any] = {
            "ask": "reasoning budget: {budget}",
            "samples": 2,
            "finished": True,
        }
        file = settings(tmp_path, url, budgets=[12, BUDGET], **told)
        code, said = nursery.run("length", "run", file, "-o", tmp_path / "out", "--json")
    assert code == 0, said
    report = json.loads(said[said.index("{\n") :])
    trained = ["control 12", "control 24", "after 12", "after 24"]
    assert report["arms"] == ["before", "forced 12", "forced 24", *trained]
    assert list(report["dial"]) == ["control 12 + control 24", "after 12 + after 24"]
    for dial in report["dial"].values():
        assert [step["asked"] for step in dial["steps"]] == [12, BUDGET]
    rows = list(Conversations([str(tmp_path / "out" / "tuned" / "rows")], ("final",)))
    masked = [row for row in rows if row.mask]
    assert len({row.id for row in rows}) == len(rows) == 2 * len(masked)
    assert {row.budget for row in masked} == {12, BUDGET}
    assert all(row.messages[0].content == f"reasoning budget: {row.budget}" for row in masked)


def test_a_report_that_is_lost_is_told_of(whole: Path, tmp_path: Path) -> None:
    report = whole / "report" / "report.json"
    away = report.rename(tmp_path / "report.json")
    try:
        with pytest.raises(InputError, match=r"has lost its report\.json") as refused:
            again(load(whole.parent / "length.toml"), whole)
        assert refused.value.code == "L007"
    finally:
        away.rename(report)


def test_a_run_that_is_done_asks_nothing_and_says_the_same(whole: Path, nursery: Nursery) -> None:
    before = files(whole)
    code, said = nursery.run("length", "run", whole.parent / "length.toml", "--out", whole, "--json")
    assert code == 0, said
    assert files(whole) == before
    document = json.loads(said[said.index("{") :])
    assert document == json.loads((whole / "report" / "report.json").read_text())


@pytest.mark.parametrize(
    ("old", "new", "stage", "what"),
    [
        ("context = 256", "context = 255", "before", "`length.context` was 256 and is 255"),
        ("temperature = 0.6", "temperature = 0.7", "before", "`policy.temperature` was 0.6 and is 0.7"),
        ("budgets = [24]", "budgets = [25]", "forced", r"`length.budgets` was \[24\] and is \[25\]"),
        ("[length]", "[length]\nmeasured = 2", "before", "`length.measured` was 1 and is 2"),
        ("[length]", "[length]\nsamples = 2", "sampled", "`length.samples` was 1 and is 2"),
        (
            "[train]",
            '[model]\npath = "embedded"\n[train]',
            "before",
            "`model.tokenizer` was 'tiny' and is 'embedded'",
        ),
        ("[train]", '[data]\npacking = "none"\n[train]', "tuned", "`data.packing` was 'ffd' and is 'none'"),
        ("steps = 6", "steps = 7", "tuned", "`train.steps` was 6 and is 7"),
        ("[train]", "mix = 0.25\n[train]", "tuned", "`length.mix` was 0.5 and is 0.25"),
        ("[train]", "output = 99\n[train]", "report", "`length.output` was 204 and is 99"),
    ],
)
def test_a_setting_that_a_stage_depended_on_cannot_be_changed(
    old: str, new: str, stage: str, what: str, whole: Path, tmp_path: Path
) -> None:
    told = (whole.parent / "length.toml").read_text()
    assert old in told
    changed = tmp_path / "length.toml"
    changed.write_text(told.replace(old, new, 1))
    before = files(whole)
    with pytest.raises(InputError, match=f"{stage} was made with other settings: {what}") as refused:
        again(load(changed), whole)
    assert refused.value.code == "L007"
    assert files(whole) == before


@pytest.mark.parametrize(
    ("name", "stage", "what"),
    [
        ("train", "sampled", "the text of problems is"),
        ("lessons", "tuned", "the text of ordinary rows is"),
    ],
)
def test_rows_that_a_stage_depended_on_cannot_be_changed(
    name: str, stage: str, what: str, whole: Path, tmp_path: Path
) -> None:
    rows = whole.parent / f"{name}.jsonl"
    changed = tmp_path / f"{name}.jsonl"
    changed.write_text(rows.read_text().replace("problem 1", "problem one"))
    file = tmp_path / "length.toml"
    file.write_text((whole.parent / "length.toml").read_text().replace(str(rows), str(changed)))
    told = load(file)
    length = replace(told.length, ordinary=load(whole.parent / "length.toml").length.ordinary)
    if name == "lessons":
        # Of one name and with other content.
        kept = rows.read_bytes()
        rows.write_bytes(changed.read_bytes())
    try:
        with pytest.raises(
            InputError, match=f"{stage} was made with other settings: {what} something else"
        ) as refused:
            again(replace(told, length=length), whole)
        assert refused.value.code == "L007"
    finally:
        if name == "lessons":
            rows.write_bytes(kept)


def test_a_problem_that_is_measured_is_not_trained_on(tmp_path: Path) -> None:
    told = load(settings(tmp_path, "http://127.0.0.1:9/v1"))
    row = json.loads(Path(told.problems.benchmarks[0]).read_text().splitlines()[2])
    twin = {"id": "another", "prompt": f"  {row['prompt'].upper()}"}
    with Path(told.problems.train[0]).open("a") as stream:
        stream.write(json.dumps(twin) + "\n")
    with pytest.raises(
        InputError, match=r"1 of 7 problems to train on .* `another`, which is `bench-2`"
    ) as refused:
        again(told, tmp_path / "out")
    assert refused.value.code == "L001"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", ["concurrency = 3", 'base_url = "http://127.0.0.1:1/v1"'])
def test_what_changes_no_answer_may_be_changed(change: str, whole: Path, tmp_path: Path) -> None:
    key = change.partition(" =")[0]
    lines = (whole.parent / "length.toml").read_text().splitlines()
    changed = tmp_path / "length.toml"
    changed.write_text("\n".join(change if line.startswith(f"{key} =") else line for line in lines))
    assert again(load(changed), whole)["arms"][0] == "before"


def again(told: Settings, out: Path) -> dict[str, Any]:
    """The run in this process, as the command line has it."""
    from dataforge.cli._length_run import Models
    from trainer.length.run import run

    return run(told, out, Models(quiet=True))


def test_a_tuned_model_that_is_served_elsewhere_is_waited_for(nursery: Nursery, tmp_path: Path) -> None:
    """The command stops when it is to be served, says so, and goes on once it is: here by `dataforge serve`."""
    names = ("tuned", "control")

    def tables(*urls: str) -> str:
        said = (f'[{n}]\nmodel = "{n}"\nbase_url = "{u}"\n' for n, u in zip(names, urls, strict=True))
        return 'gguf = "f16"\n' + "".join(said)

    with served(tmp_path) as url:
        nowhere = tables("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1")
        closed = settings(tmp_path, url, tuned=nowhere, forced=False)
        code, said = nursery.run("length", "run", closed, "--out", tmp_path / "out")
        assert code == 3, said
        assert "`tuned` is to be served now: http://127.0.0.1:1/v1 does not answer" in said
        assert f"serve the weights in {tmp_path / 'out' / 'tuned' / 'model'}" in said
        assert not (tmp_path / "out" / "after").exists()
        servers = [nursery.start("serve", tmp_path / "out" / name, "--port", "0", "--json") for name in names]
        for server in servers:
            until(
                lambda server=server: (
                    (server.log.exists() and "}" in server.log.read_text()) or not server.running()
                )
            )
        addresses = [json.loads(server.log.read_text())["base_url"] for server in servers]
        half = settings(tmp_path, url, tuned=tables(addresses[0], "http://127.0.0.1:2/v1"), forced=False)
        code, said = nursery.run("length", "run", half, "--out", tmp_path / "out")
        assert code == 3, said
        assert "the control model `control` is to be served now: http://127.0.0.1:2/v1" in said
        opened = settings(tmp_path, url, tuned=tables(*addresses), forced=False)
        code, said = nursery.run("length", "run", opened, "--out", tmp_path / "out", "--json")
        for server in servers:
            server.kill(signal.SIGTERM)
            server.wait()
    assert code == 0, said
    assert json.loads(said[said.index("{\n") :])["arms"] == ["before", "control", "after"]


def test_a_control_that_is_served_and_not_wished_for_is_refused(tmp_path: Path) -> None:
    table = '[control]\nmodel = "c"\nbase_url = "http://127.0.0.1:9/v1"\n'
    file = settings(tmp_path, "http://127.0.0.1:9/v1", tuned=table, control=False)
    with pytest.raises(InputError, match=r"`length\.control` is not set") as refused:
        load(file)
    assert refused.value.code == "L001"


def test_a_stage_is_done_once(tmp_path: Path) -> None:
    done: list[str] = []

    def work(out: Path) -> dict[str, Any]:
        out.mkdir()
        done.append(out.name)
        return {"n": (1, 2)}

    first, second = (_Stages(tmp_path, lambda line: None) for _ in range(2))
    assert first.stage("a", {"x": (1,)}, work) == {"n": (1, 2)}
    assert second.stage("a", {"x": [1]}, work) == {"n": [1, 2]}
    assert done == ["a"]
    assert second.came_out("a") == {"what came out of a": {"n": [1, 2]}}
    for inputs, what in (
        ({"x": [2]}, "`x` was"),
        ({}, "`x` was"),
        ({"x": [1], "y": 0}, "`y` was None and is 0"),
    ):
        with pytest.raises(InputError, match=what):
            second.stage("a", inputs, work)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("budgets = [24]", "budgets = []", "`length.budgets` is empty"),
        ("budgets = [24]", "budgets = [24, 24]", "named twice"),
        ("budgets = [24]", "budgets = [24, 48]", "several budgets, and `length.ask` is empty"),
        ("budgets = [24]", "budgets = [24.5]", "must be a list of whole numbers"),
        ("budgets = [24]", "budgets = [0]", "must be from 1"),
        ("budgets = [24]", 'budgets = [24]\nask = "short"', "has no place for the budget"),
        ("budgets = [24]", 'budgets = [24]\nstrategy = "all"', "there is no such strategy"),
        ("budgets = [24]", "budgets = [240]", "leave no room for a prompt"),
        ("budgets = [24]", "budgets = [24]\nmix = 1.5", "must be from 0"),
        ("budgets = [24]", "budgets = [24]\nmixed = 0.5", "there is no key `length.mixed`"),
        ("ordinary = [", "# [", "nothing ordinary to mix in"),
        ("benchmarks = [", "# [", "`problems.benchmarks` is empty"),
        ("train = [", "# [", "`problems.train` is empty"),
        ("[policy]", "[polity]", r"there is no table \[polity\]"),
        ('model = "scripted"', 'modell = "scripted"', "`policy.modell`"),
        ("temperature = 0.6", "thinking_budget = 6", "would be closed by the client"),
        (
            "[checkpoint]",
            "[tuned]\ntemperature = 1.0\n[checkpoint]",
            "does not say where the model answers",
        ),
        ("context = 256", "context = 4096", "a model in this process has 3,072"),
        ('base_url = "http', 'base_url = "ftp', "`policy.base_url.0`: an address starts with"),
        ("[checkpoint]", '[data]\npaths = ["x"]\n[checkpoint]', "`data.paths` is the mix's"),
        ("[checkpoint]", "[optimiser]\n[checkpoint]", r"there is no table \[optimiser\]"),
        ("preset =", "preset = 3 #", "`preset` must be a string"),
        (
            "[checkpoint]",
            '[tuned]\nmodel = "scripted"\nbase_url = "http://127.0.0.1:9/v1"\n[checkpoint]',
            "are one model at one address",
        ),
        (
            "[checkpoint]",
            '[tuned]\nmodel = "tuned"\nbase_url = "http://127.0.0.1:9/v1"\n[checkpoint]',
            r"of \[tuned\] and \[control\] only one is there",
        ),
        ("[train]", "mix = 0.0\n[train]", "trains the ordinary samples alone, and `length.mix` is 0"),
    ],
)
def test_settings_that_are_wrong_or_at_odds_are_refused(
    old: str, new: str, what: str, tmp_path: Path
) -> None:
    file = settings(tmp_path, "http://127.0.0.1:9/v1")
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=what) as refused:
        load(file)
    assert refused.value.code in ("L001", "L006")
    assert refused.value.help


def test_the_page_has_every_setting_with_its_default_and_a_file_that_is_read(tmp_path: Path) -> None:
    rows = dict(
        re.findall(r"^\| `((?:length|problems)\.\w+)` \| (?:`([^|]*)`)? ?\|", PAGE, flags=re.MULTILINE)
    )
    assert set(rows) == set(TABLES.types)
    defaults = TABLES.build({})
    for key, written in rows.items():
        table, name = key.split(".")
        default = getattr(defaults[table], name)
        # What must be told has no default on the page.
        told = tomllib.loads(f"value = {written}")["value"] if written else ()
        assert (tuple(told) if isinstance(told, list) else told) == default, key
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE.partition("### Settings")[2], flags=re.DOTALL)
    file = tmp_path / "length.toml"
    file.write_text(example)
    assert load(file).tuned is not None


def test_settings_have_what_follows_from_them(tmp_path: Path) -> None:
    """Rows hold what is sampled, the weights can be asked here, and the tuned model is asked as the policy was."""
    told = load(settings(tmp_path, "http://127.0.0.1:9/v1"))
    assert told.training.data.context == told.length.context == 256
    assert told.training.checkpoint.gguf == "f16"
    assert told.output == 204
    table = '[tuned]\nmodel = "other"\nbase_url = "http://127.0.0.1:9/v1"\nconcurrency = 1\n[data]\ncontext = 300\n'
    told = load(settings(tmp_path, "http://127.0.0.1:9/v1", tuned=table, control=False))
    assert told.tuned is not None
    assert (told.tuned.temperature, told.tuned.concurrency) == (0.6, 1)
    assert told.training.checkpoint.gguf == "none"
    assert told.training.data.context == 300


def test_it_is_one_process(nursery: Nursery, tmp_path: Path) -> None:
    file = settings(tmp_path, "http://127.0.0.1:9/v1")
    code, said = nursery.run("length", "run", file, "--out", tmp_path / "out", WORLD_SIZE="2")
    assert code == 2
    assert "error[L001]" in said
    assert "torchrun … -m dataforge length tune" in said
    assert not (tmp_path / "out").exists()
