"""Reranking against its peers: same weights, same pairs, same cores, interleaved in one process.

    python scripts/benchmark_rerank.py --json OUT.json --plot OUT.png
    python scripts/benchmark_rerank.py --folder DIR --run RUN --dtype float32,bfloat16 --growth 1000,10000,100000
    python scripts/benchmark_rerank.py --model DIR --contenders sentence-transformers --folder DIR --run RUN
    python scripts/benchmark_rerank.py --model DIR --family minicpm --dtype bfloat16 --device cuda --folder DIR

Without --model, the real all-MiniLM-L6-v2 with a random score head; --xlmr makes a random XLM-RoBERTa. What a model is,
its own files say, as for `reranker=auto`, unless --family does. Without --pairs or --folder, BM25's candidates of the
bundled collection. Every round scores another sample; `ratio` is evalkit's rate over the peer's in the same round and
dtype. Operations are counted for the whole model at every token, without DeBERTa's products with relative positions.
Where evalkit computes the beginning that prompts share once, its padding is below 0. Scores must agree: where a float32
peer is further than 1e-3 standard deviations from evalkit, the exit code is 1. Peers that are absent or cannot run the
model are listed.

In late interaction every contender encodes each distinct query and document of a round once, then compares the pairs
of the round; both are timed. Rates are pairs per second, and tokens those of the queries and documents.

Models of published sizes with random weights are written by scripts/full_size.py --model ettin_17m --folder DIR.

TREC Deep Learning 2019 in BEIR layout, with the passages of a BM25 run of depth 100:

    python scripts/benchmark_rerank.py --folder msmarco_dl19 --run msmarco_dl19/runs/BM25.dl19.txt --count 1000

Needs: pip install 'evalkit[mini,bench]', and for all peers: pip install FlagEmbedding mteb matplotlib
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmark_contenders import PEERS, gather
from benchmark_growth import growth
from benchmark_inputs import MINI_LM, Groups, Source, flat, mini_lm_reranker, pairs_from, xlmr_reranker
from benchmark_machine import chosen_device, machine
from benchmark_report import finish, measure, place_of_reference, require_suffix
from benchmark_setup import FAMILIES, Model, Setup, lengths_read
from benchmarking import DTYPES, OURS, Field, Sample, chosen, stop, warm_up
from numpy.typing import NDArray

from evalkit.errors import ConfigError, EvalkitError
from evalkit.models.checkpoint import resolve
from evalkit.models.shape import shape_of
from evalkit.system.reporting import report

TOLERANCE = 1e-3  # of the scores' standard deviation, in float32
_WARM_UP = 96


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    pairs = parser.add_argument_group("pairs")
    pairs.add_argument("--pairs", metavar="FILE", help="JSON lines with query and document, as for `evalkit score`")
    pairs.add_argument("--folder", type=Path, help="a collection in BEIR layout")
    pairs.add_argument("--run", type=Path, help="candidates of that collection; BM25's when not given")
    pairs.add_argument("--depth", type=int, default=100, help="candidates of a query")
    pairs.add_argument("--count", type=int, default=500, help="pairs in a round")
    model = parser.add_argument_group("model")
    model.add_argument("--model", help="a folder, a hub id, or package:NAME/PATH")
    model.add_argument("--family", choices=FAMILIES, default="auto", help="as the files of the model say by default")
    model.add_argument("--xlmr", action="store_true", help="a random XLM-RoBERTa reranker instead")
    model.add_argument("--layers", type=int, default=6, help="of --xlmr")
    model.add_argument("--hidden", type=int, default=384, help="of --xlmr")
    model.add_argument("--tokenizer", type=Path, help="of --xlmr: a folder; trained on the pairs when not given")
    model.add_argument(
        "--max-length", type=int, default=512, help="tokens of a pair; late interaction has the lengths of its model"
    )
    how = parser.add_argument_group("how")
    how.add_argument("--dtype", action="append", metavar="DTYPE[,...]", help="float32 when not given")
    how.add_argument("--device", default="auto")
    how.add_argument("--threads", type=int, help="of a CPU; torch's choice when not given")
    how.add_argument("--batch-tokens", type=int, help="evalkit's; its own choice when not given")
    how.add_argument(
        "--contenders", action="append", metavar="PEER[,...]", help=f"of {', '.join(PEERS)}; all by default"
    )
    how.add_argument("--rounds", type=int, default=5)
    how.add_argument("--growth", default="", metavar="N[,...]", help="then evalkit alone on so many pairs")
    how.add_argument("--seed", type=int, default=0)
    out = parser.add_argument_group("out")
    out.add_argument("--json", type=Path)
    out.add_argument("--plot", type=Path)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, save. 0; 1 where scores disagree; 2 for a mistake of the caller's."""
    options = parse(arguments)
    try:
        with tempfile.TemporaryDirectory() as folder:
            return benchmark(options, Path(folder))
    except (EvalkitError, OSError) as error:
        return report(error)


