"""A Ray cluster, running or started here, and the resources of a worker."""

import logging
import os
from typing import Any

from evalkit.config import ComputeConfig
from evalkit.errors import ConfigError, MissingExtra
from evalkit.system.reporting import reason


def connect(compute: ComputeConfig) -> Any:
    """Ray, connected to a cluster, or to one that is started here.

    Raises:
        MissingExtra: it is not installed.
        ConfigError: no cluster answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.cloudpickle
    except ImportError as error:
        raise MissingExtra("ray", extra="ray", purpose="compute=ray") from error
    if ray.is_initialized():
        return ray
    local: dict[str, Any] = {"include_dashboard": False} if compute.address is None else {}
    try:
        ray.init(address=compute.address or "local", log_to_driver=False, logging_level=logging.ERROR, **local)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise ConfigError(
            f"compute.address={compute.address}: no Ray cluster could be reached ({reason(error)}). Start one with "
            "`ray start --head`, or leave compute.address out."
        ) from error
    return ray


def resources(ray: Any, compute: ComputeConfig) -> tuple[dict[str, Any], int]:
    """The resources of one worker, and the number of workers.

    Raises:
        ConfigError: the cluster has none of it.
    """
    there = ray.cluster_resources()
    gpus = int(there.get("GPU", 0)) if compute.device != "cpu" else 0
    if compute.device == "cuda" and not gpus:
        raise ConfigError("compute.device=cuda was asked for, and the Ray cluster has no GPU. Set compute.device=cpu.")
    available = int(there.get("CPU", 0))
    cores = compute.cpus_per_worker or 1
    fitting = gpus or available // cores
    if not fitting:
        raise ConfigError(f"compute.cpus_per_worker={cores}, and the Ray cluster has {available} cores. Set fewer.")
    # A GPU reads pairs faster than one core tokenises them. No core is set aside for that: placing goes by GPUs.
    count = compute.cpus_per_worker or (max(available // gpus, 1) if gpus else 1)
    threads = {"OMP_NUM_THREADS": str(count), "RAYON_NUM_THREADS": str(count), "TOKENIZERS_PARALLELISM": "true"}
    of_one = {"num_cpus": cores, "num_gpus": 1 if gpus else 0, "runtime_env": {"env_vars": threads}}
    return of_one, compute.workers or fitting
