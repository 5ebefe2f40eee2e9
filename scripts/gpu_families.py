"""Parts of gpu_check: what there is, and whether every family computes on the device what it computes on the CPU."""

import inspect
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import full_size  # first, since it makes the tests' modules importable
import numpy as np
import torch
from benchmark_setup import FAMILIES
from families.tiny import KINDS, PAIRS, TINY_BOUNDS, Kind, built
from gpu_checks import Check, Options, emptied, groups_of
from numpy.typing import NDArray
from tiny_checkpoints import write_bert_embedder

from evalkit import rerank
from evalkit.config import ComputeConfig, DenseConfig
from evalkit.config.retriever import POOLINGS
from evalkit.errors import EvalkitError
from evalkit.rerank.late_interaction import LateInteractionConfig, LateInteractionReranker
from evalkit.rerank.pair_reranker import PairReranker
from evalkit.retrieval.encoder import DenseEncoder
from evalkit.system.reporting import reason

Numbers = NDArray[np.float32]

_HALF = ("bfloat16", "float16")
_ATTENTIONS = {"cuda": ("packed", "torch_varlen", "flash_attn", "sdpa", "eager"), "cpu": ("packed",)}
_KERNELS_OF_HALF = ("torch_varlen", "flash_attn")  # these have no float32
_FLOAT32_BOUND = 1e-3  # of a logit
_VECTOR_BOUNDS = {"float32": 1e-4, "bfloat16": 0.05, "float16": 0.01}  # of a cosine, or of a number in a unit vector
_PACKAGES = ("torch", "transformers", "tokenizers", "flash-attn", "flash-attn-4", "triton", "liger-kernel", "kernels")
_TEXTS = [text for pair in PAIRS for text in (pair.query, pair.document) if text]


def versions(options: Options) -> Iterator[Check]:
    """Device, packages, and what a packed batch runs on."""
    found = {name: installed for name in _PACKAGES if (installed := _installed(name))}
    yield Check("packages", None, ", ".join(f"{name} {number}" for name, number in found.items()), found)
    if options.device == "cuda":
        yield from _device()
    kind = KINDS["bert"]
    model = built(kind, kind.write(options.scratch / "versions"), device=options.device, dtype=options.dtype)
    model.score(PAIRS)
    facts = {name: str(value) for name, value in model.facts().items()}
    yield Check("facts of a run", None, ", ".join(f"{name} {value}" for name, value in facts.items()), facts)


def _device() -> Iterator[Check]:
    about = torch.cuda.get_device_properties(0)
    free, total = torch.cuda.mem_get_info()
    figures = {"capability": [about.major, about.minor], "free_bytes": free, "total_bytes": total}
    says = f"{about.name}, sm_{about.major}{about.minor}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free"
    yield Check("device", None, f"{says}, CUDA {torch.version.cuda}", figures)
    ok = (about.major, about.minor) >= (8, 0)
    yield Check("packed kernels run on it", ok, "sm_80 or newer" if ok else "older than sm_80: padded models only")
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        yield Check("varlen_attn", ok=False, says=f"absent in torch {torch.__version__}; 2.11 or newer has it")
        return
    takes = list(inspect.signature(varlen_attn).parameters)
    yield Check("varlen_attn", {"scale", "window_size"} <= set(takes), f"takes {', '.join(takes)}", {"takes": takes})


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def golden(options: Options) -> Iterator[Check]:
    """Every family with every attention and dtype there, poolings, late interaction, against float32 on the CPU."""
    for name, kind in KINDS.items():
        folder = kind.write(options.scratch / "golden" / name, seed=1)
        exact = built(kind, folder).score(PAIRS).scores
        for dtype, attention in _ways(options):
            bound = _FLOAT32_BOUND if dtype == "float32" else TINY_BOUNDS[name][_HALF.index(dtype)]
            scores = _scores(options, kind, folder, dtype, attention)
            yield _compared(f"{name}, {dtype}, {attention}", exact, scores, bound, may_refuse=attention != "packed")
    folder = with_projection(options.scratch / "golden" / "encoder")
    for projection in (None, "linear.pt"):
        exact = _late(folder, ComputeConfig(device="cpu"), projection)()
        for dtype in _dtypes(options):
            scores = _late(folder, ComputeConfig(device=options.device, dtype=dtype), projection)
            name = f"late interaction{', projection' if projection else ''}, {dtype}"
            yield _compared(name, exact, scores, _VECTOR_BOUNDS[dtype])
    for pooling in sorted(set(POOLINGS) - {"checkpoint"}):
        exact = _vectors(folder, ComputeConfig(device="cpu"), pooling)()
        for dtype in _dtypes(options):
            found = _vectors(folder, ComputeConfig(device=options.device, dtype=dtype), pooling)
            yield _compared(f"pooling {pooling}, {dtype}", exact, found, _VECTOR_BOUNDS[dtype])