def benchmark(options: argparse.Namespace, scratch: Path) -> int:
    """All rounds, then growth.

    Raises:
        EvalkitError: an option, a file or the model cannot be used.
    """
    _require_ranges(options)
    require_suffix(options.plot)
    counts = _counts(options.growth)
    dtypes = chosen(options.dtype or ["float32"], DTYPES, "--dtype")
    peers = chosen(options.contenders if options.contenders is not None else PEERS, (*PEERS, OURS), "--contenders")
    device = chosen_device(options.device)
    threads = options.threads or torch.get_num_threads()
    about = machine(threads, device)
    source = pairs_from(file=options.pairs, folder=options.folder, run=options.run, depth=options.depth)
    name, folder = _model(options, source, scratch)
    setup = Setup(folder, options.family, options.max_length, device, threads, options.batch_tokens)
    found = gather(setup, dtypes, [peer for peer in peers if peer != OURS])
    reranker = setup.reranker(dtypes[0])
    first = warm_up(
        found,
        _sample(source.sample(min(_WARM_UP, options.count), (options.seed, 0)), reranker),
        device=device,
        threads=threads,
    )
    disagreement = _leave_out_what_disagrees(found, first)
    samples = _samples(options, source, reranker)
    limit = {} if setup.is_late else {"max_length_tokens": options.max_length}
    result: dict[str, Any] = {
        "title": f"Reranking with {name}: {source.name}",
        "machine": about,
        "model": {"name": name, "family": reranker.identity["kind"], **limit},
        "pairs": _facts(source, samples, options.seed, "text" if setup.is_late else "pair"),
    }
    shape = shape_of(resolve(str(folder)))
    seed = options.seed
    result |= measure(found, samples, shape, seed=seed, device=device, threads=threads, agreement=agreement)
    if counts:
        result["growth"] = growth(reranker, source, counts, seed=options.seed, device=device)
    finish(result, "pairs", options.json, options.plot)
    if far := [entry for entry in result["contenders"] if _is_far(entry["dtype"], entry["distance_from_evalkit"])]:
        return stop(_far(far[0]["name"], far[0]["distance_from_evalkit"]))
    return stop(disagreement) if disagreement else 0


def _require_ranges(options: argparse.Namespace) -> None:
    for name in ("depth", "count", "rounds", "threads", "batch_tokens"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name.replace('_', '-')} {value} is too small. Give 1 or more.")
    if options.model and options.xlmr:
        raise ConfigError("--model and --xlmr were both given. Give one of them.")
    if options.run and not options.folder:
        raise ConfigError("--run needs the collection that it is of. Give --folder.")
    if options.family not in {"auto", "cross_encoder"} and not options.model:
        raise ConfigError(f"--family {options.family} needs --model.")


