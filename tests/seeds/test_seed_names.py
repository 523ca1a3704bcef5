"""From what a user names to the files that it means."""

import sys
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from dataforge.errors import ProjectError, SeedError
from dataforge.seeds import count, expand, formats, read_seeds


@pytest.fixture
def folder(tmp_path):
    for name in (
        "b.jsonl",
        "a.txt",
        "deep/er/c.csv",
        "notes.docx",
        "README.md",
        "LICENCES.md",
        ".hidden.txt",
    ):
        path = tmp_path / "seeds" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text\nsomething\n" if name.endswith("csv") else '{"text": "something"}\n')
    return tmp_path


def names(patterns, base):
    return [path.relative_to(base).as_posix() for path in expand(patterns, base)]


def refused(patterns, base):
    with pytest.raises(SeedError) as caught:
        expand(patterns, base)
    assert caught.value.code == "R010"
    assert str(base) not in f"{caught.value} {caught.value.help}"
    return caught.value


def test_a_folder_means_all_seed_files_below_it_and_neither_papers_nor_hidden_files(folder):
    assert names(["seeds"], folder) == ["seeds/a.txt", "seeds/b.jsonl", "seeds/deep/er/c.csv"]


def test_data_that_is_called_like_a_paper_is_data(tmp_path):
    (tmp_path / "authors.jsonl").write_text("{}")
    (tmp_path / "LICENSE-MIT.txt").write_text("Permission is granted")
    assert names(["."], tmp_path) == ["authors.jsonl"]


def test_a_glob_means_the_seed_files_that_match(folder):
    assert names(["seeds/*"], folder) == ["seeds/a.txt", "seeds/b.jsonl", "seeds/deep/er/c.csv"]
    assert names(["seeds/**/*.csv"], folder) == ["seeds/deep/er/c.csv"]
    assert names(["seeds/[ab].*"], folder) == ["seeds/a.txt", "seeds/b.jsonl"]


def test_a_file_that_is_named_is_taken_even_where_a_folder_would_pass_it_over(folder):
    assert names(["seeds/README.md"], folder) == ["seeds/README.md"]


def test_a_file_that_looks_like_a_glob_can_be_named(folder):
    (folder / "odd[1].txt").write_text("something")
    assert names(["odd[1].txt"], folder) == ["odd[1].txt"]


def test_a_file_that_is_meant_twice_is_read_once(folder):
    assert names(["seeds/b.jsonl", "seeds", "./seeds/b.jsonl"], folder).count("seeds/b.jsonl") == 1


def test_absolute_names_work(folder):
    assert names([str(folder / "seeds" / "*.jsonl")], folder) == ["seeds/b.jsonl"]


def test_seeds_come_in_the_order_of_file_names_whatever_order_they_are_given_in(folder):
    paths = expand(["seeds"], folder)
    sources = [seed.source for seed in read_seeds(paths, base=folder)]
    assert sources == ["seeds/a.txt:1", "seeds/b.jsonl:1", "seeds/deep/er/c.csv:2"]
    assert [seed.source for seed in read_seeds(paths[::-1] + paths, base=folder)] == sources
    assert count(paths, base=folder) == 3


def test_a_source_outside_the_base_is_named_relative_to_it(folder):
    (seed,) = read_seeds([folder / "seeds" / "b.jsonl"], base=folder / "seeds" / "deep")
    assert seed.source == "../b.jsonl:1"


def test_a_missing_file_is_answered_with_the_nearest_name(folder):
    assert refused(["seeds/b.json"], folder).help == "did you mean seeds/b.jsonl?"
    assert refused(["seed/b.jsonl"], folder).help == "did you mean seeds?"


def test_a_missing_file_that_resembles_nothing_is_answered_with_where_we_looked(folder):
    error = refused(["seeds/qqqqqqqq.zz"], folder)
    assert "seeds/qqqqqqqq.zz: there is no such file or folder" in str(error)
    assert error.help == "there is nothing called qqqqqqqq.zz in seeds"
    assert refused(["zz/b.jsonl"], folder).help == f"there is nothing called zz in the folder {folder.name}"


def test_a_glob_without_a_match_says_what_is_there(folder):
    assert "seeds, which holds LICENCES.md, README.md, a.txt" in refused(["seeds/*.parquet"], folder).help
    assert "did you mean seeds?" in refused(["sedes/*.jsonl"], folder).help


def test_a_named_file_of_an_unknown_kind_is_an_error_that_lists_the_known_ones(folder):
    error = refused(["seeds/notes.docx"], folder)
    assert "files ending in .docx are not read as seeds" in str(error)
    assert error.help == "seed files end in .csv, .jsonl, .jsonl.gz, .md, .parquet, .txt"


def test_a_folder_without_seed_files_is_an_error(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "the folder empty holds no seed file" in str(refused(["empty"], tmp_path))
    (tmp_path / "empty" / "photo.png").touch()
    assert "holds no seed file" in str(refused(["empty"], tmp_path))
    assert "what matches empty/* holds no seed file" in str(refused(["empty/*"], tmp_path))


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b"])
def test_names_that_no_file_can_have_are_errors_too(tmp_path, name):
    refused([name], tmp_path)


def test_a_file_that_vanished_is_an_error(tmp_path):
    with pytest.raises(SeedError, match=r"R010.*gone\.jsonl: there is no such file"):
        list(read_seeds([tmp_path / "gone.jsonl"], base=tmp_path))


def test_no_file_at_all_is_an_error(tmp_path):
    with pytest.raises(SeedError, match="R014"):
        list(read_seeds([], base=tmp_path))


@pytest.fixture
def installed(monkeypatch):
    """Pretend that a package is installed that reads seeds: `installed(suffix)`."""

    def install(suffix, module="haiku_seeds"):
        fake = SimpleNamespace(SUFFIXES=(suffix,), read=lambda path: iter([(1, {"text": path.read_text()})]))
        monkeypatch.setitem(sys.modules, "haiku_seeds", fake)
        entry = EntryPoint("haiku", module, formats.ENTRY_POINTS)
        monkeypatch.setattr(formats, "entry_points", lambda *, group: [entry])
        formats._known.cache_clear()

    yield install
    formats._known.cache_clear()


def test_an_installed_package_adds_a_format(tmp_path, installed):
    installed(".haiku")
    (tmp_path / "frog.haiku").write_text("An old silent pond")
    (seed,) = read_seeds(expand(["."], tmp_path), base=tmp_path)
    assert seed.fields == {"text": "An old silent pond"}


def test_two_packages_that_claim_one_ending_are_an_error(tmp_path, installed):
    installed(".csv")
    with pytest.raises(
        ProjectError, match=r"both DataForge and haiku_seeds read seed files that end in \.csv"
    ):
        expand(["."], tmp_path)


def test_a_package_that_cannot_be_loaded_is_named(tmp_path, installed):
    installed(".haiku", module="no_such_module_here")
    with pytest.raises(ProjectError, match="the seed format haiku of no_such_module_here cannot be loaded"):
        expand(["."], tmp_path)
