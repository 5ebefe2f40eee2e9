"""Sequence classifiers that read a pair: native checkpoints, and the layouts of jina-reranker-v2 and gte."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from evalkit.config import ComputeConfig
from evalkit.errors import ModelError
from evalkit.inference.forward import PairInputs, last_states
from evalkit.inference.packed import Packed, Select
from evalkit.inference.pooling import pool
from evalkit.models import jina
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.headed import Headed
from evalkit.models.layout import layout
from evalkit.models.loading import assemble, load_native
from evalkit.models.padding import minds_padding
from evalkit.models.pair_head import head_of
from evalkit.models.requirements import require_classifier

# What the classes of transformers call the parts behind the encoder.
_HEADS = {"classifier", "score", "logits_proj", "classification_head"}
_BEFORE_CLASSIFIER = {"modernbert": "head", "deberta-v2": "pooler", "distilbert": "pre_classifier"}
_TWO = 2
# Names of a second label that says the opposite of what a second label usually says.
_AGAINST = {
    "0",
    "false",
    "irrelevant",
    "negative",
    "no",
    "non_relevant",
    "non-relevant",
    "not_relevant",
    "not relevant",
}


class Classifier(Headed):
    """One logit of a sequence classifier of transformers, or the second of two less the first; without sigmoid.

    The head is computed in float64 whatever the dtype of the encoder, and its logits rounded to float32: in bfloat16
    many candidates of a query would share a score, and in float32 the last bit would depend on the size of the batch.
    """

    def __init__(self, model: Any, label: int | None) -> None:
        super().__init__()
        self.model = model
        self.label = label
        # ModernBERT has a layer before its classifier, and pools the first token or all of them.
        self.pools = str(model.config.classifier_pooling) if model.config.model_type == "modernbert" else ""
        heads = {*_HEADS, _BEFORE_CLASSIFIER.get(model.config.model_type, "")}
        for part in (
            *(part for name, part in model.named_children() if name in heads),
            getattr(model.base_model, "pooler", None),
        ):
            if part is not None:
                part.double()
                part.register_forward_pre_hook(lambda _, inputs: tuple(tensor.double() for tensor in inputs))
        # Decoders of transformers score the last token that is not the padding's, whatever the mask says: also where
        # the tokenizer ends every text with that token.
        self.scores_last = hasattr(model, "score")
        # Where tokens see those behind them, that token is seen too, and the state before it is read.
        pad = model.config.pad_token_id if self.scores_last else None
        both_ways = not getattr(model.config, "is_causal", True) or bool(
            getattr(model.config, "use_bidirectional_attention", False)
        )
        self.unscored: int | None = None if both_ways else pad
        self.passed_over: int | None = pad if both_ways else None
        # Some models have segments and no number of them in their configuration: XLM, XLNet.
        kinds = getattr(model.config, "type_vocab_size", None)
        self.segmented = kinds is None or kinds > 1

    @cached_property
    def alone(self) -> bool:
        """See `Headed`. Tried when first asked, as a packed model never is."""
        return minds_padding(self.model.base_model)

    @property
    def select(self) -> Select:
        """See `Headed`."""
        if self.passed_over is not None or self.pools == "mean":
            return "all"
        return "last" if self.scores_last else "first"

    @property
    def bare(self) -> Any:
        """See `Headed`."""
        return self.model.base_model

    def head(self, states: Sequence[torch.Tensor], batch: Packed) -> torch.Tensor:
        """See `Headed`."""
        state = states[-1]
        if self.passed_over is not None:
            logits = self.model.score(state[_last_but(batch, self.passed_over)])
        elif self.scores_last:
            logits = self.model.score(state)
        elif self.pools:
            pooled = pool(state, np.array(batch.lengths), "mean" if self.pools == "mean" else "cls")
            logits = self.model.classifier(self.model.head(pooled))
        elif hasattr(self.model, "pre_classifier"):  # DistilBERT
            logits = self.model.classifier(self.model.pre_classifier(state).relu())
        elif (pooler := getattr(self.model, "pooler", getattr(self.bare, "pooler", None))) is not None:
            logits = self.model.classifier(pooler(state[:, None]))
        else:
            logits = self.model.classifier(state[:, None])  # the head of RoBERTa takes the first token itself
        return self._chosen(logits)

    def _chosen(self, logits: torch.Tensor) -> torch.Tensor:
        """Shape (pairs, 1), float32. The difference is made of the logits as they are."""
        if self.label is None:
            return (logits[:, 1:2] - logits[:, :1]).float() if logits.shape[1] > 1 else logits.float()
        return logits.float()[:, self.label : self.label + 1]

    def forward(self, inputs: PairInputs) -> torch.Tensor:
        """Shape (pairs, 1), float32 logits."""
        if self.scores_last:
            states = self.model.base_model(
                input_ids=inputs.input_ids, attention_mask=inputs.attention_mask, use_cache=False
            ).last_hidden_state
            mask = inputs.attention_mask
            if self.passed_over is not None:
                mask = mask * (inputs.input_ids != self.passed_over)
                places = (mask * torch.arange(mask.shape[1], device=mask.device)).argmax(dim=1)
                return self._chosen(self.model.score(states[torch.arange(len(states), device=states.device), places]))
            return self._chosen(self.model.score(last_states(states, mask)))
        segmented = self.segmented and bool(inputs.token_type_ids.any())
        segments = {"token_type_ids": inputs.token_type_ids} if segmented else {}
        output = self.model(input_ids=inputs.input_ids, attention_mask=inputs.attention_mask, **segments)
        return self._chosen(output.logits)


def _last_but(batch: Packed, token: int) -> torch.Tensor:
    """Shape (sequences,), the last token of each sequence that is another one; the first where there is none."""
    places = torch.arange(len(batch.input_ids), device=batch.input_ids.device)
    lengths = batch.offsets.diff().long()
    owners = torch.arange(len(lengths), device=places.device).repeat_interleave(lengths, output_size=len(places))
    found = batch.offsets[:-1].long()
    return found.scatter_reduce(0, owners, torch.where(batch.input_ids != token, places, 0), "amax")


def load_classifier(checkpoint: Checkpoint, compute: ComputeConfig, label: int | None) -> Classifier:
    """The classifier of a checkpoint, native or as jina-reranker-v2 and gte are published, on its device.

    `label` says which logit is the score; it may be None with one logit, or with two of which the second says relevant.

    Raises:
        ModelError: the checkpoint has no trained head, or `label` is not one of its logits.
    """
    require_classifier(checkpoint)
    model = _load(checkpoint, compute)
    labels = int(model.config.num_labels)
    names = [str(model.config.id2label.get(index, "")) for index in range(labels)]
    of_two = label is None and labels == _TWO and not (_AGAINST & {names[1].lower()})
    if not of_two and not (label is None and labels == 1) and (label is None or not 0 <= label < labels):
        raise ModelError(
            f"{checkpoint.path}: the model has {labels} logits ({', '.join(names)}) and reranker.label={label}. "
            f"Set reranker.label to the one that means relevant, 0 to {labels - 1}."
        )
    return Classifier(model, label).eval()


def load_pair_head(checkpoint: Checkpoint, compute: ComputeConfig, label: int | None, *, unpooled: int = 0) -> Headed:
    """A classifier, or an encoder with the modules behind it that score; see `load_chain` for `unpooled`.

    Raises:
        ModelError: see `load_classifier` and `load_chain`.
    """
    if head_of(checkpoint) == "chain":
        from evalkit.models.chain import load_chain

        return load_chain(checkpoint, compute, unpooled)
    return load_classifier(checkpoint, compute, label)


def _load(checkpoint: Checkpoint, compute: ComputeConfig) -> Any:
    import transformers

    match layout(checkpoint):
        case "new":
            from evalkit.models import gte  # older versions of transformers have no such model, and all the others

            return _assembled(gte, transformers.GteForSequenceClassification, checkpoint, compute)
        case "jina":
            return _assembled(jina, transformers.XLMRobertaForSequenceClassification, checkpoint, compute)
    return load_native(transformers.AutoModelForSequenceClassification, checkpoint, compute, unused="")


def _assembled(module: Any, factory: Any, checkpoint: Checkpoint, compute: ComputeConfig) -> Any:
    config = module.config_of(checkpoint, compute.padded_attention)
    return assemble(lambda: factory(config), checkpoint, compute, lambda name, _: module.source(name, config))
