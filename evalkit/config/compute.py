"""Settings of where and how models run."""

from dataclasses import dataclass

from evalkit.config.checks import at_least, one_of

DEVICES = ("auto", "cpu", "cuda")
DTYPES = ("float32", "bfloat16", "float16")
PACKED = ("packed", "flash_attn", "torch_varlen")  # without padding
FLASH = ("flash_attn", "flash_attention_2")
ATTENTIONS = ("auto", *PACKED, "sdpa", "eager", "flash_attention_2")


@dataclass
class ComputeConfig:
    """Where and how models run."""

    device: str = "auto"
    """`auto` takes CUDA where there is one; the manifest says which was used."""
    dtype: str = "float32"
    attention: str = "auto"
    """`auto` is `packed` (no padding), or for a model that the engine does not know `sdpa` or `eager`. On CUDA `packed`
    is flash-attn where it is installed, else PyTorch's own variable-length kernel; `flash_attn` and `torch_varlen` name
    one. `sdpa`, `eager` and `flash_attention_2` are the padded models of transformers. The manifest says which was
    used."""
    batch_tokens: int | None = None
    """Tokens in one batch. When not set 4,096 on a CPU, and on CUDA what fits into memory, up to 65,536."""
    threads: int | None = None
    """CPU threads; as many as there are cores when not set."""

    @property
    def padded_attention(self) -> str:
        """What transformers calls the attention of a model that is built there; the engine's own has no name there."""
        return "sdpa" if self.attention in PACKED else self.attention

    def __post_init__(self) -> None:
        """Check ranges and choices."""
        one_of("compute.device", self.device, DEVICES)
        one_of("compute.dtype", self.dtype, DTYPES)
        one_of("compute.attention", self.attention, ATTENTIONS)
        if self.batch_tokens is not None:
            at_least("compute.batch_tokens", self.batch_tokens, 1)
        if self.threads is not None:
            at_least("compute.threads", self.threads, 1)
