"""What cannot be composed is one line; what fails in the job is not taken for it."""

import json
import shlex
import sys

import pytest

from evalkit.cli import main
from evalkit.commands.settings.compose import compose, composing
from evalkit.errors import ConfigError


def job():
    raise ValueError("a bug")


def test_any_failure_of_composing_is_a_mistake_in_the_settings():
    with pytest.raises(ConfigError, match="the settings cannot be read: no list"), composing(job):
        raise ValueError("no list")


def test_a_bug_of_the_job_is_shown_whole():
    with pytest.raises(ValueError, match="a bug"), composing(job):
        job()


def test_a_bug_of_a_launcher_is_shown_whole():
    place = {"__name__": "hydra_plugins.some.launcher"}
    exec("def launch():\n    raise ValueError('lost')", place)
    with pytest.raises(ValueError, match="lost"), composing(job):
        place["launch"]()


@pytest.mark.parametrize("text", ["'a\0b'", "'a\udcffb'"], ids=["NUL", "half a character"])
def test_a_setting_that_no_record_can_hold_is_refused(text):
    with pytest.raises(ConfigError, match=r"dataset.notes='a.*b' holds a NUL or half a character"):
        compose("fetch", ["dataset=mini", f"dataset.notes={text}"])


ROLE = r"Instruct: find, then rank\nQuery:"


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        (ROLE, "Instruct: find, then rank\nQuery:"),
        (f"'{ROLE}'", "Instruct: find, then rank\nQuery:"),
        (r'"a\tb"', "a\tb"),
        (r"a\\nb", r"a\nb"),
        (r"\\\n", "\\\n"),
        (r"a\qb", r"a\qb"),
        (r"a\, b\n", "a, b\n"),
        ("a\nb", "a\nb"),
        (" query: ", " query: "),
        ("query: ", "query: "),
        ('is "it" so? (yes; no)', 'is "it" so? (yes; no)'),
        (r"${retriever.name}\n", "all_minilm_l6_v2\n"),
    ],
)
def test_a_newline_in_a_typed_text_is_one(typed, text):
    composed = compose("embed", ["retriever=all_minilm_l6_v2", f"retriever.query_instruction={typed}"])
    assert text == composed.retriever.query_instruction


@pytest.mark.parametrize(
    "setting",
    [
        "retriever.query_instruction",
        "retriever.document_instruction",
        "retriever.instructed_query",
        "retriever.instructions",
        "reranker.prompt",
        "reranker.query_prefix",
        "reranker.document_prefix",
        "dataset.title_separator",
    ],
)
def test_every_text_that_a_model_reads_may_have_newlines(setting):
    chosen = ["retriever=all_minilm_l6_v2", "reranker=bge_reranker_v2_gemma"]
    place = "retriever.instructed_query={instruction}" if setting == "retriever.instructions" else "depth=5"
    config = compose("evaluate", [*chosen, place, rf"{setting}=a {{instruction}}\nb"])
    group, _, name = setting.partition(".")
    assert "a {instruction}\nb" == getattr(getattr(config, group), name)


def test_a_backslash_in_a_file_of_settings_or_of_instructions_stays(tmp_path):
    config = compose("score", ["reranker=minicpm_reranker", r"reranker.instructions=a b\new.json"])
    assert r"a b\new.json" == config.reranker.instructions
    (tmp_path / "reranker").mkdir()
    text = r"prompt: 'a\nb'" + '\nquery_prefix: "a\\nb"\n'
    (tmp_path / "reranker" / "own.yaml").write_text(f"defaults: [bge_reranker_v2_gemma]\nname: own\n{text}")
    found = compose_with(tmp_path, ["reranker=own", r"reranker.document_prefix=a\nb"])
    assert (r"a\nb", "a\nb", "a\nb") == (found.prompt, found.query_prefix, found.document_prefix)


def compose_with(folder, overrides):
    """The settings of a reranker, with files of one's own."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    from evalkit.commands.settings.compose import to_config
    from evalkit.config.resources import shipped

    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(shipped("conf"))):
        own = f"hydra.searchpath=[file://{folder}]"
        return to_config(hydra.compose("score", overrides=[own, *overrides]), overrides).reranker


def test_the_manifest_holds_the_newline_and_its_command_gives_it_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    places = ["dataset=mini", "dataset.sample=2", f"cache_dir={tmp_path}/cache", f"results_dir={tmp_path}/results"]
    typed = [*places, "retriever=bm25", "reranker=none", r"dataset.title_separator=:\n\\n"]
    assert main(["evaluate", *typed]) == 0
    manifest = json.loads((tmp_path / "results" / "mini" / "bm25-100" / "none" / "manifest.json").read_text())
    assert ":\n\\n" == manifest["config"]["dataset"]["title_separator"]
    again = shlex.split(manifest["command"])
    assert main(again[1:]) == 0
    assert "nothing to do, found in" in capsys.readouterr().out


def test_the_composition_that_tests_keep_is_that_of_hydra(monkeypatch, tmp_path):
    from composed import BY_HYDRA, CHOICES_BY_HYDRA, FILES_BY_HYDRA, ConfigRepository, hydra_defaults, hydra_loader

    def composed(*more):
        typed = ["retriever=bm25", "depth=7", "retriever.k1=1.2", f"results_dir={tmp_path}", *more]
        return compose("evaluate", typed)

    compose("evaluate", ["retriever=bm25", "depth=3"])
    kept = [composed(), composed("reranker=none"), composed("+reranker.max_length=9", "dataset.name=x")]
    monkeypatch.setattr(hydra_loader, "create_defaults_list", BY_HYDRA[0])
    monkeypatch.setattr(hydra_loader.ConfigLoaderImpl, "_compose_config_from_defaults_list", BY_HYDRA[1])
    monkeypatch.setattr(hydra_defaults, "_create_interpolation_map", CHOICES_BY_HYDRA)
    monkeypatch.setattr(ConfigRepository, "load_config", FILES_BY_HYDRA[0])
    monkeypatch.setattr(hydra_loader.ConfigLoaderImpl, "_embed_result_config", staticmethod(FILES_BY_HYDRA[1]))
    assert kept == [composed(), composed("reranker=none"), composed("+reranker.max_length=9", "dataset.name=x")]
    assert (7, 1.2, str(tmp_path)) == (kept[0].depth, kept[0].retriever.k1, kept[0].results_dir)
