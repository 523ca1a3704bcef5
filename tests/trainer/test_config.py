"""The configuration: what comes out of presets, files and single values, and what is refused."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataforge.errors import InputError
from trainer import config as configuration
from trainer.config import Config, LogConfig, digest, flat, load, mathematics, presets, to_toml

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
"""Any text that is one: halves of surrogate pairs aren't."""


def value_of(key: str, annotation: Any) -> st.SearchStrategy[Any]:
    least, most = configuration._BOUNDS.get(key, (-(2**63), 2**63))
    if annotation is bool:
        return st.booleans()
    if annotation is int:
        return st.integers(int(least), int(min(most, 2**40)))
    if annotation is float:
        return st.floats(least, min(most, 1e300))
    if get_origin(annotation) is Literal:
        return st.sampled_from(get_args(annotation))
    return st.lists(TEXT, max_size=3).map(tuple) if get_origin(annotation) is tuple else TEXT


@st.composite
def configs(draw: st.DrawFn) -> Config:
    tables = {}
    for table, section in get_type_hints(Config).items():
        hints = get_type_hints(section)
        tables[table] = {key: draw(value_of(f"{table}.{key}", hint)) for key, hint in hints.items()}
    step = tables["train"]
    step["micro_rows"] = min(step["micro_rows"], step["rows"])
    if step["precision"] == "fp32":
        step["fp8"] = "none"
    if step["loss"] == "liger":
        tables["mesh"]["tensor"] = 1
    return Config(**{table: get_type_hints(Config)[table](**values) for table, values in tables.items()})


@pytest.fixture
def wrong(tmp_path: Path):
    """The error that a file or a `--set` gives."""

    def give(*, file: str | bytes | None = None, sets: tuple[str, ...] = (), preset: str | None = None):
        path = None
        if file is not None:
            path = tmp_path / "c.toml"
            path.write_bytes(file.encode() if isinstance(file, str) else file)
        with pytest.raises(InputError) as error:
            load(preset, path, sets)
        assert error.value.code == "T001"
        assert error.value.help
        assert "\n" not in error.value.message
        assert not error.value.message.endswith(".")
        return error.value

    return give


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config") / "config.toml"


@settings(max_examples=15)
@given(config=configs())
def test_a_written_configuration_is_read_to_the_same_tree(file: Path, config: Config) -> None:
    written = to_toml(config)
    file.write_text(written, encoding="utf-8")
    assert load(file=file) == config
    lines, table = [], ""
    for line in written.split("\n"):
        if line.startswith("["):
            table = line[1:-1]
        elif line:
            lines.append(f"{table}.{line}")
    assert load(sets=lines) == config, "every value can be set as the file writes it"


def test_control_characters_and_quotes_are_written_as_toml_wants_them(file: Path) -> None:
    odd = "".join(map(chr, [*range(32), 0x7F, 0x85, 0x2028])) + "\"\\'é🐝"
    config = Config(log=LogConfig(project=odd))
    file.write_text(to_toml(config), encoding="utf-8")
    assert load(file=file) == config


def test_values_come_over_the_file_and_the_file_over_the_preset(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[train]\nsteps = 7\nrows = 6\n")
    config = load("tiny", file, ["train.rows=5"])
    assert (config.model.path, config.train.steps, config.train.rows) == ("tiny", 7, 5)
    assert load() == Config()


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("log.gpu=H200", "log.gpu", "H200"),
        ("model.path=8", "model.path", "8"),
        ("model.path = a b ", "model.path", "a b"),
        ('model.path="a=b"', "model.path", "a=b"),
        ("model.path=a=b", "model.path", "a=b"),
        ("optimizer.lr=1", "optimizer.lr", 1.0),
        ("train.steps=9_000", "train.steps", 9000),
        ("train.compile=true", "train.compile", True),
        ("data.paths=out/quickstart", "data.paths", ("out/quickstart",)),
        ('data.paths=["a", "b"]', "data.paths", ("a", "b")),
        ("data.paths=12", "data.paths", ("12",)),
        ("data.packing=bfd", "data.packing", "bfd"),
        ("train.steps=1\n", "train.steps", 1),
        # A line break would begin another key of a file; here it is text.
        ("model.path=a\nmodel.revision=b", "model.path", "a\nmodel.revision=b"),
        ('model.path="a"\nrevision = "b"', "model.path", '"a"\nrevision = "b"'),
    ],
)
def test_a_value_is_read_as_its_field_takes_it(text: str, key: str, value: object) -> None:
    assert flat(load(sets=[text]))[key] == value


