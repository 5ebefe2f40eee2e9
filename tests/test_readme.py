"""The code in README.md and docs/ works: commands compose, and lines of Python run, on tiny checkpoints."""

import functools
import importlib

import pytest
from made import grade, write_collection
from pages import PAGES, ROOT, blocks, commands
from tiny_checkpoints import write_bert_embedder, write_xlm_roberta_reranker

from evalkit.cli import COMMANDS, main
from evalkit.config.published_candidates import candidate_files

ELSEWHERE = ROOT / "docs" / "other-libraries.md"  # in tests/interchange/test_other_libraries.py
BLOCKS = {
    block.place: block.body
    for page in PAGES
    for block in blocks(page)
    if page != ELSEWHERE and block.language == "python"
}
CHECKPOINTS = {"BAAI/bge-reranker-v2-m3": write_xlm_roberta_reranker, "BAAI/bge-m3": write_bert_embedder}
QUERIES = 3

# What stands for a name of the reader's own.
STANDS_FOR = {
    "reranker=NAME": "reranker=bge_reranker_v2_m3",
    "reranker=A,B": "reranker=none,late_interaction",
    "reranker=mine": "reranker=none",
    "retriever.of=[bm25.trec,{retriever: dense, model: DIR}]": "retriever.of=[bm25,{retriever: dense, model: DIR}]",
    "NAME": "minicpm-reranker",
}
GROUPS = {"dataset", "retriever", "reranker", "compute", "suite", "ablation"}
ROOTS = {"score": "score", "doctor": "doctor", "embed": "embed", "prompt": "prompt", "fetch": "fetch"}
LINES = {" ".join(one.words): one for one in commands("evalkit")}


class Parsed(Exception):  # noqa: N818 - it ends a command early, and is no error
    """The arguments of a command, before it does anything."""


@pytest.fixture
def only_parsed(monkeypatch):
    """Commands stop where they have read their arguments."""
    from evalkit.commands.compare import Parser

    def stopping(original):
        def parse(self, *arguments):
            raise Parsed(original(self, *arguments))

        return parse

    for name in ("parse_args", "parse_intermixed_args"):
        monkeypatch.setattr(Parser, name, stopping(getattr(Parser, name)))


@functools.cache
def composed(root, settings):
    """The settings of a command. Composed once, however many pages have them."""
    return importlib.import_module("evalkit.commands.score").compose(root, list(settings))


def first_choices(words, *, sweep):
    """SETTING=VALUE with the first of several values. Every name is one of a file below conf/."""
    found = []
    for word in (STANDS_FOR.get(word, word) for word in words if "=" in word and not word.startswith("-")):
        name, _, value = word.partition("=")
        values = [value] if value.startswith("[") or not sweep else value.split(",")
        if name in GROUPS:
            missing = [one for one in values if not (ROOT / "conf" / name / f"{one}.yaml").is_file()]
            assert not missing, f"{name}={missing[0]} is not a choice"
        if name not in {"suite", "ablation"} and not name.startswith("hydra"):
            found.append(f"{name}={values[0]}")
    return found


def test_there_are_commands_of_every_kind():
    assert {one.words[1] for one in LINES.values() if len(one.words) > 2} >= COMMANDS.keys()


# Composing the settings of each takes a tenth of a second: those of the README in `make test`, all in `make test-all`.
README = {" ".join(one.words) for one in commands("evalkit") if one.place.startswith("README")}
EACH = [pytest.param(line, marks=[] if line in README else pytest.mark.slow) for line in LINES]


@pytest.mark.usefixtures("only_parsed")
@pytest.mark.parametrize("line", EACH)
def test_every_command_is_one(line, capsys):
    verb, *words = LINES[line].words[1:]
    if verb.startswith("-"):
        assert main([verb, *words]) == 0
        assert capsys.readouterr().out
        return
    module = importlib.import_module(f"evalkit.commands.{verb}")
    settings = first_choices(words, sweep="-m" in words or verb == "fetch")
    if verb in {"evaluate", "plan"}:
        assert {"-m", "--help", "--format", "csv", "--config-dir", "conf"} >= {
            word for word in words if "=" not in word
        }
        assert composed("evaluate", tuple(settings))
    elif words:  # without any, the text speaks of a command
        with pytest.raises(Parsed) as parsed:
            module.main([STANDS_FOR.get(word, word) for word in words])
        published = next((word.partition("=")[2] for word in words if word.startswith("candidates=")), None)
        if published is not None:
            datasets = [word.partition("=")[2] for word in words if word.startswith("dataset=")]
            assert published == "NAME" or candidate_files(published, tuple(datasets))
        elif verb in ROOTS:
            fetched = ["dataset=scifact"] if any(word.startswith("suite=") for word in words) else []
            assert composed(ROOTS[verb], (*fetched, *settings))
        if verb == "reproduce" and parsed.value.args[0].name:
            assert (ROOT / "conf" / "published" / f"{parsed.value.args[0].name}.yaml").is_file()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The hub's client, with tiny checkpoints of the layouts that are published under these names."""

    def download(model, *, revision, **_):
        folder = tmp_path / "hub" / model / revision  # a folder of the name of a model would be taken for it
        return str(folder if folder.is_dir() else CHECKPOINTS[model](folder))

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    """Every task of mteb has the same few documents, and results go nowhere else."""
    pytest.importorskip("mteb")
    import datasets
    from mteb.abstasks.retrieval import AbsTaskRetrieval

    collection = write_collection(tmp_path / "collection", queries=QUERIES)
    rows = {
        name: datasets.load_dataset(
            "json", data_files=str(collection / f"{name}.jsonl"), cache_dir=str(tmp_path / "datasets")
        )["train"].rename_column("_id", "id")
        for name in ("corpus", "queries")
    }
    judged = {
        f"q{query}": {f"d{query}_{place}": grade(query, place) for place in range(12)} for query in range(QUERIES)
    }

    def load_data(self, **_):
        data = {"corpus": rows["corpus"], "queries": rows["queries"], "relevant_docs": judged, "top_ranked": None}
        self.dataset = {"default": {"test": data}}
        self.data_loaded = True

    monkeypatch.setattr(AbsTaskRetrieval, "load_data", load_data)
    monkeypatch.setenv("MTEB_CACHE", str(tmp_path / "mteb"))


def test_there_are_lines_of_python():
    assert any("evalkit.measure" in block for block in BLOCKS.values())
    assert any("load_reranker" in block for block in BLOCKS.values())
    assert any("mteb.evaluate" in block for block in BLOCKS.values())


@pytest.mark.filterwarnings("ignore")  # of mteb's, about what its results could also hold
@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    "place", [pytest.param(place, marks=pytest.mark.slow if "mteb" in BLOCKS[place] else []) for place in BLOCKS]
)  # importing mteb takes seconds
def test_the_lines_of_python_run_as_they_stand(place, tmp_path, monkeypatch, request):
    if "mteb" in BLOCKS[place]:
        request.getfixturevalue("tasks")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td1\t1\n")
    (tmp_path / "run.trec").write_text("q1 Q0 d2 1 2.0 x\nq1 Q0 d1 2 1.0 x\n")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names = {"__name__": "readme"}
    exec(compile(BLOCKS[place], place, "exec"), names)
    if "values" in names:
        assert {"nDCG@10": pytest.approx(0.63093 / 2, abs=1e-5), "R@20": 0.5} == names["values"].means
    if "reranker" in names:
        assert (1,) == names["reranker"].score([("what do bees make?", "Bees make honey.")]).scores.shape
