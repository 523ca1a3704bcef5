"""What an evaluation costs beside other frameworks, and whether judging hides behind asking.

    python benchmarks/evals.py --quick
    python benchmarks/evals.py --peers VENV/bin/python      # one in which inspect-ai, openai and lm-eval[api] are installed

`cost`: multiple-choice questions against a server of ours that answers after 20 ms, 100 requests at once. CPU seconds are of the
whole process, start-up included, as the system counts them for children. `bare` is the floor: an asyncio loop over aiohttp that
sends the same requests and looks for a letter. inspect-ai runs its `multiple_choice` solver and `choice` scorer with what it sets
by default but for the connections, lm-eval its `local-chat-completions` with a regular expression; both only where --peers names
an interpreter that has them. `most` is how many requests the server had in flight.

`overlap`: inference and judging take as long as each other; `ratio` is the wall time of both over that of asking alone.

The last line is one JSON object; its `ratio` is our CPU seconds over those of inspect-ai, or over those of `bare`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

CONNECTIONS = 100
LATENCY_S = 0.02
OPTIONS = ("north", "east", "south", "west")

SERVER = """
import asyncio, sys
from aiohttp import web
state = {"now": 0, "most": 0, "asked": 0}
LATENCY = float(sys.argv[1])
async def chat(request):
    body = await request.json()
    state["now"] += 1; state["asked"] += 1
    state["most"] = max(state["most"], state["now"])
    await asyncio.sleep(LATENCY)
    state["now"] -= 1
    return web.json_response({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "ANSWER: A"}}],
        "usage": {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34}})
async def told(request):
    answer = dict(state); state.update(now=0, most=0, asked=0)
    return web.json_response(answer)
