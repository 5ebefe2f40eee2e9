"""Faults that are planted in a copy of evalkit, each with the tests for a GPU that must catch it."""

from pathlib import Path
from typing import NamedTuple

SCORES = "tests/gpu/test_scores_on_gpu.py"
VECTORS = "tests/gpu/test_vectors_on_gpu.py"
MEMORY = "tests/gpu/test_memory_on_gpu.py"
WAITING = "tests/gpu/test_waiting_on_gpu.py"
FAMILY = f"{SCORES}::test_every_arithmetic_of_a_family_is_near_the_padded_model_in_float32"
SCALE = f"{SCORES}::test_gemma_2_without_its_cap_has_its_own_scale_in_every_kernel"
STARTS = f"{SCORES}::test_starts_that_pairs_share_are_computed_once_a_batch"
LATE = f"{SCORES}::test_late_interaction_is_near_float64_pair_by_pair"
FORMS = f"{MEMORY}::test_out_of_memory_in_any_form_and_anywhere_changes_no_score"
SHRINKS = f"{MEMORY}::test_memory_that_shrinks_on_the_way_is_enough_again_with_a_smaller_budget"
BUDGET = f"{MEMORY}::test_budget_that_a_probe_finds_fits_and_follows_free_memory"
POOLED = f"{VECTORS}::test_pooling_on_a_gpu_is_that_of_numpy"


PACKAGE = Path(__file__).resolve().parents[2] / "evalkit"


class Mutant(NamedTuple):
    """One fault.

    Attributes:
        file: below `evalkit/`.
        old: a text that is in the file once.
        new: what stands there instead.
        test: id of the test that must fail.
    """

    file: str
    old: str
    new: str
    test: str

    def planted(self) -> str:
        """The file's text with the fault."""
        source = (PACKAGE / self.file).read_text(encoding="utf-8")
        assert source.count(self.old) == 1, f"{self.file} does not have this once, so no fault is planted: {self.old!r}"
        changed = source.replace(self.old, self.new)
        compile(changed, self.file, "exec")
        return changed


_COPY = "        host.copy_(result, non_blocking=True)\n    event = torch.cuda.Event()\n    event.record()\n"
_EARLY = "        event = torch.cuda.Event()\n        event.record()\n        host.copy_(result, non_blocking=True)\n"
_HALVED = "plan = work.halve([rows, *_given_up(ready, pool), *plan])"

