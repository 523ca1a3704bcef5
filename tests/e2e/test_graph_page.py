"""The page of `dataforge graph`, in a real browser: nothing leaves it, everything can be read, and what it says is so.

    DATAFORGE_SCREENSHOTS=docs/images pytest tests/e2e/test_graph_page.py

writes the pictures of the documentation, at 5, 60 and 300 nodes. Look at them before you commit them.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dataforge.corpus.traffic import read_traffic
from dataforge.plan.artifact import Plan, compile_program
from dataforge.plan.draw.drawing import Flows, drawing_of
from dataforge.plan.draw.formats import Sheet, html
from dataforge.plan.draw.why import why_of
from dataforge.plan.linked import SOURCE
from tests.corpus.test_traffic import EMIT, PROGRAM
from tests.corpus.test_traffic import SEEDS as FEW
from tests.e2e.server import ModelServer
from tests.e2e.test_run import go, write_project
from tests.plan.draw_programs import program
from tests.plan.test_draw_formats import HOSTILE, NASTY

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed"),
]
QUICKSTART = Path(__file__).parents[2] / "graphs/quickstart.forge"
VIEW = {"width": 1600, "height": 1000}
LAYOUT_MS = 2_000
LEAST_PX = 6.5
"""Letters of node names at 300 nodes, fitted into `VIEW`: small, and legible. Zooming in makes them larger."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # root may not use it
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=BROWSER, args=sandbox)
        yield running
        running.close()


class Opened:
    """A page, the requests that it made, and what it complained about."""

    def __init__(self, browser: Any, file: Path, **options: Any) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page = browser.new_page(viewport=VIEW, **options)
        self.page.route("**/*", self._route)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("html[data-ready]")

    def _route(self, route: Any) -> None:
        self.requests.append(route.request.url)
        route.continue_() if route.request.url.startswith("file:") else route.abort()

    def box(self, name: str) -> Any:
        """The element of a node of the main graph."""
        return self.page.locator(f'#scene [aria-label^="{name},"]').first

    def panel(self) -> str:
        return str(self.page.inner_text("#panel"))

    def find(self, name: str) -> None:
        self.page.keyboard.press("/")
        self.page.keyboard.type(name)
        self.page.keyboard.press("Enter")


def written(folder: Path, plan: Plan, flows: Flows | None = None, run: dict[str, Any] | None = None) -> Path:
    file = folder / "graph.html"
    file.write_text(html.draw(Sheet(plan, drawing_of(plan, flows), run)))
    return file


def plan_of(folder: Path, nodes: int) -> Plan:
    if nodes == 5:
        return compile_program(QUICKSTART)
    (folder / "tutoring.forge").write_text(program(nodes))
    (folder / "dataforge.toml").write_text("")
    return compile_program(folder / "tutoring.forge")


@pytest.fixture
def quickstart(browser: Any, tmp_path: Path) -> Iterator[Opened]:
    opened = Opened(browser, written(tmp_path, plan_of(tmp_path, 5)))
    yield opened
    assert opened.complaints == []
    opened.page.close()


@pytest.fixture
def large(browser: Any, tmp_path: Path) -> Iterator[Opened]:
    opened = Opened(browser, written(tmp_path, plan_of(tmp_path, 300)))
    yield opened
    assert opened.complaints == []
    opened.page.close()


# ---- it stands alone, and can be read


@pytest.mark.parametrize("nodes", [5, 60, 300])
def test_everything_is_there_quickly_and_without_the_network(
    browser: Any, tmp_path: Path, nodes: int
) -> None:
    plan = plan_of(tmp_path, nodes)
    file = written(tmp_path, plan)
    opened = Opened(browser, file)
    assert opened.requests == [file.as_uri()]
    assert opened.complaints == []
    assert int(opened.page.get_attribute("#scene", "data-layout-ms")) < LAYOUT_MS
    drawing = drawing_of(plan)
    for name in (*drawing.boxes, *drawing.cut):
        assert opened.box(name).count() == 1, name
    opened.page.close()


