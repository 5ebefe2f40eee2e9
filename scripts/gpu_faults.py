"""Parts of gpu_check: memory runs out, and evaluations are killed."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import full_size  # first, since it makes the tests' modules importable
import kill_test
import numpy as np
import torch
from gpu_checks import Check, Options, emptied, groups_of
from gpu_families import pair_reranker
from tiny_checkpoints import write_bert_reranker

from evalkit.errors import ModelError
from evalkit.inference.backbone import Backbone
from evalkit.system.reporting import reason
from evalkit.types import Pair

_MODEL = "bge_v2_m3_568m"
_ROOM = 512 << 20  # bytes beside the model: a batch of 65,536 tokens takes more
_BOUND = 0.05  # of a logit, between batches of different size


def memory(options: Options) -> Iterator[Check]:
    """Too large a budget is halved until it fits, with the same scores; a text that never fits is one line.

    On a GPU the process is kept from taking more; on a CPU batches that are too large say that memory ran out.
    """
    folder, family = options.checkpoint(_MODEL), full_size.SIZES[_MODEL].family
    pairs = [pair for group in groups_of(60 if options.tiny else 3000, 2.0, seed=5) for pair in group]
    few = 1024 if options.tiny else 8192
    with emptied(options.device):
        model = pair_reranker(family, folder, options, few)
        expected = model.score(pairs).scores
        limited = _limited_cuda if options.device == "cuda" else _limited_cpu
        for name, budget in (("a budget that is too large", 65_536), ("a budget that is found out", None)):
            if budget is None and options.device == "cpu":
                continue
            model = pair_reranker(family, folder, options, budget)
            model.load()
            with limited(_ROOM, few):
                found = model.score(pairs).scores
            yield _halved(name, model, np.abs(found - expected).max())
            del model
        model = pair_reranker(family, folder, options, few, max_length=8192)
        model.load()
        with limited(0, 1):
            yield _refused(lambda: model.score([Pair("tides", "the moon " * 4000)]))
    yield _afterwards(lambda: pair_reranker(family, folder, options, few).score(pairs[:8]).scores, expected[:8])


@contextlib.contextmanager
def _limited_cuda(room: int, _: int) -> Iterator[None]:
    """So many bytes beside what is taken now."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min((torch.cuda.memory_reserved() + room) / total, 1.0))
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@contextlib.contextmanager
def _limited_cpu(_: int, tokens: int) -> Iterator[None]:
    """So many tokens in a batch."""
    whole = Backbone.after

    def after(self: Backbone, batch: Any, *arguments: Any) -> Any:
        if len(batch.input_ids) > tokens:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return whole(self, batch, *arguments)

    with mock.patch.object(Backbone, "after", after):
        yield


def _halved(name: str, model: Any, difference: float) -> Check:
    usage = model.usage
    ok = usage.out_of_memory > 0 and bool(difference <= _BOUND)
    says = f"halved {usage.out_of_memory} times, to {usage.batch_tokens} tokens; scores {difference:.2g} apart"
    figures = {"halved": usage.out_of_memory, "batch_tokens": usage.batch_tokens, "difference": float(difference)}
    return Check(name, ok, says, figures)


def _refused(score: Callable[[], Any]) -> Check:
    name = "a text that does not fit"
    try:
        score()
    except ModelError as error:
        return Check(name, "out of memory on one text" in str(error), reason(error))
    return Check(name, ok=False, says="was scored, though there was no memory for it")


def _afterwards(score: Callable[[], Any], expected: Any) -> Check:
    difference = float(np.abs(score() - expected).max())
    return Check("the device is of use afterwards", difference <= _BOUND, f"scores {difference:.2g} apart")


def resume(options: Options) -> Iterator[Check]:
    """Evaluations of the bundled collection that are killed and run again end in the bytes of an undisturbed one."""
    model = write_bert_reranker(options.scratch / "resume")
    overrides = [
        "dataset=mini",
        "retriever=bm25",
        "reranker=cross_encoder",
        f"reranker.model={model}",
        f"compute.device={options.device}",
        f"compute.dtype={options.dtype}",
        *(f"compute.{name}={value}" for name, value in options.compute.items()),
    ]
    with contextlib.redirect_stdout(sys.stderr):
        outcome = kill_test.run(overrides, kills=options.kills, how="KILL", seed=0, phases=("score", "write", "any"))
    says = f"{outcome.same} of {outcome.trials} ended in the same bytes; killed in {dict(outcome.moments)}"
    figures = {"same": outcome.same, "trials": outcome.trials, "moments": dict(outcome.moments)}
    killed = outcome.moments.total() > outcome.moments["finished"]
    yield Check("killed and run again", killed and outcome.same == outcome.trials, says, figures)
