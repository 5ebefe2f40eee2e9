"""How long the stages of an evaluation took, and what they read: for the manifest and the table. Knows no stage."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stages(dict[str, dict[str, float]]):
    """Stage -> what it took: `seconds`, and whatever else it notes, in the order in which they ran."""

    @contextmanager
    def timed(self, name: str) -> Iterator[dict[str, float]]:
        """Time a `with` block; what it notes is added to the stage, as are blocks of the same name."""
        noted: dict[str, float] = {}
        start = time.perf_counter()
        yield noted
        found = self.setdefault(name, {"seconds": 0.0})
        for key, value in {"seconds": time.perf_counter() - start, **noted}.items():
            found[key] = found.get(key, 0.0) + value