@pytest.mark.parametrize("nodes", [5, 60, 300])
def test_names_are_legible_and_boxes_do_not_overlap(browser: Any, tmp_path: Path, nodes: int) -> None:
    opened = Opened(browser, written(tmp_path, plan_of(tmp_path, nodes)))
    seen = opened.page.evaluate(
        """() => {
          const view = document.getElementById("scene").getBoundingClientRect();
          const scale = document.querySelector("#scene > g").getCTM().a;
          const boxes = [...document.querySelectorAll("#scene [data-place] > .frame")].map((frame) => {
            const text = frame.parentElement.querySelector("text.name");
            return [frame, text].map((e) => { const r = e.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; })
              .concat([text.textContent, parseFloat(getComputedStyle(text).fontSize) * scale]);
          });
          return { view: [view.left, view.top, view.right, view.bottom], boxes };
        }"""
    )
    left, top, right, bottom = seen["view"]
    places = [box[0] for box in seen["boxes"]]
    for frame, text, name, size in seen["boxes"]:
        assert left <= frame[0] < frame[2] <= right and top <= frame[1] < frame[3] <= bottom, (
            f"{name} is in view"
        )
        assert text[0] >= frame[0] and text[2] <= frame[2], f"{name} is within its box"
        assert size >= LEAST_PX
    for number, one in enumerate(places):
        for other in places[:number]:
            apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            assert apart, (one, other)
    if nodes > 5:
        assert sum("…" in name for _, _, name, _ in seen["boxes"]) <= 0.05 * len(seen["boxes"]), (
            "names stand whole"
        )
    opened.page.close()


def test_hostile_text_stays_text(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "main.forge").write_text(HOSTILE)
    opened = Opened(browser, written(tmp_path, compile_program(tmp_path / "main.forge")))
    opened.page.evaluate("() => { window.alert = () => { window.pwned = true; }; }")
    for name in ("note", "never", "target", "source"):
        opened.box(name).click()
        assert opened.page.locator("#panel img, #scene img").count() == 0
        assert (NASTY[:20] in opened.panel()) == (name != "source")
    opened.box("note").click()
    opened.box("never").click(modifiers=["Shift"])
    assert NASTY[:20] in opened.panel()
    assert opened.page.evaluate("window.pwned") is None
    assert opened.complaints == []
    assert len(opened.requests) == 1
    opened.page.close()


# ---- a node, and two


def test_a_node_shows_its_contract_its_prompt_and_its_walks(quickstart: Opened) -> None:
    quickstart.box("answer_from_passage").click()
    said = quickstart.panel()
    for expected in (
        "Instruction.contextual", "Answer.score >= 3", "2 of 4 (50%)", "writer", "critic", "grounding",
        "{{ Passage.text }}", "target", "ask_about_passage", "2 more attempts",
    ):  # fmt: skip
        assert expected in said, expected
    assert quickstart.page.locator(".over .ray").count() == 2
    quickstart.page.keyboard.press("Escape")
    assert quickstart.page.locator(".over .ray").count() == 0
    assert "Questions and answers about real passages" in quickstart.panel()


def test_two_nodes_show_why_there_is_or_is_no_edge(quickstart: Opened) -> None:
    quickstart.box("ask_about_passage").click()
    quickstart.box("answer_from_passage").click(modifiers=["Shift"])
    assert "There is an edge" in quickstart.panel()
    assert "given by ask_about_passage" in quickstart.panel()

    quickstart.box("ask_standalone").click()
    quickstart.page.get_by_role("button", name="Explain A → B").click()
    assert "ask_standalone may or may not lead to" in quickstart.page.inner_text("#hint")
    quickstart.box("answer_from_passage").click()
    said = quickstart.panel()
    assert "There is no edge" in said
    assert "Instruction.contextual" in said
    assert "could be given by ask_about_passage" in said
    assert "not (Instruction.contextual)" in said, "what is known there instead"

    quickstart.box("answer_standalone").click()
    quickstart.box("ask_standalone").click(modifiers=["Shift"])
    assert "freshness" in quickstart.panel()
    assert "broken by" in quickstart.panel()


@pytest.mark.parametrize("nodes", [5, 60])
def test_the_page_explains_every_pair_as_the_planner_has_it(browser: Any, tmp_path: Path, nodes: int) -> None:
    plan = plan_of(tmp_path, nodes)
    opened = Opened(browser, written(tmp_path, plan))
    told = opened.page.evaluate(
        """() => facts.data.levels.map((level) => level.boxes.map((_, a) => level.boxes.map((_, b) => {
          const { linked, some, clauses } = facts.explain(level, a, b);
          return [linked, some, clauses.filter((clause) => !clause.held).length];
        })))"""
    )
    for number, level in enumerate(drawing_of(plan).levels()):
        why = why_of(level.linked)
        names = [*level.boxes, *level.cut]
        for a, tail in enumerate(names):
            for b, head in enumerate(names):
                if head == SOURCE or tail not in why.after:
                    continue
                lacking = [len(why.missing(state, head)) for state in why.after[tail]]
                linked, some, missing = told[number][a][b]
                assert linked == ((tail, head) in level.arrows)
                assert (some, missing) == (lacking.count(0), min(lacking))
                if linked:
                    assert missing == 0
    opened.page.close()


