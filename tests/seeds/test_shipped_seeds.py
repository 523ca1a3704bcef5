"""The passages and personas that ship are what their README says: real, whole, free and enough."""

import json
import re
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from dataforge.seeds import expand, read_seeds
from schemas.text import Passage

GRAPHS = Path(__file__).parents[2] / "graphs"
SEEDS = list(read_seeds(expand(["seeds"], GRAPHS), base=GRAPHS))
README = (GRAPHS / "seeds" / "README.md").read_text(encoding="utf-8")


def work(passage):
    """The work that a passage is from: what its source names first, all articles of Wikipedia being one work."""
    author, _, rest = passage["source"].partition(", ")
    if author == "Wikipedia contributors" or rest.startswith("annual message"):
        return author if author == "Wikipedia contributors" else "annual messages"
    return author


def test_there_are_enough_of_them_and_most_are_articles():
    assert len(SEEDS) >= 60
    assert sum(seed.fields["kind"] == "article" for seed in SEEDS) >= 60


def test_no_passage_appears_twice():
    assert len({seed.id for seed in SEEDS}) == len(SEEDS)
    assert len({seed.fields["text"] for seed in SEEDS}) == len(SEEDS)
    assert len({seed.fields["title"] for seed in SEEDS}) == len(SEEDS)


def test_they_come_from_many_works_and_none_has_more_than_half():
    works = Counter(work(seed.fields) for seed in SEEDS)
    assert len(works) >= 8
    assert works.most_common(1)[0][1] <= len(SEEDS) / 2


def test_the_readme_counts_files_and_passages_right():
    files = Counter(Path(seed.source.rpartition(":")[0]).name for seed in SEEDS)
    listed = re.findall(r"^\| `(\w+\.jsonl)` \| (\d+) \|", README, re.MULTILINE)
    assert {name: int(number) for name, number in listed} == files
    works = [int(number) for number in re.findall(r"\| (\d+) \|$", README, re.MULTILINE)]
    assert sum(works) == len(SEEDS)
    assert sorted(works) == sorted(Counter(work(seed.fields) for seed in SEEDS).values())


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.source)
def test_a_passage_is_whole_clean_and_says_where_it_is_from(seed):
    passage = Passage.model_validate(dict(seed.fields), strict=True, extra="forbid")
    assert passage.title
    assert passage.lang == "en"
    assert len(passage.source) > 40
    assert passage.licence == "CC-BY-SA-3.0" or passage.licence.startswith("Public domain (")
    assert 80 <= len(passage.text.split()) <= 260
    assert passage.text == unicodedata.normalize("NFC", passage.text).strip()
    assert not [char for char in passage.text if unicodedata.category(char) in ("Cc", "Cf", "Co", "Cn")]
    assert passage.text[0].isupper()
    assert passage.text[-1] in ".?!"
    assert not re.search(r"  |\w- \w*[a-z]{2}-|[\[\]{}|<>_*=]|https?:|\.\.|,,| [,;]", passage.text), (
        "markup or dirt"
    )


def test_wikipedia_is_attributed_to_a_revision():
    shared = [seed.fields for seed in SEEDS if seed.fields["licence"] == "CC-BY-SA-3.0"]
    assert shared
    for passage in shared:
        assert re.search(
            r"revision (\d+) of \d{4}-\d\d-\d\d \(https://en\.wikipedia\.org/.*oldid=\1\)", passage["source"]
        )


def test_forty_personas_complete_you_are():
    lines = (GRAPHS / "lists" / "personas.jsonl").read_text(encoding="utf-8").splitlines()
    personas = [json.loads(line) for line in lines]
    assert len(set(personas)) == len(personas) == 40
    assert all(re.fullmatch(r"an? [a-z].{10,90}[a-z]", persona) for persona in personas)
