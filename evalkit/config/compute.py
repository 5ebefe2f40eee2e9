"""Settings of where and how models run."""

from dataclasses import dataclass

from evalkit.config.checks import at_least, one_of

DEVICES = ("auto", "cpu", "cuda")
DTYPES = ("float32", "bfloat16", "float16")
ATTENTIONS = ("auto", "sdpa", "eager", "flash_attention_2")


@dataclass
class ComputeConfig:
    """Where and how models run."""

    device: str = "auto"
    """`auto` takes CUDA where there is one; the manifest says which was used."""
    dtype: str = "float32"
    attention: str = "auto"
    """`auto` is `sdpa`, or `eager` for a model that has no other; the manifest says which was used."""
    batch_tokens: int = 2048
    """Tokens in one batch; more is faster on a GPU, and slower on a CPU once it leaves the cache."""
    threads: int | None = None
    """CPU threads; as many as there are cores when not set."""

    def __post_init__(self) -> None:
        """Check ranges and choices."""
        one_of("compute.device", self.device, DEVICES)
        one_of("compute.dtype", self.dtype, DTYPES)
        one_of("compute.attention", self.attention, ATTENTIONS)
        at_least("compute.batch_tokens", self.batch_tokens, 1)
        if self.threads is not None:
            at_least("compute.threads", self.threads, 1)