@pytest.mark.parametrize(
    ("text", "says", "helps"),
    [
        ("optimizer.lrr=1", "no key `optimizer.lrr`", "`optimizer.lr`"),
        ("train.lr=1", "no key `train.lr`", "`optimizer.lr`"),
        ("trian.rows=1", "no key `trian.rows`", "`train.rows`"),
        ("lr=1", "no key `lr`", "`optimizer.lr`"),
        ("optimizer.lr", "no `=`", "optimizer.lr=1e-5"),
        ("optimizer.lr=fast", "must be a number, not 'fast'", "training.md"),
        ("optimizer.lr=nan", "must be from 0 to 10, not nan", "training.md"),
        ("optimizer.clip=inf", "must be from 0 to 2,147,483,647, not inf", "training.md"),
        ("optimizer.lr=-1e-5", "must be from 0 to 10", "training.md"),
        ("optimizer.lr=true", "must be a number", "training.md"),
        ("train.rows=0", "must be from 1 to 1,048,576", "training.md"),
        ("train.rows=2.0", "must be a whole number", "training.md"),
        ("train.rows=true", "must be a whole number", "training.md"),
        ("train.compile=1", "must be true or false", "training.md"),
        ("data.packing=fdf", "one of ffd, bfd, none", "`ffd`"),
        ("data.paths=[1]", "a list of strings", "["),
        ("train.steps=" + 400 * "9", "from 0 to 2,147,483,647", "training.md"),
        ("optimizer.lr=" + 400 * "9", "from 0 to 10", "training.md"),
        ("optimizer.lr=" + 5000 * "9", "a number", "training.md"),
        ("train.steps=" + 3000 * "[", "a whole number", "training.md"),
        ("train.micro_rows=9", "more than the whole batch", "one process"),
        ("train.fp8=mxfp8", "cannot be had with", "autocast"),
    ],
)
def test_a_wrong_value_is_refused_with_what_was_expected(wrong, text: str, says: str, helps: str) -> None:
    error = wrong(sets=(text,))
    assert says in error.message
    assert helps in error.help


@pytest.mark.parametrize(
    ("file", "says", "helps"),
    [
        ("[optimiser]\nlr = 1e-5\n", "no table [optimiser]", "`optimizer`"),
        ("train = 3\n", "`train` must be a table", "[train]"),
        ("steps = 3\n", "no table [steps]", "there are model"),
        ("[train]\nstep = 3\n", "no key `train.step`", "`train.steps`"),
        ('[train]\nsteps = "3"\n', "a whole number, not '3'", "training.md"),
        ('[data]\npaths = "a"\n', "a list of strings, not 'a'", "["),
        ("[train\n", "is no TOML", "training.md"),
        ("[train]\nsteps = 1\nsteps = 2\n", "is no TOML", "training.md"),
        (b"\xff", "is no TOML", "training.md"),
        (f"[data]\npaths = {3000 * '['}", "is no TOML", "training.md"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name(wrong, file: str | bytes, says: str, helps: str) -> None:
    error = wrong(file=file)
    assert says in error.message
    assert "c.toml" in error.message
    assert helps in error.help


def test_liger_and_a_split_vocabulary_cannot_be_had_together(wrong) -> None:
    assert "cannot be had with" in wrong(sets=("train.loss=liger", "mesh.tensor=2")).message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml: cannot be read: No such file"):
        load(file=tmp_path / "none.toml")


def test_an_unknown_preset_names_the_nearest(wrong) -> None:
    assert "`hermes4-14b`" in wrong(preset="hermes4-14").help
    assert "smollm2-135m" in wrong(preset="?").help


@pytest.mark.parametrize("preset", presets())
def test_a_preset_that_ships_is_right_and_on_the_page(preset: str) -> None:
    assert load(preset) != Config()
    assert f"`{preset}`" in PAGE


@pytest.mark.parametrize(("size", "lr"), [("14b", 5e-5), ("70b", 1e-5), ("405b", 5e-6)])
def test_hermes_presets_hold_the_papers_figures(size: str, lr: float) -> None:
    config = load(f"hermes4-{size}")
    assert config.optimizer.lr == lr
    assert (config.optimizer.schedule, config.optimizer.warmup_steps) == ("cosine", 300)
    assert (config.train.steps, config.train.rows, config.data.context) == (9000, 384, 16384)
    # 9,000 × 384 × 16,384 tokens are the paper's 56 billion.
    assert round(config.train.steps * config.train.rows * config.data.context / 1e9) == 57


def test_the_digest_is_of_what_decides_the_weights_and_of_nothing_else() -> None:
    deciding = {
        "model": {"path", "revision", "weights"},
        "data": {"seed"},
        "optimizer": {f.name for f in dataclasses.fields(Config().optimizer)},
        "train": {"steps", "epochs", "rows", "precision", "fp8", "seed"},
    }
    start = load("tiny", None, ["train.precision=autocast"])
    for key, hint in configuration._TYPES.items():
        table, leaf = key.split(".")
        section, value = getattr(start, table), flat(start)[key]
        others = {bool: not value, int: 77, float: 0.5, str: "x"}
        other = others[hint] if hint in others else next((c for c in get_args(hint) if c != value), ("x",))
        changed = dataclasses.replace(start, **{table: dataclasses.replace(section, **{leaf: other})})
        assert flat(changed)[key] != value
        decides = leaf in deciding.get(table, ())
        assert (digest(changed) != digest(start)) == decides, key
        assert (mathematics(changed) != mathematics(start)) == decides, key


def test_every_number_has_bounds() -> None:
    numbers = {key for key, hint in configuration._TYPES.items() if hint in (int, float)}
    assert numbers == set(configuration._BOUNDS)


def test_the_page_has_every_key_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+\.\w+)` \| `([^|]*)` \|", PAGE, flags=re.MULTILINE))
    defaults = flat(Config())
    assert set(rows) == set(defaults)
    for key, default in defaults.items():
        written = tomllib.loads(f"value = {rows[key]}")["value"]
        assert (tuple(written) if isinstance(written, list) else written) == default, key


def test_the_page_names_every_choice() -> None:
    for key, hint in configuration._TYPES.items():
        row = re.search(rf"^\| `{key}` \|.*$", PAGE, flags=re.MULTILINE)
        assert row is not None
        if get_origin(hint) is Literal:
            assert all(f"`{choice}`" in row[0] for choice in get_args(hint)), key


def test_the_trees_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load("tiny").train.rows = 3  # type: ignore[misc]
