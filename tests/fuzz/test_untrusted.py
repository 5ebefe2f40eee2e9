"""Whatever a file holds: a right answer or an EvalkitError, nothing else.

Each target runs some dozens of examples with the suite. `python scripts/fuzz.py --minutes 10` runs them on and on with
other seeds.
"""

import gzip
import io
import json
import os
import shutil
import tarfile
import zipfile

import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st
from stubs import write_collection

from evalkit import results
from evalkit.analysis.baseline import read_baseline
from evalkit.cli import main
from evalkit.config import ComputeConfig, EvaluateConfig, FolderDatasetConfig
from evalkit.datasets import load
from evalkit.datasets.neuclir import NeuclirDatasetConfig, _qrels_lines
from evalkit.errors import EvalkitError
from evalkit.formats.ids import fault
from evalkit.formats.jsonl import read_pairs, read_texts
from evalkit.formats.trec import read_qrels, read_run, write_run
from evalkit.pipeline import evaluate
from evalkit.rerank.passthrough import KeepOrderConfig, ReplayConfig
from evalkit.results.manifest import MANIFEST
from evalkit.retrieval.bm25 import BM25Config
from evalkit.retrieval.saved import SavedConfig
from evalkit.store import Store, inventory

EXAMPLES = int(os.environ.get("EVALKIT_FUZZ_EXAMPLES", "25"))
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="EVALKIT_FUZZ_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)

HOSTILE = [
    "a/b",
    "../../etc/passwd",
    "a\nb",
    "a\tb",
    "\"'",
    "<script>alert(1)</script>",
    "x" * 10_000,
    "\x1b[31mred\x07",
    "\x00",
    " ",
    "\u2028",
    "\ud83d",
    "nan",
    "-0",
    "01",
    "é",
    "e\u0301",
    "[red]",
    "{}",
    "=1+1",
]
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(), max_size=20))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
LINE = st.one_of(
    st.binary(max_size=60),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(st.sampled_from(["_id", "id", "title", "text", "query", "document", "role", "score"]), JSON).map(
        lambda value: json.dumps(value).encode()
    ),
    st.lists(TEXTS, min_size=1, max_size=7).map(lambda row: "\t".join(row).encode("utf-8", "surrogatepass")),
    st.lists(TEXTS, min_size=1, max_size=7).map(lambda row: " ".join(row).encode("utf-8", "surrogatepass")),
)
FILES = st.one_of(
    st.binary(max_size=200),
    st.lists(LINE, max_size=6).map(b"\n".join),
    st.lists(LINE, max_size=6).map(lambda rows: gzip.compress(b"\n".join(rows))),
    st.lists(LINE, max_size=3).map(lambda rows: gzip.compress(b"\n".join(rows))[:-4]),
    JSON.map(lambda value: json.dumps(value).encode()),
)


def refused_or(call):
    """What a call gives; None where it refuses with an EvalkitError of one line."""
    try:
        return call()
    except EvalkitError:
        return None


@pytest.fixture
def room(tmp_path_factory):
    """A new folder for every example."""
    made = []

    def new():
        made.append(tmp_path_factory.mktemp("fuzz"))
        return made[-1]

    yield new
    for folder in made:
        shutil.rmtree(folder)


@fuzz
@given(content=FILES)
def test_any_bytes_as_a_file(room, content):
    path = room() / "file"
    path.write_bytes(content)
    refused_or(lambda: read_qrels(path))
    refused_or(lambda: read_pairs(str(path)))
    refused_or(lambda: read_texts(str(path)))
    refused_or(lambda: read_baseline(path))
    run = refused_or(lambda: read_run(path))
    if run is not None:
        refused_or(lambda: write_run(run, path, tag="x"))
        assert read_run(path).digest() == run.digest()


@fuzz
@given(files=st.tuples(FILES, FILES, FILES))
def test_any_bytes_as_a_collection(room, files):
    folder = room()
    (folder / "qrels").mkdir()
    for name, content in zip(("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"), files, strict=True):
        (folder / name).write_bytes(content)
    refused_or(lambda: load(FolderDatasetConfig(path=str(folder)), Store(folder / "cache")))