def _counts(text: str) -> list[int]:
    parts = [part for part in text.split(",") if part]
    if not all(part.isdigit() and int(part) for part in parts):
        raise ConfigError(f"--growth {text} is no list of counts, such as 1000,10000.")
    return [int(part) for part in parts]


def _model(options: argparse.Namespace, source: Source, scratch: Path) -> tuple[str, Path]:
    """What to call the model, and its folder."""
    if options.model:
        return str(options.model).rstrip("/").rsplit("/", 1)[-1], resolve(options.model).path
    if not options.xlmr:
        return f"{MINI_LM.rsplit(':', 1)[-1].split('/', 1)[0]} with a random head", mini_lm_reranker(scratch / "model")
    pairs = flat(source.groups)
    texts = list(dict.fromkeys([pair.query for pair in pairs] + [pair.document for pair in pairs]))
    name = f"a random XLM-RoBERTa of {options.layers} layers, width {options.hidden}"
    folder = xlmr_reranker(
        scratch / "model", layers=options.layers, hidden=options.hidden, texts=texts, tokenizer=options.tokenizer
    )
    return name, folder


def _samples(options: argparse.Namespace, source: Source, reranker: Model) -> list[Sample]:
    rounds = range(1, options.rounds + 1)
    return [_sample(source.sample(options.count, (options.seed, number)), reranker) for number in rounds]


def _sample(groups: Groups, reranker: Model) -> Sample:
    return Sample(groups, lengths_read(reranker, groups), len(flat(groups)))


def _facts(source: Source, samples: Sequence[Sample], seed: int, sequence: str) -> dict[str, Any]:
    lengths = np.concatenate([sample.lengths for sample in samples])
    return {
        "source": source.name,
        "available": source.pairs,
        "per_round": [sample.texts for sample in samples],
        f"tokens_of_a_{sequence}": {
            "mean": float(lengths.mean()),
            "median": float(np.median(lengths)),
            "max": int(lengths.max()),
        },
        "seed": seed,
    }


def agreement(scores: NDArray[np.float32], ours: NDArray[np.float32]) -> dict[str, float]:
    """Largest difference over the standard deviation of evalkit's scores, and Spearman's rank correlation.

    Raises:
        ConfigError: there are not as many scores.
    """
    from scipy.stats import rankdata

    if scores.shape != ours.shape:
        raise ConfigError(f"a peer gave scores of shape {scores.shape}, evalkit {ours.shape}. Give a model with one.")
    deviation = float(ours.std()) or 1.0
    ranks = [rankdata(values) for values in (scores, ours)]
    same = bool(np.array_equal(*ranks)) or not all(rank.std() for rank in ranks)
    return {
        "max_difference_over_std": float(np.abs(scores - ours).max()) / deviation,
        "spearman": 1.0 if same else float(np.corrcoef(*ranks)[0, 1]),
    }


def _leave_out_what_disagrees(found: Field, outputs: Sequence[NDArray[np.float32]]) -> str | None:
    """What the first texts show, before the rounds take their time: the last contender that was left out, and why."""
    reference = outputs[place_of_reference(found.contenders)]
    said = None
    for contender, output in zip(list(found.contenders), outputs, strict=True):
        distance = agreement(output, reference)
        if contender.package != OURS and _is_far(contender.dtype, distance):
            said = _far(contender.name, distance)
            found.drop(contender, ConfigError(said))
    return said


def _is_far(dtype: str, distance: dict[str, float]) -> bool:
    # Not `>`: a score that is no number is far away.
    return dtype == "float32" and not distance["max_difference_over_std"] <= TOLERANCE


def _far(name: str, distance: dict[str, float]) -> str:
    return (
        f"float32 scores of {name} are {distance['max_difference_over_std']:.1e} standard deviations from evalkit's "
        f"(at most {TOLERANCE:.0e} is allowed), so their rates do not compare. Check the model, or leave it out with "
        "--contenders."
    )


if __name__ == "__main__":
    sys.exit(main())
