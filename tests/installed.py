"""A package that somebody else installed: module, files and metadata in a folder for the search path of Python."""

from collections.abc import Mapping
from pathlib import Path


def write_package(
    site: Path,
    name: str,
    module: str,
    *,
    group: str = "rerankers",
    point: str = "theirs",
    address: str = "",
    files: Mapping[str, str] | None = None,
) -> Path:
    """A distribution `name` 1.5 with an entry point in `evalkit.<group>`, for `TheirConfig` in its module; its `site`.

    `address` is what the entry point names otherwise, and `files` are further ones in the package, by path.
    """
    package, metadata = site / name, site / f"{name}-1.5.dist-info"
    for path, text in {"__init__.py": "", "reranker.py": module, **(files or {})}.items():
        (package / path).parent.mkdir(parents=True, exist_ok=True)
        (package / path).write_text(text, encoding="utf-8")
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n", encoding="utf-8")
    points = f"[evalkit.{group}]\n{point} = {address or f'{name}.reranker:TheirConfig'}\n"
    (metadata / "entry_points.txt").write_text(points, encoding="utf-8")
    return site
