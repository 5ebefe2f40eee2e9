"""Language models that answer with one word, such as bge-reranker-v2-gemma ("Yes") and Qwen3-Reranker ("yes" or "no").

The backbone is that of transformers. Of the vocabulary head only the rows of the answers are read, and they are
multiplied with the state of the last token alone: a vocabulary of logits for every token is never computed.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import nn

from evalkit.config import ComputeConfig
from evalkit.errors import ModelError
from evalkit.inference.forward import PairInputs, last_states
from evalkit.inference.linear import summed
from evalkit.inference.packed import Packed
from evalkit.inference.tokens import Tokenizer
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.headed import Headed
from evalkit.models.loading import assemble
from evalkit.models.refusals import WHICH_HEAD
from evalkit.models.requirements import LANGUAGE_MODELS, require_language_model
from evalkit.models.weights import Stored, Tensors

_HEAD = r"lm_head\.weight"


class AnswerReranker(Headed):
    """The logit of the first answer at the last token, less that of the second where there are two.

    The difference of two logits is the log-odds of the first answer: its sigmoid is softmax over both.
    """

    def __init__(self, model: Any, answer_ids: Sequence[int]) -> None:
        super().__init__()
        self.model = model
        self.answer_ids = tuple(answer_ids)
        self.answers = nn.Linear(int(model.config.hidden_size), len(answer_ids), bias=False)
        self.cap: float | None = getattr(model.config, "final_logit_softcapping", None)

    @property
    def bare(self) -> Any:
        """See `Headed`."""
        return self.model

    def head(self, states: Sequence[torch.Tensor], batch: Packed) -> torch.Tensor:
        """See `Headed`."""
        del batch
        return self._score(states[-1])

    def forward(self, inputs: PairInputs) -> torch.Tensor:
        """Shape (pairs, 1), float32."""
        states = self.model(
            input_ids=inputs.input_ids, attention_mask=inputs.attention_mask, use_cache=False
        ).last_hidden_state
        return self._score(last_states(states, inputs.attention_mask))

    def _score(self, state: torch.Tensor) -> torch.Tensor:
        logits = summed(state, self.answers.weight)
        logits = logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)
        return logits[:, :1] - logits[:, 1:] if logits.shape[1] > 1 else logits


def load_answer_reranker(checkpoint: Checkpoint, compute: ComputeConfig, answer_ids: Sequence[int]) -> AnswerReranker:
    """The model of a checkpoint in the layout of transformers, on its device.

    Raises:
        ModelError: the weights are not those of this architecture, or it is one that is not known.
    """
    import transformers

    require_language_model(checkpoint)
    factory = getattr(transformers, LANGUAGE_MODELS[checkpoint.config["model_type"]])
    checkpoint.require_sizes("num_key_value_heads", "rms_norm_eps")
    raw = checkpoint.read_json("config.json") or {}
    own = {"use_cache": False, "attn_implementation": compute.padded_attention}
    if raw.get("model_type") == "gemma" and raw.get("hidden_act") == "gelu":
        own["hidden_act"] = "gelu_pytorch_tanh"  # what it means there, and not every version of transformers knows it
    config = factory.config_class.from_dict(raw | own)
    shape = (int(config.vocab_size), int(config.hidden_size))
    tied = bool(config.tie_word_embeddings)
    embeddings, head = "model.embed_tokens.weight", "lm_head.weight"

    def source(name: str, tensors: Tensors) -> Stored:
        if name != "answers.weight":
            return Stored(name)
        of_answers = Stored(embeddings if tied else head, rows=answer_ids, shape=shape)
        if tied and head in tensors.shapes:
            _require_same(tensors, of_answers, of_answers._replace(name=head))
        return of_answers

    model = assemble(
        lambda: AnswerReranker(factory(config), answer_ids),
        checkpoint,
        compute,
        source,
        unused=_HEAD,
        rows={head: ("answers.weight", answer_ids)},
    )
    return cast("AnswerReranker", model)


def _require_same(tensors: Tensors, tied: Stored, stored: Stored) -> None:
    """Refuse a stored head that is not the matrix it is said to be tied to."""
    same = tensors.shapes[stored.name] == stored.shape and tensors.shapes.get(tied.name) == tied.shape
    if not same or not torch.equal(tensors.read(tied), tensors.read(stored)):
        raise ModelError(
            f"{tensors.path}: config.json ties lm_head.weight to the embeddings, and the stored one is another matrix. "
            f"{WHICH_HEAD}"
        )


def answer_ids(tokenizer: Tokenizer, answers: Sequence[str]) -> list[int]:
    """The first token of every answer, as FlagEmbedding takes it. `evalkit doctor` tells whether it is the only one.

    Raises:
        ModelError: two answers begin alike, so that the model cannot tell them apart.
    """
    ids = [int(found[0]) for found in tokenizer.token_ids(answers)]
    if len(set(ids)) < len(answers):
        raise ModelError(f"the answers {', '.join(answers)} begin with the same token of this tokenizer.")
    return ids
