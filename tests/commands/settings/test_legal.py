"""Choices that do not exist, on the command line."""

import pytest
from in_process import evalkit

from evalkit.config.resources import config_names


@pytest.mark.parametrize("given", ["seg", "./seg", "/nowhere/seg"])
def test_a_path_for_a_dataset_brings_a_hint_at_dataset_folder(tmp_path, given):
    (tmp_path / "seg").mkdir()
    done = evalkit("evaluate", f"dataset={given}", "retriever=bm25", "reranker=none", cwd=tmp_path)
    assert done.returncode == 2
    assert f"To read {given}, set dataset=folder dataset.path={given}. Legal are: " in done.stderr


@pytest.mark.parametrize("verb", ["score", "evaluate"])
def test_a_proposal_is_not_hidden_by_a_list_of_all_choices(verb, tmp_path):
    error = evalkit(verb, "reranker=late_interacton", cwd=tmp_path).stderr
    more = len(config_names("reranker")) - 8
    assert "reranker=late_interacton is not a choice. Did you mean late_interaction? Legal are: late_int" in error
    assert error.endswith(f" and {more} more: `evalkit list rerankers`.\n")
    assert error.count(", ") == 7
    assert ", ".join(config_names("reranker")) in evalkit(verb, "reranker=zzz", cwd=tmp_path).stderr


OWN = """def overlap(query, documents):
    return [len({*query.split()} & {*document.split()}) for document in documents]


overlap.identity = "shared words"
"""


def sweep(folder, *settings):
    (folder / "swept_models.py").write_text(OWN)
    places = [f"cache_dir={folder / 'cache'}", "--format=csv"]
    return evalkit("evaluate", "-m", "dataset=mini", "retriever=bm25", "depth=2", *settings, *places, cwd=folder)


def test_a_setting_that_a_swept_choice_lacks_names_the_choice_and_what_to_do(tmp_path):
    done = sweep(tmp_path, "reranker=python,none", "reranker.object=swept_models:overlap")
    assert done.returncode == 2
    assert "reranker.object is not a setting of the reranker none. reranker=python has it. " in done.stderr
    assert "put it into a file of settings below --config-dir" in done.stderr


def test_a_setting_that_every_swept_choice_has_need_not_be_one_of_the_default_reranker(tmp_path):
    done = sweep(
        tmp_path, "reranker=python,python", "reranker.object=swept_models:overlap", "reranker.languages=[en,de]"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(",overlap,") >= 2


def test_a_file_of_settings_has_an_object_compared_with_others_in_one_sweep(tmp_path):
    folder = tmp_path / "conf/reranker"
    folder.mkdir(parents=True)
    lines = ["defaults: [/schema/reranker/python@_here_, _self_]", "name: mine", "object: swept_models:overlap"]
    (folder / "mine.yaml").write_text("\n".join(lines))
    done = sweep(tmp_path, f"--config-dir={tmp_path / 'conf'}", "reranker=mine,none")
    assert done.returncode == 0, done.stderr
    assert ",mine," in done.stdout
    assert ",none," in done.stdout


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("reranker.name=é", """Put it in two kinds of quotes: 'reranker.name="é"'."""),
        ("retriever=FOLDER", "To read FOLDER, set retriever=dense retriever.model=FOLDER."),
        ("reranker=FOLDER", "To read FOLDER, set reranker=auto reranker.model=FOLDER."),
    ],
)
def test_a_value_in_the_wrong_form_is_shown_in_the_right_one(typed, expected, tmp_path):
    done = evalkit("evaluate", typed.replace("FOLDER", str(tmp_path)), cwd=tmp_path)
    assert done.returncode == 2
    assert expected.replace("FOLDER", str(tmp_path)) in done.stderr