@fuzz
@given(
    documents=st.dictionaries(TEXTS, TEXTS, min_size=1, max_size=4),
    queries=st.dictionaries(TEXTS, TEXTS, min_size=1, max_size=3),
)
def test_any_ids_and_texts_are_evaluated_and_read_back_or_refused(room, documents, queries):
    folder = room()
    collection = folder / "collection"
    (collection / "qrels").mkdir(parents=True)
    for name, rows in (("corpus", documents), ("queries", queries)):
        lines = (json.dumps({"_id": key, "title": "", "text": f"word {text}"}) for key, text in rows.items())
        (collection / f"{name}.jsonl").write_text("\n".join(lines))
    first = next(iter(documents))
    rows = ["query-id\tcorpus-id\tscore", *(f"{query}\t{first}\t1" for query in queries)]
    (collection / "qrels" / "test.tsv").write_bytes("\n".join(rows).encode("utf-8", "surrogatepass"))
    done = refused_or(lambda: evaluate(settings_of(folder, collection)))
    legal = not any(fault(key) for key in (*documents, *queries))
    if done is None:
        assert not list((folder / "results").rglob(MANIFEST))
        assert (
            not legal
            or any(
                "\ud800" <= character <= "\udfff"
                for text in (*documents.values(), *queries.values())
                for character in text
            )
            or has_line_end(documents, queries)
        )
        return
    assert legal
    run = done.result.read_run()
    assert set(run.doc_ids.to_pylist()) <= set(documents)
    assert set(run.query_ids) <= set(queries)
    assert len(run) == len(documents) * len(queries)


def has_line_end(*ids):
    """Of the kinds that split a line of judgments elsewhere than where it was written."""
    return any(character.isspace() and character != " " for rows in ids for key in rows for character in key)


def settings_of(folder, collection, **changed):
    given = {"retriever": BM25Config(name="bm25"), "reranker": KeepOrderConfig(name="none"), **changed}
    return EvaluateConfig(
        dataset=FolderDatasetConfig(path=str(collection)),
        compute=ComputeConfig(device="cpu"),
        results_dir=str(folder / "results"),
        cache_dir=str(folder / "cache"),
        **given,
    )


@fuzz
@given(content=FILES)
def test_any_bytes_as_a_saved_run_or_replayed_scores(room, content):
    folder = room()
    collection = write_collection(folder / "collection")
    path = folder / "run.trec"
    path.write_bytes(content)
    refused_or(lambda: evaluate(settings_of(folder, collection, retriever=SavedConfig(name="saved", path=str(path)))))
    refused_or(lambda: evaluate(settings_of(folder, collection, reranker=ReplayConfig(name="replay", path=str(path)))))


NAMES = st.one_of(
    st.sampled_from(
        ["corpus.jsonl", "c/corpus.jsonl", "c/queries.jsonl", "c/qrels/test.tsv", "../x", "/x", "c:\\x", "a//b"]
    ),
    TEXTS,
)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@fuzz
@given(
    members=st.lists(st.tuples(NAMES, FILES, st.booleans()), max_size=5),
    cut=st.integers(0, 40),
    flip=st.integers(0, 400),
)
def test_any_zip(room, members, cut, flip):
    folder = room()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data, link in members:
            try:
                info = zipfile.ZipInfo(name)
                info.external_attr = (0o120777 if link else 0o644) << 16
                archive.writestr(info, data)
            except (ValueError, UnicodeError, IndexError):
                reject()
    raw = bytearray(content.getvalue()[: len(content.getvalue()) - cut or None])
    if flip < len(raw):
        raw[flip] ^= 1
    (folder / "x.zip").write_bytes(raw)
    refused_or(lambda: load(FolderDatasetConfig(path=str(folder / "x.zip")), Store(folder / "cache")))
    assert sorted(path.name for path in folder.iterdir() if path.name != "cache") == ["x.zip"]


