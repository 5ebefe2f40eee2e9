"""What models reach on this machine, measured for some seconds on texts of the dataset itself."""

import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evalkit import rerank, retrieval
from evalkit.config import ComputeConfig, EvaluateConfig
from evalkit.errors import AbsentModel, MissingExtra
from evalkit.inference.room import room
from evalkit.inference.usage import Usage
from evalkit.inference.workers import open_pool
from evalkit.models.arithmetic import device_name
from evalkit.models.shape import shape_of
from evalkit.plan.machine import Machine
from evalkit.plan.reading import cutoff
from evalkit.plan.sample import Sample, pairs_of
from evalkit.rerank.seam import Reranker
from evalkit.retrieval.dense import DenseRetriever
from evalkit.retrieval.encoding import EncodingWorker, encode_corpus
from evalkit.store import Store
from evalkit.system.files import temporary_folder
from evalkit.system.progress import progress
from evalkit.system.stages import LOADING, Meter

logger = logging.getLogger(__name__)

_FIRST = 64  # texts, after which it is known how many fill the time
_MOST = 16_384
_SECONDS = 4.0


def measure_rates(config: EvaluateConfig, sample: Sample, machine: Machine) -> None:
    """Measure the models of an evaluation whose rates on this machine are not known.

    One that is not on disk is left out. Workers of Ray on the cores of this machine are taken for as many threads;
    those on GPUs or on a cluster are not measured.
    """
    compute = _alone(config.compute)
    if sample.dataset is None or compute is None:
        return
    config = replace(config, compute=compute)
    with temporary_folder(Path(tempfile.gettempdir()), "evalkit-plan-") as folder:
        store = Store(folder)
        try:
            first_stage = retrieval.build(config.retriever, config.compute, store, dataset=config.dataset)
            reranker = rerank.build(config.reranker, config.compute, dataset=config.dataset)
        except (AbsentModel, MissingExtra) as error:
            logger.warning("%s Rates are assumed.", error)
            return
        if isinstance(first_stage, DenseRetriever):
            _measure_encoding(first_stage, sample, machine, folder)
        if isinstance(reranker, Reranker):
            _measure_scoring(config, reranker, sample, machine)


def _alone(compute: ComputeConfig) -> ComputeConfig | None:
    """How this process does about as much as it is to do together with others; None where it cannot."""
    if compute.backend == "local":
        return compute
    if compute.address or device_name(compute) != "cpu":
        return None
    cores = os.cpu_count() or 1
    each = compute.cpus_per_worker or 1
    wanted = compute.workers or cores // each
    return replace(compute.on_worker(), threads=max(min(wanted * each, cores), 1))


class _Some:
    """Documents that are some texts, over and over."""

    def __init__(self, texts: Sequence[str], count: int) -> None:
        self._texts, self._count = texts, count
        self.ids: pa.ChunkedArray = pa.chunked_array([[]], pa.string())

    def __len__(self) -> int:
        return self._count

    def sizes(self) -> NDArray[np.int32]:
        return np.array(
            [len(self._texts[row % len(self._texts)].encode()) for row in range(self._count)], dtype=np.int32
        )

    def texts(self, rows: Sequence[int] | NDArray[np.integer] | range) -> list[str]:
        return [self._texts[int(row) % len(self._texts)] for row in rows]


def _measure_encoding(retriever: DenseRetriever, sample: Sample, machine: Machine, folder: Path) -> None:
    encoder = retriever.encoder
    shape = shape_of(encoder.checkpoint)
    if machine.knows("encode", shape) or not sample.document_texts:
        return

    def encode(count: int) -> None:
        target = Path(tempfile.mkdtemp(dir=folder))
        with open_pool(EncodingWorker(encoder), retriever.compute) as pool:
            encode_corpus(
                pool,
                _Some(sample.document_texts, count),
                target,
                width=encoder.width,
                dtype=retriever.config.embedding_dtype,
                instruction=retriever.encoder.reading.document_instruction,
                room=room(retriever.compute),
                meter=Meter(),
            )

    with progress(f"measuring {retriever.config.name}", None, "texts") as meter:
        read = _timed(encode, lambda: encoder.usage, meter)
    machine.keep("encode", shape, read, meter.seconds)


def _measure_scoring(config: EvaluateConfig, reranker: Reranker, sample: Sample, machine: Machine) -> None:
    checkpoint, pairs = reranker.checkpoint, pairs_of(sample)
    if checkpoint is None or not pairs:
        return
    shape = shape_of(checkpoint, layers=cutoff(config.reranker))
    if machine.knows("score", shape):
        return

    def score(count: int) -> None:
        # Another text each time: what was scored once need not be scored again.
        some = [pairs[row % len(pairs)] for row in range(count)]
        changed = [pair._replace(document=f"{pair.document} {row}") for row, pair in enumerate(some)]
        reranker.score(changed, advance=lambda _: None)

    with progress(f"measuring {config.reranker.name}", None, "pairs") as meter:
        read = _timed(score, lambda: reranker.usage or Usage(), meter)
    machine.keep("score", shape, read, meter.seconds)


def _timed(work: Callable[[int], None], usage: Callable[[], Usage], meter: Meter) -> dict[str, float]:
    """What the engine read of as many texts as fill the time; the meter counts them and their seconds alone.

    The first texts load the model and show how many these are.
    """
    with meter.not_working(LOADING):
        work(_FIRST)
        start = meter.elapsed
        work(_FIRST)
        one = (meter.elapsed - start) / _FIRST
    count = int(min(max(_SECONDS / one, _FIRST), _MOST))
    before = replace(usage())
    work(count)
    meter(count)
    return usage().read(before)