def _dtypes(options: Options) -> tuple[str, ...]:
    return ("float32", "bfloat16") if options.tiny else ("float32", *_HALF)


def _ways(options: Options) -> Iterator[tuple[str, str]]:
    for attention in _ATTENTIONS[options.device]:
        for dtype in _dtypes(options):
            if dtype != "float32" or attention not in _KERNELS_OF_HALF:
                yield dtype, attention


def _scores(options: Options, kind: Kind, folder: Path, dtype: str, attention: str) -> Callable[[], Numbers]:
    return lambda: built(kind, folder, device=options.device, dtype=dtype, attention=attention).score(PAIRS).scores


def with_projection(folder: Path) -> Path:
    """A tiny encoder that names no pooling, and a linear layer over its token vectors."""
    write_bert_embedder(folder, seed=1)
    (folder / "modules.json").unlink()
    shutil.rmtree(folder / "1_Pooling")
    generator = torch.Generator().manual_seed(4)
    layer = {"weight": torch.randn(12, 32, generator=generator), "bias": torch.randn(12, generator=generator)}
    torch.save(layer, folder / "linear.pt")
    return folder


def late_interaction(folder: Path, compute: ComputeConfig, projection: str | None) -> LateInteractionReranker:
    """MaxSim over the encoder in a folder."""
    config = LateInteractionConfig(name="tiny", model=str(folder), max_length=64, projection=projection)
    return LateInteractionReranker(config, compute)


def _late(folder: Path, compute: ComputeConfig, projection: str | None) -> Callable[[], Numbers]:
    return lambda: late_interaction(folder, compute, projection).score(PAIRS).scores


def _vectors(folder: Path, compute: ComputeConfig, pooling: str) -> Callable[[], Numbers]:
    config = DenseConfig(name="tiny", model=str(folder), max_length=64, pooling=pooling, normalize=True)
    return lambda: DenseEncoder(config, compute).encode(_TEXTS)


def _compared(
    name: str, exact: Numbers, compute: Callable[[], Numbers], bound: float, *, may_refuse: bool = False
) -> Check:
    """One way to compute what is known; an attention that is not installed, or that a model lacks, is left out."""
    try:
        found = compute()
    except EvalkitError as error:
        return Check(name, None if may_refuse else False, f"refused: {reason(error)}")
    difference = float(np.abs(found - exact).max())
    figures = {"largest_difference": difference, "bound": bound}
    return Check(name, bool(difference <= bound), f"{difference:.2g} from float32 on the CPU, bound {bound:g}", figures)


def determinism(options: Options) -> Iterator[Check]:
    """The same bytes twice, from two loads of a model; how far another budget is, is said and not judged."""
    for name, kind in KINDS.items():
        folder = kind.write(options.scratch / "determinism" / name, seed=2)

        def tiny(budget: int, kind: Kind = kind, folder: Path = folder) -> Any:
            return built(kind, folder, device=options.device, dtype=options.dtype, batch_tokens=budget)

        pairs = [pair for pair in PAIRS for _ in range(2)] if options.tiny else PAIRS * 20
        yield _twice(name, tiny, pairs, (512, 128))
    folder = with_projection(options.scratch / "determinism" / "encoder")
    late = [pair for group in groups_of(60 if options.tiny else 2000, 2.0, seed=3, depth=10) for pair in group]
    yield _twice(
        "late interaction",
        lambda budget: late_interaction(folder, options.settings(batch_tokens=budget), "linear.pt"),
        late,
        (2048, 512),
    )
    folder, family = options.checkpoint("bge_v2_m3_568m"), full_size.SIZES["bge_v2_m3_568m"].family
    many = [pair for group in groups_of(40 if options.tiny else 4000, 2.0, seed=4) for pair in group]
    yield _twice("bge_v2_m3_568m", lambda budget: pair_reranker(family, folder, options, budget), many, (16_384, 4096))


def pair_reranker(
    family: str, folder: Path, options: Options, budget: int | None, *, max_length: int = 512
) -> PairReranker:
    """A reranker of full size."""
    config = FAMILIES[family](name="full_size", model=str(folder), max_length=max_length)
    return rerank.require_pairs(rerank.build(config, options.settings(batch_tokens=budget)))


def _twice(name: str, load: Callable[[int], Any], pairs: Any, budgets: tuple[int, int]) -> Check:
    with emptied("cuda" if torch.cuda.is_available() else "cpu"):
        first, second, other = (load(budget).score(pairs).scores for budget in (budgets[0], budgets[0], budgets[1]))
    same, apart = first.tobytes() == second.tobytes(), float(np.abs(first - other).max())
    says = f"{len(pairs)} pairs, {'the same bytes' if same else 'OTHER BYTES'}; with another budget {apart:.2g} apart"
    return Check(name, same, says, {"pairs": len(pairs), "other_budget": apart})