@fuzz
@given(
    members=st.lists(
        st.tuples(st.one_of(st.just("qrels.final.gains.zho"), NAMES), FILES, st.sampled_from(b"0125")), max_size=4
    ),
    cut=st.integers(0, 2000),
)
def test_any_tar(room, members, cut):
    folder = room()
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data, kind in members:
            info = tarfile.TarInfo(name.replace("\0", "").encode("utf-8", "replace").decode()[:90])
            info.type, info.size, info.linkname = bytes([kind]), len(data) if kind == ord("0") else 0, "/etc/passwd"
            archive.addfile(info, io.BytesIO(data))
    path = folder / "qrels.tar"
    path.write_bytes(content.getvalue()[: len(content.getvalue()) - cut or None])
    nothing = "0" * 32
    config = NeuclirDatasetConfig(
        name="neuclir", document_language="zho", documents_md5=nothing, topics_md5=nothing, qrels_md5=nothing
    )
    refused_or(lambda: list(_qrels_lines(config, path)))
    assert [one.name for one in folder.iterdir()] == ["qrels.tar"]


def spoil(path, kind, place, bits, other, victim):
    """Change a file, or put something else in its place."""
    content = bytearray(path.read_bytes())
    match kind:
        case "flip" if content:
            content[place % len(content)] ^= bits
            path.write_bytes(content)
        case "cut":
            path.write_bytes(content[: place % (len(content) + 1)])
        case "empty":
            path.write_bytes(b"")
        case "gone":
            path.unlink()
        case "other":
            path.write_bytes(other)
        case "stray":
            (path.parent / "stray").write_bytes(b"x")
        case "link" | "pipe" | "folder":
            path.unlink()
            {"link": lambda: path.symlink_to(victim), "pipe": lambda: os.mkfifo(path), "folder": path.mkdir}[kind]()


@fuzz
@given(
    kind=st.sampled_from(["flip", "cut", "empty", "gone", "other", "stray", "link", "pipe", "folder"]),
    which=st.integers(0, 10**6),
    place=st.integers(0, 10**6),
    bits=st.integers(1, 255),
    other=FILES,
)
def test_a_result_or_cache_that_was_changed_anywhere_gives_the_same_numbers_or_is_refused(
    room, kind, which, place, bits, other
):
    folder = room()
    config = settings_of(folder, write_collection(folder / "collection"))
    expected = evaluate(config)
    (victim := folder / "victim").write_bytes(b"mine")
    files = sorted(
        path
        for place in ("results", "cache")
        for path in (folder / place).rglob("*")
        if path.is_file() and path.suffix != ".lock"
    )
    path = files[which % len(files)]
    spoil(path, kind, place, bits, other, victim)
    done = refused_or(lambda: evaluate(config))
    if done is not None:
        assert done.result.manifest["measures"] == expected.result.manifest["measures"]
        assert done.result.read_run().digest() == expected.result.read_run().digest()
    store = Store(folder / "cache")
    found = refused_or(lambda: inventory.artefacts(store))
    for one in found or []:
        refused_or(lambda one=one: inventory.fault(one))
    for manifest in (folder / "results").rglob(MANIFEST):
        refused_or(lambda manifest=manifest: results.read(manifest.parent))
    assert victim.read_bytes() == b"mine"


WORDS = st.one_of(
    st.sampled_from(
        [
            "evaluate",
            "score",
            "embed",
            "measure",
            "compare",
            "list",
            "gate",
            "export",
            "report",
            "analyse",
            "cache",
            "reproduce",
        ]
    ),
    st.sampled_from(
        ["--help", "-m", "--format", "datasets", "--baseline", "x.json", "dataset=mini", "dataset.name=../x", "verify"]
    ),
    st.sampled_from(
        [
            "retriever=bm25",
            "reranker=none",
            "depth=0",
            "depth=x",
            "measures=[nDCG@0]",
            "results_dir=../../x/..",
            "a=b=c",
        ]
    ),
    TEXTS,
)


@pytest.mark.slow
@settings(fuzz, max_examples=max(EXAMPLES // 2, 1))  # each composes settings anew
@given(words=st.lists(WORDS, max_size=4))
def test_any_words_typed(room, words, monkeypatch, capsys):
    monkeypatch.chdir(room())
    monkeypatch.setenv("XDG_CACHE_HOME", str(room()))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assume(not any("\0" in word for word in words))
    try:
        code = main(words)
    except SystemExit as left:
        code = left.code
    assert code in {0, 1, 2}
    assert "Traceback" not in capsys.readouterr().err
