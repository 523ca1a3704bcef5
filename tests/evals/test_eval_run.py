"""`dataforge eval` against a server that fails in every way: each sample has its status, none is missing, none is asked twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evals.log import SAMPLES, read_log
from tests.cli.commands import command, dataforge, environment
from tests.evals.faulty import KINDS, STATUS, Faulty, write

OF_EACH = dict.fromkeys(KINDS, 3) | {"right": 9}


def evaluate(folder: Path, server: Faulty, *more: str) -> Any:
    models = server.models(folder)
    return dataforge(
        "eval", "reasoning", "--data", "reasoning=rows.jsonl", "--models", models, "--out", "out", "--json", *more,
        cwd=folder,
    )  # fmt: skip


def test_every_fault_has_its_status_and_nothing_leaves_the_denominator(tmp_path: Path) -> None:
    write(tmp_path / "rows.jsonl", OF_EACH)
    with Faulty() as server:
        done = evaluate(tmp_path, server, "--on-error", "record")
    assert done.code == 1, done.err
    told = done.json()["reasoning"]
    expected: Counter[str] = Counter()
    for kind, count in OF_EACH.items():
        expected[STATUS[kind]] += count
    assert told["status"] == dict(expected)
    assert told["samples"] == sum(OF_EACH.values())
    log = read_log(tmp_path / "out" / "reasoning")
    assert {s.item: s.status for s in log.samples} == {
        f"{kind}-{number}": STATUS[kind] for kind, count in OF_EACH.items() for number in range(count)
    }
    right, lost = expected["right"], sum(expected[s] for s in ("refused", "unserved", "timeout", "fault"))
    assert told["low"] == pytest.approx(right / told["samples"])
    assert told["high"] == pytest.approx((right + lost) / told["samples"])
    assert told["score"]["value"] == pytest.approx(right / (told["samples"] - lost))
    assert told["of_parsed"]["value"] == pytest.approx(right / (right + expected["wrong"]))
    assert told["unclosed"] == pytest.approx(6 / (told["samples"] - 9)), "of the samples that were answered"


def test_what_was_lost_says_by_whom_and_keeps_what_there_is(tmp_path: Path) -> None:
    write(tmp_path / "rows.jsonl", dict.fromkeys(KINDS, 1))
    with Faulty() as server:
        evaluate(tmp_path, server, "--on-error", "record")
    by = {s.topic: s for s in read_log(tmp_path / "out" / "reasoning").samples}
    assert by["dead"].problem is not None
    assert (by["dead"].problem.kind, by["dead"].problem.code) == ("server", "R007")
    assert by["senseless"].problem is not None
    assert by["senseless"].problem.kind == "task"
    assert by["senseless"].completion.startswith("Answer: "), "the answer is there, to be judged again"
    assert by["storm"].requests == 3
    assert by["thinking"].reasoning is not None
    assert by["thinking"].extracted is None, "what stands in thinking that was cut off is no answer"
    assert by["cut"].extracted is None
    several = by["several"].candidates
    assert [c.text for c in several if c.rejected] == ["A", "B"]
    assert by["right"].span is not None
    assert by["right"].completion[slice(*by["right"].span)] == "A"


def test_a_run_halts_at_a_sample_that_the_server_fails_at_and_goes_on_from_there(tmp_path: Path) -> None:
    write(tmp_path / "rows.jsonl", {"right": 30, "dead": 1})
    with Faulty() as server:
        done = evaluate(tmp_path, server)
        assert (done.code, done.json()["error"]["code"]) == (1, "R007")
        assert "--on-error record" in done.json()["error"]["help"]
        kept = read_log(tmp_path / "out" / "reasoning").samples
        assert {s.status for s in kept} == {"right"}
        before = dict(server.asked)
        again = evaluate(tmp_path, server, "--on-error", "record")
        assert again.json()["reasoning"]["status"] == {"right": 30, "unserved": 1}
        assert all(server.asked[p] == n for p, n in before.items() if "<right>" in p), (
            "nothing was asked twice"
        )


def test_killed_and_started_again_nothing_is_asked_twice_and_nothing_is_missing(tmp_path: Path) -> None:
    write(tmp_path / "rows.jsonl", {"right": 60, "wrong": 20})
    with Faulty(latency_s=0.15) as server:
        models = server.models(tmp_path, concurrency=4)
        arguments = command(
            "eval",
            "reasoning",
            "--data",
            "reasoning=rows.jsonl",
            "--models",
            models,
            "--out",
            "out",
            "-k",
            "2",
        )
        for least in (20, 60, 100):
            process = subprocess.Popen(
                arguments, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            ends = time.monotonic() + 60
            while server.asked.total() < least and time.monotonic() < ends:
                time.sleep(0.01)
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        # A write that was cut off by a power cut is no sample.
        with (tmp_path / "out" / "reasoning" / SAMPLES).open("ab") as stream:
            stream.write(b'{"task":"reasoning","item":"right-0","sa')
        done = subprocess.run(
            [*arguments, "--json"], cwd=tmp_path, env=environment(), capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)["reasoning"]
    assert told["status"] == {"right": 120, "wrong": 40}
    samples = read_log(tmp_path / "out" / "reasoning").samples
    assert len({s.key for s in samples}) == len(samples) == 160
    # Each prompt has two samples; only calls in flight at a kill, four at most each time, were made again.
    assert 160 <= server.asked.total() <= 160 + 3 * 4
    assert not (tmp_path / "out" / "journal").exists()


def test_a_whole_log_is_not_asked_again_and_another_evaluation_does_not_mix_into_it(tmp_path: Path) -> None:
    write(tmp_path / "rows.jsonl", {"right": 4})
    with Faulty() as server:
        assert evaluate(tmp_path, server).code == 0
        assert evaluate(tmp_path, server).code == 0
        assert server.asked.total() == 4
        other = evaluate(tmp_path, server, "--temperature", "0.5")
        assert (other.code, other.json()["error"]["code"]) == (2, "E020")
        assert "`sampling`" in other.json()["error"]["message"]
    manifest = json.loads((tmp_path / "out" / "reasoning" / "manifest.json").read_text())
    assert manifest["server"]["models"] == [{"id": "faulty", "owned_by": "tests", "max_model_len": 4096}]
    assert manifest["summary"]["status"] == {"right": 4}
    assert manifest["data"]["rows"] == 4


def test_samples_of_one_item_and_what_they_amount_to(tmp_path: Path) -> None:
    write(tmp_path / "rows.jsonl", {"right": 4, "wrong": 4})
    with Faulty() as server:
        told = evaluate(tmp_path, server, "-k", "4").json()["reasoning"]
    assert (told["samples"], told["items"]) == (32, 8)
    assert told["pass_at"] == {"1": 0.5, "2": 0.5, "4": 0.5}
    assert told["majority"] == 0.5


def test_limits_draw_from_all_of_the_data_and_the_same_each_time(tmp_path: Path) -> None:
    write(tmp_path / "rows.jsonl", {"right": 50, "wrong": 50})
    with Faulty() as server:
        told = evaluate(tmp_path, server, "--limit", "30").json()["reasoning"]
        assert told["samples"] == 30
        assert set(told["status"]) == {"right", "wrong"}
        assert evaluate(tmp_path, server, "--limit", "30").code == 0
        assert server.asked.total() == 30


def test_a_server_that_refuses_everything_ends_the_run(tmp_path: Path) -> None:
    write(tmp_path / "rows.jsonl", {"long": 60})
    with Faulty() as server:
        done = evaluate(tmp_path, server, "--on-error", "record")
    assert (done.code, done.json()["error"]["code"]) == (1, "R008")
    assert server.asked.total() < 60


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["reasonin"], "E001"),
        (["reasoning", "--model", "nobody"], "R001"),
        (["reasoning", "--data", "maths=x.jsonl"], "E011"),
        (["reasoning", "--data", "none.jsonl"], "E011"),
        (["reasoning", "--data", "broken.jsonl"], "E011"),
        (["reasoning", "--data", "other.jsonl"], "E012"),
        (["reasoning", "--data", "twice.jsonl"], "E012"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_asked(
    tmp_path: Path, arguments: list[str], code: str
) -> None:
    (tmp_path / "broken.jsonl").write_text('{"prompt": ')
    (tmp_path / "other.jsonl").write_text('{"question": "?"}\n')
    (tmp_path / "twice.jsonl").write_text('{"id": 1, "prompt": "?"}\n' * 2)
    done = dataforge("eval", *arguments, cwd=tmp_path)
    assert done.code == 2
    assert f"error[{code}]" in done.err, done.err
    assert not (tmp_path / "out").exists()


def test_ctrl_c_keeps_what_was_answered(tmp_path: Path) -> None:
    write(tmp_path / "rows.jsonl", {"right": 200})
    with Faulty(latency_s=0.1) as server:
        models = server.models(tmp_path, concurrency=2)
        process = subprocess.Popen(
            command("eval", "reasoning", "--data", "rows.jsonl", "--models", models, "--out", "out"),
            cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        ends = time.monotonic() + 60
        while server.asked.total() < 10 and time.monotonic() < ends:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 3
    assert b"to go on: dataforge eval" in err
    assert len(read_log(tmp_path / "out" / "reasoning").samples) == server.asked.total() >= 10


def test_servers_that_come_and_go_lose_and_double_nothing(tmp_path: Path) -> None:
    """Of three servers one is gone from the start and one dies half-way: the third answers what they did not."""
    write(tmp_path / "rows.jsonl", {"right": 120, "wrong": 40})
    with Faulty(latency_s=0.05) as stays:
        leaves = Faulty(latency_s=0.05)
        leaves.__enter__()
        urls = [leaves.url, stays.url, "http://127.0.0.1:9/v1"]
        models = stays.models(tmp_path, base_url=urls, concurrency=6, total_timeout_s=20.0)
        process = subprocess.Popen(
            command("eval", "reasoning", "--data", "reasoning=rows.jsonl", "--models", models, "--out", "out", "--json"),
            cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while leaves.asked.total() < 20 and time.monotonic() < deadline:
            time.sleep(0.01)
        leaves.__exit__()
        out, err = process.communicate(timeout=100)
    assert process.returncode == 0, (out + err).decode()
    assert 20 <= leaves.asked.total() < 100, "it answered some, and died before all"
    assert json.loads(out)["reasoning"]["status"] == {"right": 120, "wrong": 40}
    keys = [s.key for s in read_log(tmp_path / "out" / "reasoning").samples]
    assert len(set(keys)) == len(keys) == 160
    twice = sum(count - 1 for count in (leaves.asked + stays.asked).values())
    assert twice <= 6, "at most what was in flight at the server that died is asked again"


def test_without_the_extra_nothing_is_asked(tmp_path: Path) -> None:
    write(tmp_path / "rows.jsonl", {"right": 3})
    with Faulty() as server:
        arguments = [
            "eval",
            "reasoning",
            "--data",
            "reasoning=rows.jsonl",
            "--models",
            str(server.models(tmp_path)),
        ]
        script = f"import sys; sys.modules['numpy'] = None; from dataforge.cli import main; main({arguments})"
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert "error[T013]: this command needs the package `numpy`" in done.stderr
    assert "help: pip install 'dataforge-compiler[evals]'" in done.stderr
    assert server.asked.total() == 0