async def main():
    app = web.Application()
    app.add_routes([web.post("/v1/chat/completions", chat), web.get("/state", told)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""

BARE = """
import asyncio, json, re, sys, aiohttp
async def main(url, path, connections):
    rows = [json.loads(line) for line in open(path)]
    places, right = asyncio.Semaphore(connections), 0
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:
        async def one(row):
            nonlocal right
            async with places:
                body = {"model": "m", "messages": [{"role": "user", "content": row["prompt"]}]}
                async with session.post(url + "/chat/completions", json=body) as answer:
                    text = (await answer.json())["choices"][0]["message"]["content"]
            found = re.search(r"ANSWER: ([A-D])", text)
            right += bool(found) and found[1] == row["facts"]["answer"]
        await asyncio.gather(*map(one, rows))
    print(json.dumps({"right": right}))
asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""

INSPECT = """
import json, sys
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import get_model
from inspect_ai.scorer import choice
from inspect_ai.solver import multiple_choice
url, path, connections, logs = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
rows = [json.loads(line) for line in open(path)]
data = [Sample(input=r["question"], choices=r["facts"]["options"], target=r["facts"]["answer"]) for r in rows]
model = get_model("openai/m", base_url=url, api_key="none", responses_api=False)
log = eval(Task(dataset=data, solver=multiple_choice(), scorer=choice()), model=model, log_dir=logs,
           max_connections=connections, max_samples=connections, display="none")[0]
print(json.dumps({"right": round(log.results.scores[0].metrics["accuracy"].value * len(rows))}))
"""

LM_EVAL_TASK = """
task: bench
dataset_path: json
dataset_kwargs: {{data_files: {{test: {path}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{prompt}}}}"
doc_to_target: "{{{{gold}}}}"
generation_kwargs: {{until: [], max_gen_toks: 64}}
filter_list:
  - name: letter
    filter: [{{function: regex, regex_pattern: "ANSWER: ([A-D])"}}, {{function: take_first}}]
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
"""


def rows(count: int) -> list[dict[str, Any]]:
    """Questions, a quarter of which the server answers rightly."""
    found = []
    for number in range(count):
        question = f"Which way does the wind of day {number} blow?"
        lettered = "\n".join(f"{letter}) {text}" for letter, text in zip("ABCD", OPTIONS, strict=True))
        gold = "ABCD"[number % 4]
        found.append(
            {
                "id": str(number),
                "question": question,
                "gold": gold,
                "prompt": f"{question}\n\n{lettered}\n\nEnd with a line `ANSWER: ` and a letter.",
                "facts": {"answer": gold, "options": list(OPTIONS)},
                "verifier": "multiple_choice",
            }
        )
    return found


@contextmanager
def serving(latency_s: float) -> Iterator[str]:
    """The server, in a process of its own; gives its address."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(latency_s)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()


def state(url: str) -> dict[str, int]:
    """What the server has seen since it was last asked."""
    with urllib.request.urlopen(url + "/state") as answer:
        found: dict[str, int] = json.load(answer)
        return found


def measured(arguments: list[str], folder: Path, **more: str) -> tuple[float, float, str]:
    """CPU seconds and wall seconds of a process with its children, and the last line that it printed."""
    (folder / "said.txt").unlink(missing_ok=True)
    env = {**os.environ, "OPENAI_API_KEY": "none", "PYTHONPATH": str(ROOT), **more}
    began = time.monotonic()
    with (folder / "said.txt").open("wb") as said, (folder / "err.txt").open("wb") as err:
        process = subprocess.Popen(arguments, cwd=folder, env=env, stdout=said, stderr=err)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    if process.returncode:
        raise SystemExit(f"{arguments[:4]} failed:\n{(folder / 'err.txt').read_text()[-3000:]}")
    return used.ru_utime + used.ru_stime, wall, (folder / "said.txt").read_text().strip()


def cost(folder: Path, count: int, peers: str | None) -> dict[str, Any]:
    """CPU seconds of each, on the same work in the same run."""
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(count)))
    found: dict[str, Any] = {}
    with serving(LATENCY_S) as url:

        def note(name: str, arguments: list[str], **more: str) -> str:
            state(url)
            cpu, wall, said = measured(arguments, folder, **more)
            seen = state(url)
            found[name] = {
                "cpu_s": round(cpu, 2),
                "wall_s": round(wall, 2),
                "most": seen["most"],
                "asked": seen["asked"],
            }
            print(
                f"{name:10} {cpu:8.2f} CPU s {wall:8.2f} s wall   {seen['most']:4} in flight   {seen['asked']:,} asked"
            )
            return said

        (folder / "models.toml").write_text(
            f'[models.generator]\nbackend = "openai"\nmodel = "m"\nbase_url = "{url}/v1"\nconcurrency = {CONNECTIONS}\n'
        )
        ours = [
            sys.executable,
            "-m",
            "dataforge",
            "eval",
            "reasoning",
            "--data",
            "rows.jsonl",
            "--models",
            "models.toml",
        ]
        note("bare", [sys.executable, "-c", BARE, f"{url}/v1", str(path), str(CONNECTIONS)])
        said = note("ours", [*ours, "--out", "out", "--json"])
        right = json.loads(said)["reasoning"]["status"]["right"]
        assert right == count // 4, f"{right} of {count // 4}"
        if peers is not None:
            note(
                "inspect",
                [peers, "-c", INSPECT, f"{url}/v1", str(path), str(CONNECTIONS), str(folder / "logs")],
            )
            (folder / "bench.yaml").write_text(LM_EVAL_TASK.format(path=path))
            lm_eval = [
                peers, "-m", "lm_eval", "--model", "local-chat-completions", "--tasks", str(folder / "bench.yaml"),
                "--apply_chat_template", "--model_args",
                f"model=m,base_url={url}/v1/chat/completions,num_concurrent={CONNECTIONS},tokenized_requests=False",
            ]  # fmt: skip
            note("lm-eval", lm_eval, HF_DATASETS_CACHE=str(folder / "cache"))
    measured(
        [sys.executable, "-c", "import time; from pathlib import Path; from evals.log import read_log; "
         "began = time.process_time(); log = read_log(Path('out/reasoning')); "
         "print(len(log.samples), time.process_time() - began)"],
        folder,
    )  # fmt: skip
    samples, seconds = (folder / "said.txt").read_text().split()
    assert int(samples) == count
    found["read_log_cpu_s"] = round(float(seconds), 3)
    print(f"the log of {count:,} samples is read in {float(seconds):.3f} CPU s")
    return found


def overlap(each_s: float, count: int, places: int) -> dict[str, Any]:
    """Wall seconds of asking alone, and with judging that takes as long."""
    from dataforge.models.client import ChatReply, ChatRequest, CompletionRequest
    from dataforge.verifiers import Response
    from dataforge.verifiers.protocol import passed
    from evals.data import Row
    from evals.log import LogWriter
    from evals.run import Job, evaluate
    from evals.task import Ask, EvalTask, Item, Judged
    from schemas.task import Task

    class Sleeps(EvalTask):
        """Judges as long as it is told to."""

        name = "sleeps"
        family = "tests"

        def __init__(self, judging_s: float) -> None:
            self._judging_s = judging_s

        def item(self, row: Row, number: int) -> Item:
            return Item(str(number), Task(prompt=str(number)))

        async def judged(self, item: Item, response: Response, judge: Ask | None) -> Judged:
            await asyncio.to_thread(time.sleep, self._judging_s)
            return Judged(passed())

    async def ask(request: ChatRequest | CompletionRequest) -> ChatReply:
        await asyncio.sleep(each_s)
        return ChatReply("yes", finish_reason="stop")

    def wall(judging_s: float) -> tuple[float, dict[str, Any]]:
        task = Sleeps(judging_s)
        items = [task.item({}, number) for number in range(count)]
        with (
            tempfile.TemporaryDirectory() as folder,
            LogWriter(Path(folder) / "sleeps", {"task": "sleeps"}) as log,
        ):
            began = time.monotonic()
            timing = asyncio.run(evaluate([Job(task, items, log)], ask, concurrency=places))
            return time.monotonic() - began, timing.to_json()

    alone, _ = wall(0.0)
    both, timing = wall(each_s)
    print(
        f"{count} samples, {each_s} s of asking and of judging, {places} at once: alone {alone:.2f} s, with {both:.2f} s"
    )
    return {
        "alone_s": round(alone, 2),
        "with_s": round(both, 2),
        "ratio": round(both / alone, 3),
        "timing": timing,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer samples; ends within a minute without --peers"
    )
    parser.add_argument("--peers", help="an interpreter with inspect-ai, openai and lm-eval[api]")
    options = parser.parse_args()
    count = 400 if options.quick else 2_000
    folder = Path(tempfile.mkdtemp())
    try:
        costs = cost(folder, count, options.peers)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found = {"samples": count, "cost": costs, "overlap": overlap(0.5 if options.quick else 2.0, 4 * 32, 4)}
    ours = costs["ours"]["cpu_s"]
    baseline = "inspect" if "inspect" in costs else "bare"
    found["ratio"] = round(ours / costs[baseline]["cpu_s"], 4)
    found["baseline"] = baseline
    if "lm-eval" in costs:
        found["ratio_lm_eval"] = round(ours / costs["lm-eval"]["cpu_s"], 4)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