def test_a_click_on_an_arrow_explains_it(quickstart: Opened) -> None:
    quickstart.page.locator('[data-edge="0:4:6"] .hit').dispatch_event("click")
    assert "answer_from_passage → target" in quickstart.panel()
    assert "There is an edge" in quickstart.panel()


# ---- finding, folding, moving, keys


def test_search_finds_reveals_and_goes_back(large: Opened) -> None:
    large.page.keyboard.press("/")
    large.page.keyboard.type("draft cause")
    assert "10 found" in large.page.inner_text("#found")
    assert large.page.locator("#scene .found").count() == 10
    large.page.keyboard.press("ArrowDown")
    large.page.keyboard.press("Enter")
    assert large.page.inner_text("#panel h2").startswith("draft_cause_")
    assert large.page.locator("#scene .chosen").count() == 1
    large.page.keyboard.press("Escape")
    assert large.page.locator("#scene .chosen").count() == 0
    large.find("shorten")
    assert "node of finish" in large.panel(), "a node inside a folded graph is unfolded"


def test_stages_and_graphs_fold(large: Opened) -> None:
    assert large.page.locator("#scene .chip").count() > 280
    large.page.get_by_role("button", name="Fold all").click()
    assert large.page.locator("#scene .chip").count() == 0
    assert large.page.locator("#scene .unit.stage").count() == 5
    large.page.get_by_role("button", name="Unfold check_").click()
    assert large.page.locator("#scene .chip").count() == 12
    large.page.get_by_role("button", name="Unfold finish").click()
    assert large.page.locator("#scene .unit.open .unit.node").count() == 3
    assert large.page.locator("#scene .chip").count() == 12, "folding one thing leaves the others"


def test_arrow_keys_follow_edges(quickstart: Opened) -> None:
    quickstart.page.keyboard.press("ArrowRight")
    assert quickstart.page.inner_text("#panel h2") == "source"
    walked = []
    while len(walked) < 9 and (not walked or walked[-1] != "target"):
        quickstart.page.keyboard.press("ArrowRight")
        walked.append(quickstart.page.inner_text("#panel h2"))
    assert len(walked) in (3, 4)
    quickstart.page.keyboard.press("ArrowLeft")
    assert quickstart.page.inner_text("#panel h2").startswith("answer_")
    focused = quickstart.page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert focused.startswith("answer_")


def test_folding_by_keyboard(large: Opened) -> None:
    large.find("check_socratic")
    chips = large.page.locator("#scene .chip").count()
    large.page.keyboard.press("u")
    assert large.page.locator("#scene .chip").count() == chips - 12
    large.page.keyboard.press("u")
    assert large.page.locator("#scene .chip").count() == chips
    large.find("leave_long")
    large.page.keyboard.press("u")
    assert large.page.inner_text("#panel h2") == "finish", "the graph around it is folded and chosen"
    assert large.page.locator("#scene .unit.open").count() == 0


def test_wheel_zooms_about_the_pointer_and_fit_goes_back(large: Opened) -> None:
    scale = "document.querySelector('#scene > g').getCTM().a"
    before = large.page.evaluate(scale)
    large.page.mouse.move(600, 500)
    large.page.mouse.wheel(0, -600)
    large.page.wait_for_function(f"{scale} > {before} * 2")
    assert large.page.is_visible("#map")
    large.page.keyboard.press("f")
    assert large.page.evaluate(scale) == pytest.approx(before)


def test_dark_is_dark(browser: Any, tmp_path: Path) -> None:
    file = written(tmp_path, plan_of(tmp_path, 5))
    grounds = {}
    for scheme in ("light", "dark"):
        opened = Opened(browser, file, color_scheme=scheme)
        colour = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
        grounds[scheme] = sum(map(int, colour[4:-1].split(",")))
        opened.page.close()
    assert grounds["dark"] < 150 < 600 < grounds["light"]


NESTED = """
struct Doc  { text: str  stage: "raw" | "clean" | "done" = "raw" }
generator writer
node clean  { takes Doc gives Doc pre Doc.stage == "raw"   ask writer { prompt "{{ Doc.text }}" into Doc.text } set Doc.stage = "clean" }
node finish { takes Doc gives Doc pre Doc.stage == "clean" ask writer { prompt "{{ Doc.text }}" into Doc.text } set Doc.stage = "done" }
graph deep   { from Doc where Doc.stage == "clean"  to Doc where Doc.stage == "done"  nodes finish }
graph middle { from Doc where Doc.stage == "raw"    to Doc where Doc.stage == "done"  nodes clean, deep }
graph top    { from Doc where Doc.stage == "raw"    to Doc where Doc.stage == "done"  nodes middle
               emit { user "?"  assistant "{{ Doc.text }}" } }
"""


