"""The viewer in a real browser: what a model wrote is shown and dead, filters find what they should, twenty thousand samples open."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evals.log import Log, write_log
from evals.view import write_page
from schemas.evallog import Considered, Sample
from tests.cli.commands import dataforge

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"


def sample(number: int, status: str, text: str, **more: Any) -> Sample:
    score = {"right": 1.0, "timeout": None, "fault": None}.get(status, 0.0)
    told: dict[str, Any] = {
        "task": "t", "item": str(number), "status": status, "score": score, "completion": text, "finish_reason": "stop",
        "prompt": [{"role": "user", "content": f"Question {number}? {HOSTILE}"}], "completion_tokens": len(text) // 4,
        "topic": f"topic {number % 3}",
    }  # fmt: skip
    return Sample(**(told | more))


SAMPLES = [
    sample(0, "right", "🙂 So the answer is B.", span=(19, 20), extracted="B",
           candidates=[Considered(text="So", span=(2, 4), rejected="no letter"), Considered(text="B", span=(19, 20))]),
    sample(1, "wrong", f"Answer: A {HOSTILE}", extracted="A", reasoning=f"<think>{HOSTILE}</think>"),
    sample(2, "unparsed", "<think>never ends\u2028\u202e"),
    sample(3, "overlong", "", reasoning="on and on", finish_reason="length"),
    sample(4, "right", "yes", sample=0),
    sample(4, "wrong", "no", sample=1),
    sample(5, "timeout", "", finish_reason=None),
]  # fmt: skip


def page_of(folder: Path, samples: list[Sample], **manifest: Any) -> Path:
    told = {"task": "t", "name": HOSTILE, "model": {"model": "m"}, **manifest}
    write_page(Log(folder, told, tuple(samples)), folder / "view.html")
    return folder / "view.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if BROWSER is None:
        pytest.skip("there is no browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield running
        running.close()


def opened(browser: Any, path: Path) -> tuple[Any, list[str]]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-ready]")
    return page, said


@pytest.mark.browser
def test_what_a_model_wrote_is_shown_and_does_nothing(tmp_path: Path, browser: Any) -> None:
    page, said = opened(browser, page_of(tmp_path, SAMPLES))
    for index in range(len(SAMPLES)):
        page.click(f"#list li[data-index='{index}']")
    page.click("#list li[data-index='1']")
    assert HOSTILE in page.inner_text("#sample pre >> nth=-1")
    assert HOSTILE in page.inner_text("#title")
    page.click("#sample h3:has-text('thinking') + details summary")
    assert "<think>" in page.inner_text("#sample h3:has-text('thinking') + details pre")
    assert page.evaluate("window.hacked") is None
    assert page.query_selector("img") is None
    assert said == []


@pytest.mark.browser
def test_the_extraction_is_marked_where_it_stands(tmp_path: Path, browser: Any) -> None:
    page, _ = opened(browser, page_of(tmp_path, SAMPLES))
    page.click("#list li[data-index='0']")
    assert page.inner_text("#sample mark") == "B"
    assert page.inner_text("#sample .passed-over") == "So"
    assert "no letter" in page.inner_text("#sample")


@pytest.mark.browser
def test_filters_find_what_they_say(tmp_path: Path, browser: Any) -> None:
    page, _ = opened(browser, page_of(tmp_path, SAMPLES))

    def listed() -> list[str]:
        return [row.inner_text().split()[0] for row in page.query_selector_all("#list li")]

    assert len(listed()) == len(SAMPLES)
    page.click("button[data-status='wrong']")
    assert listed() == ["wrong", "wrong"]
    page.click("button[data-status='unparsed']")
    assert sorted(listed()) == ["unparsed", "wrong", "wrong"]
    page.click("button[data-status='wrong']")
    page.click("button[data-status='unparsed']")
    page.select_option("#only", "differing")
    assert sorted(listed()) == ["right", "wrong"]
    page.select_option("#only", "unclosed")
    assert listed() == ["overlong"]
    page.select_option("#only", "")
    page.fill("#search", "never ends")
    page.wait_for_selector("#list li:only-child")
    assert listed() == ["unparsed"]


@pytest.mark.browser
def test_twenty_thousand_samples_open(tmp_path: Path, browser: Any) -> None:
    rng = random.Random(1)
    words = [
        "the",
        "answer",
        "of",
        "this",
        "problem",
        "is",
        "not",
        "what",
        "it",
        "seems",
        "and",
        "so",
        "we",
        "go",
        "on",
        "with",
        "another",
        "case",
    ]
    many = [
        sample(number, rng.choice(["right", "right", "wrong", "unparsed", "overlong"]),
               " ".join(rng.choices(words, k=rng.randint(20, 200))), reasoning=" ".join(rng.choices(words, k=100)))
        for number in range(20_000)
    ]  # fmt: skip
    path = page_of(tmp_path, many)
    page, said = opened(browser, path)
    assert said == []
    assert page.inner_text("#count") == "20,000 of 20,000"
    assert len(page.query_selector_all("#list li")) == 200


def test_as_people_run_it(tmp_path: Path) -> None:
    write_log(tmp_path / "log", {"task": "t", "model": {"model": "m"}}, SAMPLES)
    done = dataforge("eval", "view", "log", cwd=tmp_path)
    assert (done.code, done.out) == (0, "7 samples in log/view.html\n")
    text = (tmp_path / "log" / "view.html").read_text(encoding="utf-8")
    assert text.count("<script") == 2, "the data and the page's own"
    assert HOSTILE not in text
