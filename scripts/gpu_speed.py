"""Parts of gpu_check: how fast models of full size are, against peers and the device's own multiplication, and why."""

import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import full_size  # first, since it makes the tests' modules importable
import numpy as np
import torch
from benchmark_contenders import gather
from benchmark_inputs import Groups, flat
from benchmark_setup import Setup, lengths_read
from benchmarking import Contender, Sample, synchronise, time_once
from full_size import Config
from gpu_checks import Check, Options, emptied, groups_of
from gpu_families import pair_reranker
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity

from evalkit.models.checkpoint import resolve
from evalkit.models.packing import contents
from evalkit.models.shape import Shape, shape_of
from evalkit.system.reporting import reason

_PEERS = ("sentence-transformers", "card")
_ASSUMED_SHARE = 0.4  # of the multiplication's rate, to say how many pairs take the seconds that are asked for
_MOST_PAIRS, _FEWEST_PAIRS = 40_000, {"cuda": 400, "cpu": 16}
_GEMM_SECONDS = 0.2
_PROFILED = 65_536  # tokens
# Kernels and CPU operators by what their names hold; the first that fits.
_CLASSES = (
    ("attention", ("flash", "fmha", "attention", "attn", "softmax", "bmm", "baddbmm")),
    ("multiplication", ("gemm", "nvjet", "cutlass", "cublas", "xmma", "addmm", "aten::mm", "linear", "matmul")),
    ("normalisation", ("norm", "rsqrt")),
    ("rotation", ("rope", "rotary", "aten::neg", "neg_kernel", "aten::cat", "catarray")),
    ("activation", ("gelu", "silu", "swiglu", "geglu", "tanh")),
    ("copies", ("memcpy", "memset", "copy", "contiguous", "clone")),
    ("gathering", ("index", "gather", "embedding", "segment", "scatter")),
    ("element-wise", ("elementwise", "vectorized", "aten::mul", "aten::add", "triton")),
)


class Matrix(NamedTuple):
    """A multiplication of every layer: states of `inner` numbers to `outer`."""

    inner: int
    outer: int


