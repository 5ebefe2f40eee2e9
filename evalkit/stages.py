"""How long the stages of an evaluation took, and what they read: for the manifest and the table. Knows no stage."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class Stages(dict[str, dict[str, float]]):
    """Stage -> what it took: `seconds`, whatever else it notes, and what was planned, in the order of the work."""

    @contextmanager
    def timed(self, name: str) -> Iterator[dict[str, float]]:
        """Time a `with` block; what it notes is added to the stage, as are blocks of the same name."""
        noted: dict[str, float] = {}
        start = time.perf_counter()
        yield noted
        found = self.setdefault(name, {})
        for key, value in {"seconds": time.perf_counter() - start, **noted}.items():
            found[key] = found.get(key, 0.0) + value

    def join(self, others: Mapping[str, Mapping[str, float]]) -> None:
        """Take what is known of stages elsewhere."""
        for name, facts in others.items():
            self.setdefault(name, {}).update(facts)

    def happened(self) -> dict[str, dict[str, float]]:
        """The stages that took place; others were only planned."""
        return {name: facts for name, facts in self.items() if "seconds" in facts}
