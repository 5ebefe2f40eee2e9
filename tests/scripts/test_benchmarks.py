"""The benchmark scripts on a tiny model: what they report, not how fast anything is."""

import json
import math
from types import SimpleNamespace

import benchmark_encode
import benchmark_rerank
import full_size
import numpy as np
import pytest
from benchmark_inputs import Source, flat
from benchmark_report import best_peers, entries
from benchmark_setup import Setup, lengths_read
from benchmarking import Contender, Field, Sample, Timing, Usage
from cpu_sizes import CPU_SIZES
from stubs import write_collection
from tiny_checkpoints import write_bert_embedder, write_bert_reranker

from evalkit.config.resources import read_config
from evalkit.types import Pair

pytestmark = pytest.mark.slow  # every script runs whole

GROUPS = [
    [Pair(f"what is {query}", f"number {query} and {document} " * (1 + document % 4)) for document in range(6)]
    for query in range(4)
]


@pytest.fixture(autouse=True)
def _quick_peak(monkeypatch):
    monkeypatch.setattr("benchmark_peak._SECONDS", 0.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_bert_reranker(tmp_path_factory.mktemp("model"))


@pytest.fixture
def pairs(tmp_path):
    file = tmp_path / "pairs.jsonl"
    lines = [json.dumps({"query": pair.query, "document": pair.document}) for pair in flat(GROUPS)]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def rerank(*arguments):
    return benchmark_rerank.main([*map(str, arguments), "--device", "cpu", "--max-length", "48"])


def contender(package, dtype="float32"):
    return Contender(package, "", dtype, lambda items: lambda: items, SimpleNamespace())


def timing(seconds, executed=None):
    return Timing(seconds, seconds, Usage(executed, 0.5), np.zeros(2, dtype=np.float32))


def test_reranking_reports_every_contender_in_every_round_and_growth(model, pairs, tmp_path):
    out = tmp_path / "out.json"
    options = ("--rounds", 2, "--count", 12, "--growth", "8,1000", "--json", out)

    assert rerank("--model", model, "--pairs", pairs, "--contenders", "card", *options) == 0

    report = json.loads(out.read_text(encoding="utf-8"))
    ours, card = report["contenders"]
    assert [ours["name"], card["name"]] == ["evalkit", "model card, one query a batch"]
    assert card["distance_from_evalkit"]["max_difference_over_std"] < 1e-3
    assert card["distance_from_evalkit"]["spearman"] == pytest.approx(1)
    assert len(card["ratio"]["rounds"]) == 2
    assert report["best_peers"]["float32"]["name"] == card["name"]
    assert card["executed_over_useful_tokens"] > 1
    assert ours["executed_over_useful_tokens"] == pytest.approx(1)
    assert report["pairs"]["per_round"] == [12, 12]
    assert report["growth"][0]["pairs"] == 8
    assert "96 distinct pairs" in report["growth"][1]["skipped"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ettin_17m", "cross_encoder"),
        ("deberta_v3_xsmall", "cross_encoder"),
        ("mistral_7b_classifier_2_layers", "cross_encoder"),
        ("qwen3_0_6b_classifier_6_layers", "language_model"),
        ("qwen3_0_6b_answers_6_layers", "language_model"),
        ("colbert_small", "colbert"),
        ("colbert_ettin_17m", "colbert"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_every_kind_is_recognised_and_scored_as_sentence_transformers_scores_it(name, kind, pairs, tmp_path):
    pytest.importorskip("sentence_transformers")
    folder = full_size.write(CPU_SIZES[name].tiny(), tmp_path / "model")
    out, options = tmp_path / "out.json", ("--rounds", 1, "--count", 12, "--contenders", "sentence-transformers")

    assert rerank("--model", folder, "--pairs", pairs, *options, "--json", out) == 0

    report = json.loads(out.read_text(encoding="utf-8"))
    assert report["model"]["family"] == kind
    assert [entry["package"] for entry in report["contenders"]] == ["evalkit", *["sentence-transformers"] * 4]
    assert report["pairs"]["per_round"] == [12]
    tokens = report["pairs"]["tokens_of_a_text" if kind == "colbert" else "tokens_of_a_pair"]
    assert tokens["max"] > 12


def test_late_interaction_counts_each_query_and_document_once(tmp_path):
    folder = full_size.write(CPU_SIZES["colbert_small"].tiny(), tmp_path / "model")
    reranker = Setup(folder, "auto", 512, "cpu", 1).reranker("float32")
    groups = [[Pair("who?", "a b c"), Pair("who?", "a b")], [Pair("when?", "a b c")]]
    assert lengths_read(reranker, groups).tolist() == [32, 32, 6, 5]


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("ettin_17m", "ettin_reranker_17m"),
        ("ettin_32m", "ettin_reranker_32m"),
        ("ettin_150m", "ettin_reranker_150m"),
        ("deberta_v3_xsmall", "mxbai_rerank_xsmall_v1"),
    ],
)
def test_sizes_for_a_cpu_have_as_many_parameters_as_the_published_models(name, published):
    counted = sum(math.prod(shape) for shape in full_size.shapes_of(CPU_SIZES[name]).values())
    assert counted == read_config("reranker", published)["card"]["parameters"]


def test_a_peer_with_other_scores_ends_with_exit_code_1_and_one_line(model, pairs, monkeypatch, capsys):
    monkeypatch.setattr(benchmark_rerank, "TOLERANCE", -1.0)

    code = rerank("--model", model, "--pairs", pairs, "--contenders", "card")

    assert code == 1
    captured = capsys.readouterr()
    assert "standard deviations from evalkit's" in captured.err.splitlines()[-1]
    assert "cannot run this model" in captured.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pairs", "absent.jsonl"], "absent.jsonl"),
        (["--dtype", "int8"], "Legal are: float32, bfloat16, float16"),
        (["--contenders", "nobody"], "Legal are: sentence-transformers"),
        (["--growth", "many"], "--growth many"),
        (["--rounds", "0"], "--rounds 0"),
        (["--run", "run.txt"], "Give --folder"),
        (["--family", "minicpm"], "needs --model"),
        (["--xlmr", "--hidden", "31"], "multiple of 32"),
        (["--plot", "chart.doc"], "chart.doc"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, message, capsys):
    if "--plot" in arguments:
        pytest.importorskip("matplotlib")
    assert rerank(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_random_xlm_roberta_is_made_on_the_spot_and_scored_alike(pairs, capsys):
    assert rerank("--xlmr", "--layers", 1, "--hidden", 32, "--pairs", pairs, "--rounds", 1, "--contenders", "card") == 0
    assert "1 layers, width 32" in capsys.readouterr().out


def test_encoding_reports_evalkit_where_the_peer_is_absent(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarking.importlib.util.find_spec", lambda _: None)
    out = tmp_path / "out.json"
    model = write_bert_embedder(tmp_path / "model")
    folder = write_collection(tmp_path / "collection")

    options = ["--model", str(model), "--max-length", "32", "--texts", "3", "--rounds", "1", "--json", str(out)]
    assert benchmark_encode.main([str(folder), "--device", "cpu", *options]) == 0

    report = json.loads(out.read_text(encoding="utf-8"))
    assert report["skipped"] == {"sentence-transformers, float32": "not installed"}
    assert report["texts"]["per_round"] == [3]


def test_rounds_draw_other_pairs_and_a_seed_the_same_ones():
    source = Source("stub", GROUPS)
    assert source.sample(8, (0, 1)) == source.sample(8, (0, 1))
    assert source.sample(8, (0, 1)) != source.sample(8, (0, 2))
    assert [len(group) for group in source.sample(8, (0, 1))] == [6, 2]


def test_pairs_for_growth_are_distinct_and_end_where_queries_and_documents_do():
    source = Source("stub", GROUPS)
    assert len(set(source.distinct(50, (0,)))) == 50
    assert len(source.distinct(10_000, (0,))) == 4 * 24


def test_ratios_are_taken_within_a_round_and_a_dtype():
    field = [contender("evalkit"), contender("evalkit", "bfloat16"), contender("slow"), contender("fast", "bfloat16")]
    sample = Sample(None, np.array([3, 5]))
    rounds = [
        [timing(1.0), timing(0.5), timing(4.0, 16), timing(1.0)],
        [timing(2.0), timing(1.0), timing(4.0, 16), timing(1.0)],
    ]

    rows = entries(field, rounds, [sample, sample])

    assert rows[2]["ratio"]["rounds"] == [4.0, 2.0]
    assert rows[3]["ratio"]["rounds"] == [2.0, 1.0]
    assert rows[2]["padding"] == 0.5
    assert rows[3]["padding"] is None
    assert rows[0]["texts_per_second"]["rounds"] == [2.0, 1.0]
    assert best_peers(rows)["bfloat16"]["ratio"]["median"] == 1.5


def test_a_peer_that_cannot_load_is_listed_with_the_reason():
    def load():
        raise ValueError("no such head")

    field = Field()
    field.add("peer", "json", load)
    field.add("absent", "no_such_package", list)
    assert field.skipped == {"peer": "cannot load this model (ValueError: no such head)", "absent": "not installed"}