def matrices(config: Config) -> list[Matrix]:
    """What a layer multiplies by, with the products over the same input as one."""
    hidden, feed, heads = (config[key] for key in ("hidden_size", "intermediate_size", "num_attention_heads"))
    width = config.get("head_dim", hidden // heads)
    keys = config.get("num_key_value_heads", heads) * width
    gated = 1 if config.get("model_type") == "xlm-roberta" else 2
    queries = heads * width
    return [
        Matrix(hidden, queries + 2 * keys),
        Matrix(queries, hidden),
        Matrix(hidden, gated * feed),
        Matrix(feed, hidden),
    ]


def multiplication_rate(config: Config, tokens: int, options: Options) -> float:
    """FLOP/s of a model's own multiplications at so many tokens, each as fast as it has been."""
    kind, flops, seconds = getattr(torch, options.dtype), 0.0, 0.0
    with torch.inference_mode(), emptied(options.device):
        for inner, outer in matrices(config):
            states = torch.randn(tokens, inner, device=options.device).to(kind)
            weight = torch.randn(outer, inner, device=options.device).to(kind)
            flops += 2.0 * tokens * inner * outer
            seconds += _fastest(lambda s=states, w=weight: torch.nn.functional.linear(s, w), options)
    return flops / seconds


def _multiplied(options: Options) -> int:
    """Tokens: the largest batch on a GPU; on a CPU so few that a large model takes seconds."""
    return max(options.batch_tokens) if options.device == "cuda" else 512


def _fastest(multiply: Callable[[], Any], options: Options) -> float:
    multiply()
    best, until = float("inf"), time.perf_counter() + (0 if options.tiny else _GEMM_SECONDS)
    while True:
        synchronise(options.device)
        start = time.perf_counter()
        for _ in range(4):
            multiply()
        synchronise(options.device)
        best = min(best, (time.perf_counter() - start) / 4)
        if time.perf_counter() >= until:
            return best


def throughput(options: Options) -> Iterator[Check]:
    """Each model at several budgets, then its peers, over the same pairs."""
    for name in options.models:
        if options.late:
            yield Check(name, None, f"left out, since the time is up: --part throughput --models {name}")
            continue
        with emptied(options.device):
            yield from _model(name, options)


def _model(name: str, options: Options) -> Iterator[Check]:
    size, folder = _sized(name, options), options.checkpoint(name)
    shape = shape_of(resolve(str(folder)))
    rate = multiplication_rate(size.config, _multiplied(options), options)
    yield Check(f"{name}: multiplication", None, f"{rate / 1e12:.3g} TFLOP/s at its own shapes", {"flops": rate})
    setup = Setup(folder, size.family, 512, options.device, torch.get_num_threads(), compute=options.compute)
    per_word = tokens_per_word(pair_reranker(size.family, folder, options, None))
    pair_flops = shape.flops(190, 190**2)
    count = int(options.seconds * _ASSUMED_SHARE * rate / pair_flops)
    groups = groups_of(min(max(count, _FEWEST_PAIRS[options.device]), _MOST_PAIRS), per_word, seed=6)
    best = 0.0
    for budget in options.batch_tokens:
        check = _ours(name, setup, groups, shape, rate, budget, options)
        best = max(best, check.figures["pairs_per_second"])
        yield check
    found = gather(setup, [options.dtype], [*_PEERS], ours=False)
    for contender in found.contenders:
        yield _peer(name, contender, groups, best, options)
    for peer, why in found.skipped.items():
        yield Check(f"{name}: {peer}", None, f"left out: {why}")


def _sized(name: str, options: Options) -> full_size.Size:
    size = full_size.SIZES[name]
    return size.tiny() if options.tiny else size


def tokens_per_word(reranker: Any) -> float:
    """Of the words that `groups_of` draws."""
    pairs = flat(groups_of(64, 1.0, seed=0))
    words = sum(len(pair.document.split()) + len(pair.query.split()) for pair in pairs)
    return float(reranker.tokenize(pairs).lengths.sum()) / words


def _ours(name: str, setup: Setup, groups: Groups, shape: Shape, rate: float, budget: int, options: Options) -> Check:
    reranker, pairs = setup.reranker(options.dtype, batch_tokens=budget), flat(groups)
    lengths = lengths_read(reranker, groups)
    reranker.score(pairs[: len(groups[0])])
    if options.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds, scores = _timed(lambda: reranker.score(pairs).scores, options.device)
    reached = shape.flops(float(lengths.sum()), float(np.square(lengths).sum())) / seconds
    figures = {
        "pairs_per_second": len(pairs) / seconds,
        "tokens_per_second": float(lengths.sum()) / seconds,
        "pairs": len(pairs),
        "tokens": int(lengths.sum()),
        "seconds": seconds,
        "attention": reranker.compute.attention,
        "model_flops_per_second": reached,
        "share_of_multiplication": reached / rate,
        "parameters": contents(reranker.model).parameters,
        "peak_bytes": _peak_bytes(options.device),
    }
    says = (
        f"{figures['pairs_per_second']:,.0f} pairs/s, {figures['tokens_per_second']:,.0f} tokens/s, "
        f"{reached / 1e12:.3g} TFLOP/s, {100 * reached / rate:.0f} % of the multiplication's"
    )
    return Check(f"{name}: evalkit, {budget} tokens", bool(np.isfinite(scores).all()), says, figures)


def _peak_bytes(device: str) -> int:
    """Of the device since it was last asked; of a CPU's process since its start."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _timed(work: Callable[[], Any], device: str) -> tuple[float, Any]:
    synchronise(device)
    start = time.perf_counter()
    result = work()
    synchronise(device)
    return time.perf_counter() - start, result


def _peer(name: str, contender: Contender, groups: Groups, best: float, options: Options) -> Check:
    """A quarter of the pairs, since peers take longer."""
    title = f"{name}: {contender.name}"
    if options.late:
        return Check(title, None, "left out, since the time is up")
    own = groups[: max(len(groups) // 4, 1)]
    sample = Sample(own, np.zeros(sum(map(len, own)), dtype=np.int64))
    threads = torch.get_num_threads()
    try:
        time_once(contender, Sample(own[:1], sample.lengths), device=options.device, threads=threads)
        timing = time_once(contender, sample, device=options.device, threads=threads)
    except Exception as error:  # noqa: BLE001 - a peer's failure is its own
        return Check(title, None, f"cannot run this model ({type(error).__name__}: {reason(error)})")
    rate = len(sample.lengths) / timing.seconds
    figures = {"pairs_per_second": rate, "evalkit_over_this": best / rate}
    return Check(title, None, f"{rate:,.0f} pairs/s; evalkit at its best {best / rate:.2f} times", figures)


def profile(options: Options) -> Iterator[Check]:
    """One batch of each model by class of kernel, and how long the device had nothing to do."""
    for name in options.models:
        if options.late:
            yield Check(name, None, f"left out, since the time is up: --part profile --models {name}")
            continue
        with emptied(options.device):
            yield _profiled(name, options)


def _profiled(name: str, options: Options) -> Check:
    size, folder = _sized(name, options), options.checkpoint(name)
    budget = 2048 if options.tiny else min(_PROFILED, max(options.batch_tokens))
    reranker = pair_reranker(size.family, folder, options, budget)
    pairs = _one_batch(reranker, budget)
    prepared = reranker.prepare(pairs)  # so that no tokenising is in the times
    none_known = np.zeros(len(pairs), dtype=bool)

    def score() -> None:
        list(reranker.stream(prepared, none_known))

    for _ in range(2):
        score()
    seconds, _ = _timed(score, options.device)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if options.device == "cuda" else [])]
    everywhere = torch._C._profiler._ExperimentalConfig(profile_all_threads=True)  # noqa: SLF001 - the engine has threads
    with torch.profiler.profile(activities=activities, experimental_config=everywhere) as seen:
        _timed(score, options.device)
    by_class, kernels, slowest = classes(seen.key_averages(), options.device)
    busy = sum(by_class.values())
    figures = {
        "pairs": len(pairs),
        "tokens": int(reranker.tokenize(pairs).lengths.sum()),
        "milliseconds": dict(by_class),
        "kernels": kernels,
        "busy_milliseconds": busy,
        "wall_milliseconds": 1e3 * seconds,  # without the profiler
        "slowest": slowest,
    }
    shown = ", ".join(f"{kind} {spent:.3g}" for kind, spent in by_class.most_common())
    return Check(f"{name}: ms by class", busy > 0, f"{shown}; {kernels} kernels in {1e3 * seconds:.3g} ms", figures)


def _one_batch(reranker: Any, budget: int) -> list[Any]:
    """As many pairs of similar length as fit into the budget."""
    pairs = flat(groups_of(max(budget // 100, 8), tokens_per_word(reranker), seed=7))
    lengths = np.asarray(reranker.tokenize(pairs).lengths)
    order = np.argsort(np.abs(lengths - np.median(lengths)), kind="stable")
    return [pairs[place] for place in order[np.cumsum(lengths[order]) <= budget].tolist()]


def classes(events: Sequence[Any], device: str) -> tuple[Counter[str], int, list[dict[str, Any]]]:
    """Milliseconds by class of kernel, how many kernels ran, and the ten names that took longest."""
    wanted, field = (
        (DeviceType.CUDA, "self_device_time_total") if device == "cuda" else (DeviceType.CPU, "self_cpu_time_total")
    )
    by_class, kernels, spent = Counter[str](), 0, []
    for event in events:
        milliseconds = getattr(event, field) / 1e3
        if event.device_type != wanted or not milliseconds or (device == "cpu" and "::" not in event.key):
            continue
        by_class[class_of(event.key)] += milliseconds
        kernels += event.count
        spent.append({"kernel": event.key[:120], "milliseconds": milliseconds, "count": event.count})
    return by_class, kernels, sorted(spent, key=lambda row: -row["milliseconds"])[:10]


def class_of(kernel: str) -> str:
    """What a kernel or an operator does, by its name."""
    lower = kernel.lower()
    return next((kind for kind, parts in _CLASSES if any(part in lower for part in parts)), "other")
