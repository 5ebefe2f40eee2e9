"""Settings of where and how models run."""

from dataclasses import dataclass, field, replace

from evalkit.config.limits import at_least, one_of
from evalkit.errors import ConfigError

DEVICES = ("auto", "cpu", "cuda")
DTYPES = ("float32", "bfloat16", "float16")
PACKED = ("packed", "flash_attn", "torch_varlen")  # without padding
FLASH = ("flash_attn", "flash_attention_2")
BACKENDS = ("local", "ray")
FUSED = ("auto", "triton", "torch", "off")
ATTENTIONS = ("auto", *PACKED, "sdpa", "eager", "flash_attention_2")


@dataclass
class MachineConfig:
    """The machine that `evalkit plan` plans for: devices of one kind and their host."""

    name: str = ""
    """Empty for this machine, whose rates are measured."""
    devices: int = 1
    """How many share the work."""
    tflops: dict[str, float] = field(default_factory=dict)
    """By dtype, what one device reaches in matrix multiplication, in TFLOP/s."""
    utilisation: float = 0.4
    """Share of it that models reach."""
    memory_gib: float | None = None
    """Of one device."""
    watts: float | None = None
    """Of one device and its share of the host, at work."""
    cores: int | None = None
    """Cores of the host that tokenise for one device; those of this machine when not set."""

    def __post_init__(self) -> None:
        """Check ranges."""
        at_least("compute.machine.devices", self.devices, 1)
        if not 0 < self.utilisation <= 1:
            raise ConfigError(
                f"compute.machine.utilisation={self.utilisation} is out of range. Legal are shares above 0, up to 1."
            )
        for dtype, rate in self.tflops.items():
            one_of("compute.machine.tflops", dtype, DTYPES)
            at_least(f"compute.machine.tflops.{dtype}", rate, 0.001)
        for name in ("memory_gib", "watts", "cores"):
            if (value := getattr(self, name)) is not None:
                at_least(f"compute.machine.{name}", value, 1)


@dataclass
class ComputeConfig:
    """Where and how models run."""

    device: str = "auto"
    """`auto` takes CUDA where there is one; the manifest says which was used."""
    dtype: str = "float32"
    """Number format of weights and states; logits are float32 whatever it is."""
    attention: str = "auto"
    """`auto` is `packed` (no padding), or for a model that the engine does not know `sdpa` or `eager`. On CUDA `packed`
    is flash-attn where it can be imported, else PyTorch's own variable-length kernel, and texts of equal length
    together where the GPU or the model can have neither; `flash_attn` and `torch_varlen` insist on one. `sdpa`, `eager`
    and `flash_attention_2` are the padded models of transformers. The manifest says which was used."""
    fused: str = "auto"
    """Steps between the multiplications of a model without padding: norms, rotary positions, gates and residuals.
    `off` is the formulas of transformers, `torch` single operations of torch, `triton` kernels of evalkit's own (CUDA
    only). `auto` is `off` on a CPU; on CUDA `triton` where it works, else `torch`. The manifest says which was used."""
    batch_tokens: int | None = None
    """Tokens in one batch. When not set 1,024 on a CPU (4,096 with padding or where texts share their start), and on
    CUDA what fits into memory, up to 65,536."""
    threads: int | None = None
    """CPU threads; as many as there are cores when not set."""
    memory_gib: float | None = None
    """Resident memory that a process keeps to, weights of models apart: so few texts are in memory at a time. 2 on a
    CPU when not set; on CUDA there is no limit."""
    devices: str = "1"
    """How many CUDA devices of this machine share the work, or `all`: each has processes of its own. Clusters are for
    `backend=ray`."""
    processes_per_device: int = 1
    """Processes that share a CUDA device: one cannot feed it with pairs for a model of 30 million parameters."""
    backend: str = "local"
    """Who does the work: this process, or workers of a `ray` cluster."""
    address: str | None = None
    """Of a Ray cluster that is running, `auto` or HOST:PORT; when not set, one is started on this machine."""
    workers: int | None = None
    """Workers of Ray: as many as the cluster has GPUs, or on a CPU cores for, when not set."""
    cpus_per_worker: int | None = None
    """Cores of each worker of Ray. When not set, one; and a worker on a GPU tokenises with its share of all cores."""
    machine: MachineConfig = field(default_factory=MachineConfig)
    """The machine that `evalkit plan` plans for."""

    def on_worker(self) -> "ComputeConfig":
        """The same for a process that does the work itself, on the first device that it sees."""
        return replace(self, backend="local", address=None, workers=None, devices="1")

    @property
    def device_count(self) -> int | None:
        """How many devices are asked for; None for all."""
        return None if self.devices == "all" else int(self.devices)

    @property
    def arithmetic(self) -> dict[str, str]:
        """The arithmetic as identities record it; `fused` only if set, since `facts` records what `auto` chose."""
        own = {} if self.fused == "auto" else {"fused": self.fused}
        return {"dtype": self.dtype, "attention": self.attention, **own}

    @property
    def padded_attention(self) -> str:
        """The name of the attention in transformers, for models built there; it has no name for the engine's own."""
        return "eager" if self.attention in PACKED else self.attention

    def __post_init__(self) -> None:
        """Check ranges and choices."""
        one_of("compute.device", self.device, DEVICES)
        one_of("compute.dtype", self.dtype, DTYPES)
        one_of("compute.attention", self.attention, ATTENTIONS)
        one_of("compute.fused", self.fused, FUSED)
        one_of("compute.backend", self.backend, BACKENDS)
        self._check_devices()
        for name in ("batch_tokens", "threads", "workers", "cpus_per_worker", "processes_per_device"):
            if (value := getattr(self, name)) is not None:
                at_least(f"compute.{name}", value, 1)
        if self.memory_gib is not None:
            at_least("compute.memory_gib", self.memory_gib, 0.5)
        if self.backend == "local" and (self.address or self.workers):
            given = "address" if self.address else "workers"
            raise ConfigError(
                f"compute.{given}={getattr(self, given)} is for workers of Ray. Set compute=ray, or leave it out."
            )

    def _check_devices(self) -> None:
        self.devices = str(self.devices)
        if self.devices != "all" and not (self.devices.isascii() and self.devices.isdigit() and int(self.devices)):
            raise ConfigError(f"compute.devices={self.devices} is not legal. Legal are all, and numbers from 1.")
        several = {"devices": self.devices != "1", "processes_per_device": self.processes_per_device > 1}
        for name in (name for name, asked in several.items() if asked):
            given = f"compute.{name}={getattr(self, name)}"
            if self.device == "cpu":
                raise ConfigError(f"{given} is for CUDA. Set compute.device=cuda, or leave it out.")
            if self.backend == "ray":
                raise ConfigError(f"{given} is for this machine alone. With compute=ray, set compute.workers instead.")