def test_arrows_of_a_node_two_graphs_deep_touch_its_box(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "main.forge").write_text(NESTED)
    opened = Opened(browser, written(tmp_path, compile_program(tmp_path / "main.forge")))
    opened.box("middle/deep/finish").click()
    box = opened.box("middle/deep/finish").locator(".frame").bounding_box()
    into, out = (opened.page.locator(f".ray.{kind} .head").bounding_box() for kind in ("in", "out"))
    assert into["x"] + into["width"] == pytest.approx(box["x"], abs=2)
    assert into["y"] + into["height"] / 2 == pytest.approx(box["y"] + box["height"] / 2, abs=2)
    target = opened.box("middle/deep/target").locator(".frame").bounding_box()
    assert out["x"] + out["width"] == pytest.approx(target["x"], abs=2)
    opened.box("middle/clean").click(modifiers=["Shift"])
    assert "They lie in different graphs" in opened.panel()
    assert "There is an edge the other way: clean → deep" in opened.panel()
    assert opened.complaints == []
    opened.page.close()


# ---- rows of a corpus


def test_rows_are_widths_and_rejections_colours(browser: Any, tmp_path: Path) -> None:
    with ModelServer() as server:
        server.answers = {
            "^Sort: water": "fact", "^Sort: a ": "fiction", "^Sort: no": "other",
            "^Split:": '{"items": [{"text": "water wets"}, {"text": "rain falls"}, {"text": "ice melts"}]}',
            "^Retell:": "dull words", "^Draft: dull": "dull", "^Draft:": "a good draft",
            "^Check: dull": "dull", "^Check:": "a good note at last",
        }  # fmt: skip
        plan = compile_program(write_project(tmp_path, PROGRAM.replace("EMIT", EMIT), FEW))
        with ThreadPoolExecutor() as pool:  # Playwright keeps an event loop in this thread
            pool.submit(go, plan, tmp_path / "corpus", server).result()
    traffic = read_traffic(tmp_path / "corpus", plan)
    run = {"name": "corpus", "kept": traffic.kept, "rejected": traffic.rejected, "failed": 0}
    run |= {"reasons": dict(traffic.reasons), "meanings": {"R101": "the postcondition did not hold"}}
    opened = Opened(browser, written(tmp_path, plan, traffic.flows, run))
    lines = opened.page.evaluate(
        """() => [...document.querySelectorAll("#scene .edge")].map((edge) => [edge.querySelector("title").textContent,
          parseFloat(edge.querySelector(".line").getAttribute("stroke-width")), getComputedStyle(edge.querySelector(".line")).stroke])"""
    )
    by_title = {title.partition(":")[0]: (width, colour) for title, width, colour in lines}
    assert by_title["source → sort"][0] > by_title["split → jot"][0] > by_title["retell → jot"][0]
    warmth = {}
    for title, (_, colour) in by_title.items():
        red, green, _ = map(int, colour[4:-1].split(","))
        warmth[title] = red - green
    assert warmth["retell → jot"] > warmth["source → sort"] > 0 > warmth["split → jot"]
    assert opened.page.is_visible("#legend")
    assert "the postcondition did not hold" in opened.panel()
    opened.box("check").click() if opened.box("check").count() else opened.find("check")
    assert "2 here" in opened.panel()
    assert opened.complaints == []
    opened.page.close()


# ---- the pictures of the documentation


@pytest.mark.skipif(
    "DATAFORGE_SCREENSHOTS" not in os.environ, reason="only where DATAFORGE_SCREENSHOTS names a folder"
)
@pytest.mark.parametrize(
    ("nodes", "first", "second"),
    [
        (5, "answer_from_passage", None),
        (60, "draft_cause_from_memory", "check_by_example"),
        (300, "draft_cause_by_analogy", None),
    ],
)
def test_pictures(browser: Any, tmp_path: Path, nodes: int, first: str, second: str | None) -> None:
    folder = Path(os.environ["DATAFORGE_SCREENSHOTS"])
    opened = Opened(browser, written(tmp_path, plan_of(tmp_path, nodes)))
    opened.box(first).click()
    if second:
        opened.box(second).click(modifiers=["Shift"])
    opened.page.set_viewport_size({"width": 1520, "height": 900})
    opened.page.mouse.move(5, 500)
    opened.page.keyboard.press("f")
    opened.page.screenshot(path=folder / f"graph-{nodes}.png")
    assert (folder / f"graph-{nodes}.png").stat().st_size < 300_000
    assert json.loads(opened.page.evaluate("JSON.stringify(facts.data.name)"))
    opened.page.close()