MUTANTS = {
    # The queue
    "a result is read before its event": Mutant(
        "inference/engine.py", "    sent.event.synchronize()\n", "", f"{FAMILY}[minicpm]"
    ),
    "the event is recorded before the copy": Mutant("inference/engine.py", _COPY, _EARLY, f"{FAMILY}[bert]"),
    "a batch is sent from memory that is not pinned": Mutant(
        "inference/sending.py", "tensor.pin_memory().to(", "tensor.to(", f"{WAITING}::test_packed_pairs[bert-bfloat16]"
    ),
    "a batch is sent by a copy that blocks": Mutant(
        "inference/sending.py", ", non_blocking=True)", ")", f"{WAITING}::test_packed_texts[cls]"
    ),
    "positions behind padding are counted on the host": Mutant(
        "inference/backbone.py",
        "before.repeat_interleave(lengths, output_size=len(counted))",
        "before.repeat_interleave(lengths)",
        f"{WAITING}::test_packed_pairs[xlm_roberta-bfloat16]",
    ),
    # Attention
    "offsets are int64": Mutant(
        "inference/packed.py",
        "offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)",
        "offsets = np.concatenate([[0], np.cumsum(lengths)])",
        f"{FAMILY}[minicpm]",
    ),
    "causality is lost in torch's kernel and flash-attn's window": Mutant(
        "inference/attention.py",
        "return (seen, 0 if rule.causal else seen)",
        "return (seen, -1 if rule.causal else seen)",
        f"{STARTS}[gemma]",
    ),
    "the longest key is that of the pairs' own tokens": Mutant(
        "inference/attention.py",
        "starts, offsets, most, max(lengths)",
        "starts, offsets, most, max(batch.lengths)",
        f"{STARTS}[qwen3]",
    ),
    "flash-attn caps no scores": Mutant(
        "inference/attention.py", "softcap=rule.softcap or 0.0", "softcap=0.0", f"{FAMILY}[lightweight]"
    ),
    "torch's kernel scales by the width of a head": Mutant(
        "inference/attention.py",
        "kernel(*tensors, scale=rule.scale, window_size",
        "kernel(*tensors, window_size",
        SCALE,
    ),
    "queries of the last tokens are those of the first": Mutant(
        "inference/fused.py",
        "return (query if rows is None else query[rows]), key",
        "return (query if rows is None else query[: len(rows)]), key",
        f"{FAMILY}[gemma]",
    ),
    # Starts that pairs share
    "what the pairs see is left on the host": Mutant(
        "inference/packed.py",
        "return Keys(*(_moved(own, device) for own in part))",
        "return part",
        f"{STARTS}[gemma]",
    ),
    "positions behind a start begin anew": Mutant(
        "inference/prefix.py",
        "positions=plain.positions + torch.from_numpy(shift)",
        "positions=plain.positions",
        f"{STARTS}[qwen3]",
    ),
    "the scored see what is before them alone": Mutant(
        "inference/prefix.py",
        "scored_keys=keys_of([rows[sequence] for sequence in scored.tolist()])",
        "scored_keys=keys_of([rows[sequence][:-1] for sequence in scored.tolist()])",
        f"{STARTS}[layerwise]",
    ),
    # Pooling, late interaction, merging, search
    "lengths of the pooling are of the host": Mutant(
        "inference/pooling.py",
        "counts = sent(lengths, states.device)",
        "counts = torch.from_numpy(lengths)",
        f"{POOLED}[mean]",
    ),
    "the pooling has its lengths checked": Mutant(
        "inference/pooling.py",
        "lengths=counts, unsafe=True",
        "lengths=counts",
        f"{WAITING}::test_packed_texts[mean]",
    ),
    "weights of the pooling count through the batch": Mutant(
        "inference/pooling.py", " - np.repeat(starts, lengths)", "", f"{POOLED}[weighted_mean]"
    ),
    "token vectors of the queries stay on the host": Mutant(
        "rerank/late_interaction.py", "copied(found.vectors, self.model.device)", "found.vectors", LATE
    ),
    "the projection stays on the host": Mutant(
        "models/token_layer.py", "map_location=device", 'map_location="cpu"', LATE
    ),
    "MaxSim leaves its rows in the order of the blocks": Mutant(
        "inference/max_sim.py",
        "place[spans(starts, heights)] = filled + spans(",
        "place[spans(starts, heights)] = filled + 0 * spans(",
        LATE,
    ),
    "MaxSim fills up with tokens of the next document": Mutant(
        "inference/max_sim.py", "np.minimum(steps, lengths[:, None] - 1)", "np.minimum(steps, lengths.max())", LATE
    ),
    "merged tokens are added up and not averaged": Mutant(
        "models/gemma2_lightweight.py", 'states.float(), "mean"', 'states.float(), "sum"', f"{FAMILY}[lightweight]"
    ),
    "merging has its lengths checked": Mutant(
        "models/gemma2_lightweight.py",
        "axis=0, unsafe=True",
        "axis=0",
        f"{WAITING}::test_packed_pairs[lightweight-bfloat16]",
    ),
    "the search's threshold stays on the host": Mutant(
        "retrieval/search.py",
        "least.float().to(products.dtype).to(self._device)",
        "least.float().to(products.dtype)",
        f"{VECTORS}::test_search_gives_the_bytes_of_the_cpu",
    ),
    # Memory
    "the failed batch is forgotten": Mutant(
        "inference/engine.py", _HALVED, "plan = work.halve([*_given_up(ready, pool), *plan])", f"{FORMS}[bert]"
    ),
    "batches ahead are forgotten": Mutant(
        "inference/engine.py",
        _HALVED,
        "_given_up(ready, pool)\n                plan = work.halve([rows, *plan])",
        f"{FORMS}[bert]",
    ),
    "the budget stays after memory ran out": Mutant(
        "inference/engine.py", "self._budget.lower(max(min(", "max(max(min(", f"{FORMS}[bert]"
    ),
    "codes of CUDA are not known": Mutant(
        "system/reporting.py", "return bool(code == _CUDA_NO_MEMORY)", "return False", f"{FORMS}[bert]"
    ),
    "what was assembled for the failed batch is held": Mutant(
        "inference/engine.py",
        "            del future  # it holds the inputs, or an error and with it tensors\n",
        "",
        SHRINKS,
    ),
    "the probe counts the weights as its own": Mutant(
        "inference/engine.py",
        "torch.cuda.max_memory_allocated(self.device) - before",
        "torch.cuda.max_memory_allocated(self.device)",
        f"{BUDGET}[encoder]",
    ),
    "the probe takes all free memory for one token": Mutant(
        "inference/engine.py", "peak / count, at_most", "peak / count / 8, at_most", f"{BUDGET}[minicpm]"
    ),
}
