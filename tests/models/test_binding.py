"""Who says which model a logical name is, in which order, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataforge.errors import ProjectError
from dataforge.models.binding import SelfJudging, bind, check_independence, with_defaults
from dataforge.models.client import ChatRequest, ModelSpec, Sampling
from dataforge.project import load_project
from schemas.chat import Message

WRITER = ("writer", "generator", {})
CRITIC = ("critic", "judge", {})


@pytest.fixture
def project(tmp_path):
    def make(text=""):
        (tmp_path / "dataforge.toml").write_text(text, encoding="utf-8")
        return load_project(tmp_path)

    return make


def one(project, environ=None, models_file=None, model=WRITER) -> ModelSpec:
    return bind([model], project, models_file, environ or {})[model[0]]


def test_the_embedded_models_are_the_default(project):
    bound = bind([WRITER, CRITIC], project(), None, {})
    assert [(s.backend, s.model, s.kind, s.origin) for s in bound.values()] == [
        ("local", "smollm2-135m-instruct", "generator", "default"),
        ("local", "minilm-judge", "judge", "default"),
    ]


def test_a_key_alone_moves_nothing(project):
    environ = {"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
    assert {s.backend for s in bind([WRITER, CRITIC], project(), None, environ).values()} == {"local"}


def test_the_environment_binds_each_kind_by_its_own_variable(project):
    environ = {"DATAFORGE_MODEL": "big", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
    bound = bind([WRITER, CRITIC], project(), None, environ)
    assert (bound["writer"].backend, bound["writer"].model, bound["writer"].origin) == (
        "openai",
        "big",
        "environment",
    )
    assert bound["writer"].options["base_url"] == ("http://127.0.0.1:1/v1",)
    assert "api_key_env" not in bound["writer"].options
    assert bound["critic"].backend == "local"
    environ = {"DATAFORGE_JUDGE_MODEL": "wise", "OPENAI_API_KEY": "sk-1"}
    bound = bind([WRITER, CRITIC], project(), None, environ)
    assert bound["writer"].backend == "local"
    assert (bound["critic"].model, bound["critic"].options["api_key_env"]) == ("wise", "OPENAI_API_KEY")


def test_sources_rank_file_project_environment_default(project, tmp_path):
    environ = {"DATAFORGE_MODEL": "from-env", "OPENAI_API_KEY": "k"}
    models = tmp_path / "models.toml"
    models.write_text("[models.writer]\nmodel = 'from-file'\nbase_url = 'http://a/v1'")
    told = project("[models.writer]\nmodel = 'from-project'\nbase_url = 'http://b/v1'")
    assert one(told, environ, models).model == "from-file"
    assert one(told, environ).model == "from-project"
    assert one(project(), environ).model == "from-env"
    assert one(project()).model == "smollm2-135m-instruct"


def test_an_exact_name_comes_before_the_kind(project):
    told = project(
        "[models.generator]\nmodel = 'any'\nbase_url = 'http://b/v1'\n"
        "[models.writer]\nmodel = 'mine'\nbase_url = 'http://b/v1'"
    )
    bound = bind([WRITER, ("editor", "generator", {}), CRITIC], told, None, {})
    assert [s.model for s in bound.values()] == ["mine", "any", "minilm-judge"]
    assert bound["editor"].origin == "dataforge.toml [models.generator]"


def test_a_table_without_an_endpoint_sets_only_how_it_is_asked(project):
    spec = one(project("[models.writer]\ntemperature = 0.2\nconcurrency = 3"))
    assert (spec.backend, spec.sampling.temperature, spec.concurrency) == ("local", 0.2, 3)


def test_settings_of_the_forge_file_are_defaults_that_the_binding_overrides(project):
    model = ("writer", "generator", {"temperature": 1, "max_tokens": 10, "stop": "END"})
    spec = one(project("[models.writer]\nmax_tokens = 99"), model=model)
    assert spec.sampling == Sampling(temperature=1.0, max_tokens=99, stop=("END",))


def test_settings_below_the_endpoint_do_not_leak_up(project, tmp_path):
    models = tmp_path / "models.toml"
    models.write_text("[models.writer]\nmodel = 'm'\nbase_url = 'http://a/v1'")
    spec = one(project("[models.writer]\ntemperature = 0.2\nmodel='other'"), models_file=models)
    assert spec.sampling.temperature is None


def test_weights_default_to_the_model_and_may_be_told(project):
    text = "[models.writer]\nmodel = 'alias'\nbase_url = 'http://a/v1'\n"
    assert one(project(text)).weights == "alias"
    assert one(project(text + "weights = 'Qwen3-8B'")).weights == "Qwen3-8B"


def test_an_unknown_backend_gets_the_nearest_name(project):
    with pytest.raises(ProjectError, match="backend `opnai`") as caught:
        one(project("[models.writer]\nbackend = 'opnai'\nmodel = 'm'"))
    assert caught.value.code == "R002"
    assert "did you mean `openai`?" in caught.value.help


@pytest.mark.parametrize("module", ["client", "binding", "limits", "chat", "pool", "http", "minilm"])
def test_a_module_that_is_no_backend_is_none(project, module):
    with pytest.raises(ProjectError) as caught:
        one(project(f"[models.writer]\nbackend = '{module}'\nmodel = 'm'"))
    assert caught.value.code == "R002"
    assert caught.value.help.endswith("backends: local, openai, openai_batch, openai_sdk, replay, sglang")


def test_a_missing_key_is_named_before_anything_runs(project):
    for text, variable in (
        ("[models.writer]\nmodel = 'm'", "OPENAI_API_KEY"),
        ("[models.writer]\nmodel = 'm'\nbase_url = 'http://a/v1'\napi_key_env = 'MY_KEY'", "MY_KEY"),
    ):
        with pytest.raises(ProjectError, match=variable) as caught:
            one(project(text), {variable: " "})
        assert caught.value.code == "R004"


def test_no_key_is_ever_part_of_a_spec(project):
    environ = {"MY_KEY": "sk-0123456789", "OPENAI_API_KEY": "sk-abc", "DATAFORGE_JUDGE_MODEL": "m"}
    text = "[models.writer]\nmodel = 'm'\nbase_url = 'http://a/v1'\napi_key_env = 'MY_KEY'"
    bound = bind([WRITER, CRITIC], project(text), None, environ)
    assert "sk-" not in repr(bound)


def test_a_table_without_base_url_takes_the_environments(project):
    environ = {"OPENAI_BASE_URL": "http://here/v1"}
    assert one(project("[models.writer]\nmodel = 'm'"), environ).options["base_url"] == ("http://here/v1",)


@pytest.mark.parametrize(
    ("text", "settings", "told"),
    [
        ("[models.writer]\nbackend = 'openai'", {}, "names no model"),
        ("", {"temprature": 1}, "`temprature`"),
        ("", {"temperature": "hot"}, "temperature"),
        ("", {"max_tokens": 0}, "max_tokens"),
    ],
)
def test_mistakes_are_explained(project, text, settings, told):
    with pytest.raises(ProjectError, match=told) as caught:
        one(project(text), model=("writer", "generator", settings))
    assert caught.value.help


def test_a_bad_address_in_the_environment_is_told(project):
    with pytest.raises(ProjectError, match="OPENAI_BASE_URL"):
        one(project(), {"DATAFORGE_MODEL": "m", "OPENAI_BASE_URL": "localhost"})


def specs(**weights):
    return {
        name: ModelSpec(name, "judge" if name.startswith("j") else "generator", "local", "m", value)
        for name, value in weights.items()
    }


def test_a_judge_does_not_grade_its_own_homework():
    bound = specs(j1="Qwen3", g1="qwen3", j2="other")
    with pytest.raises(ProjectError) as caught:
        check_independence(bound, [("j2", "g1", "draft"), ("j1", "g1", "answer")], False)
    assert caught.value.code == "R003"
    for name in ("`j1`", "`g1`", "`answer`", "Qwen3"):
        assert name in caught.value.message
    assert "allow_self_judging = true" in caught.value.help


def test_what_is_allowed_is_returned_for_the_card():
    bound = specs(j1="a", g1="a", g2="b")
    assert check_independence(bound, [("j1", "g1", "n"), ("j1", "g2", "n")], True) == (
        SelfJudging("j1", "g1", "n", "a"),
    )


def test_the_request_speaks_before_the_binding():
    spec = ModelSpec("w", "generator", "local", "m", "m", sampling=Sampling(0.1, 0.9, 50, ("X",), 1))
    request = ChatRequest((Message(role="user", content="Hi"),), Sampling(temperature=0.0, stop=("Y",)))
    assert with_defaults(request, spec).sampling == Sampling(0.0, 0.9, 50, ("Y",), 1)
    assert with_defaults(request, ModelSpec("w", "generator", "local", "m", "m")) is request


def test_importing_the_package_loads_no_client_and_no_engine():
    import subprocess
    import sys

    script = (
        "import sys, dataforge.models, dataforge.models.binding, dataforge.project;"
        "print([m for m in ('openai', 'xllamacpp', 'numpy', 'tokenizers', 'tenacity') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert Path(__file__).exists()
