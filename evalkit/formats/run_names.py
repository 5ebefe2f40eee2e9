"""Names of runs and judgments: that of the file, without the endings that say how it is written."""

from collections.abc import Sequence
from pathlib import Path

from evalkit.errors import ConfigError

_PACKED = ("gz", "bz2", "xz", "lzma", "zst", "lz4", "z", "zip")
_FORMS = ("trec", "run", "res", "txt", "tsv", "csv", "json", "jsonl", "parquet", "parq", "feather", "arrow")
_OF_JUDGMENTS = ("qrels", "qrel")


def named_after(path: str | Path) -> str:
    """The name of a file without endings of formats and compression: `BERT` for `runs/BERT.trec.gz`."""
    return _stem(Path(path)).name


def judgments_name(path: str | Path) -> str:
    """The name of judgments: of the collection, where they lie in its folder `qrels/`, else of their file."""
    place = Path(path)
    if place.parent.name == "qrels":
        return place.absolute().parent.parent.name or place.parent.name
    stem = _stem(place)
    shorter = stem.with_suffix("") if stem.suffix[1:].lower() in _OF_JUDGMENTS else stem
    return shorter.name


def run_names(paths: Sequence[Path]) -> list[str]:
    """A name for each of these files, none twice: as short an end of the path as differs from the others.

    Raises:
        ConfigError: a file is given twice.
    """
    places = [path.resolve() for path in paths]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise ConfigError(f"{paths[number]}: is given twice. Give each run once.")
    # The name as typed: a link to a file is named after the link.
    stems = [path.absolute().parent.resolve() / _stem(path).name for path in paths]
    same_stem = [stem if stems.count(stem) == 1 else path.absolute() for path, stem in zip(paths, stems, strict=True)]
    return [_shortest_end(path, same_stem) for path in same_stem]


def _stem(path: Path) -> Path:
    if path.suffix[1:].lower() in _PACKED:
        path = path.with_suffix("")
    return path.with_suffix("") if path.suffix[1:].lower() in _FORMS else path


def _shortest_end(path: Path, others: Sequence[Path]) -> str:
    ends = (path.parts[-length:] for length in range(1, len(path.parts) + 1))
    own = next(end for end in ends if sum(other.parts[-len(end) :] == end for other in others) == 1)
    return "/".join(own)
