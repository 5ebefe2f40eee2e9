"""Datasets of other libraries in `evalkit.evaluate`: what beir's loader returns, and tasks of mteb."""

import pytest
from library_collection import FOLDER, arguments, triple
from mteb_made import task_of

import evalkit
from evalkit.errors import ConfigError, ObjectError
from evalkit.results.gather import joiner

pytestmark = [
    pytest.mark.interop,
    pytest.mark.slow,  # these libraries take seconds to import
    # What they warn of, and files that they leave open, is theirs.
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture
def given(tmp_path):
    return {**arguments(tmp_path), "retriever": "bm25"}


def test_what_beirs_loader_returns_is_the_folder_it_read(given):
    loader = pytest.importorskip("beir.datasets.data_loader")
    given["dataset"] = (loader.GenericDataLoader(str(FOLDER)).load(split="test"), {"name": "mini"})
    found = evalkit.evaluate(**given)
    given["dataset"] = FOLDER
    assert evalkit.evaluate(**given).measures == found.measures


@pytest.fixture
def _mteb():
    pytest.importorskip("mteb")


@pytest.mark.usefixtures("_mteb")
@pytest.mark.parametrize("loaded", [False, True])
def test_a_task_of_mteb_is_a_dataset_loaded_or_not(loaded, given):
    same = evalkit.evaluate(**given)
    task = task_of(*triple())
    if loaded:
        task.load_data()
    given["dataset"] = task
    found = evalkit.evaluate(**given)
    assert found.measures == same.measures
    settings = found.result.manifest["config"]["dataset"]
    assert ("MadeRetrieval", "test", "en", False) == tuple(
        settings[key] for key in ("name", "split", "language", "drop_identical_ids")
    )


@pytest.mark.usefixtures("_mteb")
def test_policies_of_a_task_are_obeyed_unless_set(given):
    corpus, queries, qrels = triple()
    own = next(iter(queries))
    corpus[own] = {"title": "", "text": queries[own]}
    qrels[own][own] = 0

    def top(**settings):
        task = task_of(corpus, queries, qrels, ignore_identical_ids=True, eval_splits=["dev"])
        run = evalkit.evaluate(**{**given, "dataset": (task, settings)}).run
        return next(iter(run.only_queries([own]))).doc_ids[0]

    assert own != top()
    assert own == top(drop_identical_ids=False)


@pytest.mark.usefixtures("_mteb")
@pytest.mark.parametrize(
    ("splits", "settings", "expected"),
    [(["dev"], {}, "dev"), (["dev", "test"], {}, "test"), (["test", "dev"], {"split": "dev"}, "dev")],
)
def test_the_split_of_a_task_is_its_own_unless_set(splits, settings, expected, given):
    given["dataset"] = (task_of(*triple(), eval_splits=splits), settings)
    assert expected == evalkit.evaluate(**given).result.manifest["dataset"]["split"]


@pytest.mark.usefixtures("_mteb")
def test_a_part_of_a_task_is_named_after_both_unless_named(given):
    task = task_of(*triple(), eval_langs={"de": ["deu-Latn"], "en": ["eng-Latn"]})
    given["dataset"] = task.filter_languages(None, hf_subsets=["de"])
    found = evalkit.evaluate(**given)
    assert ("MadeRetrieval-de", "de") == (found.dataset, found.result.manifest["config"]["dataset"]["language"])
    given["dataset"] = (task, {"name": "mine"})
    assert "mine" == evalkit.evaluate(**given).dataset


@pytest.mark.usefixtures("_mteb")
def test_results_on_a_task_are_read_when_it_is_gone(given):
    given["dataset"] = task_of(*triple(), eval_splits=["dev"], ignore_identical_ids=True)
    found = evalkit.evaluate(**given)
    dataset = joiner()(found.result)
    assert found.result.manifest["dataset"]["digest"] == dataset.digest
    assert triple()[2] == dataset.qrels


@pytest.mark.usefixtures("_mteb")
@pytest.mark.parametrize(
    ("change", "settings", "error", "words"),
    [
        ({"type": "Classification"}, {}, ConfigError, "is a task of type Classification of text, expected Retrieval"),
        (
            {"eval_langs": {"a": ["eng-Latn"], "b": ["deu-Latn"]}},
            {},
            ObjectError,
            r"has the parts a, b. Give one, as mteb.get_task",
        ),
        ({}, {"split": "dev"}, ObjectError, "has no split 'dev'. Set dataset.split to one of: test"),
    ],
)
def test_a_task_that_is_no_dataset_is_refused(change, settings, error, words, given):
    given["dataset"] = (task_of(*triple(), **change), settings)
    with pytest.raises(error, match=words):
        evalkit.evaluate(**given)


@pytest.mark.usefixtures("_mteb")
def test_what_mteb_raises_while_it_loads_is_one_line(given):
    def broken(_, **__):
        raise OSError("no such\nserver")

    given["dataset"] = task_of(*triple(), load_data=broken)
    with pytest.raises(evalkit.EvalkitError, match="mteb cannot load MadeRetrieval"):
        evalkit.evaluate(**given)
