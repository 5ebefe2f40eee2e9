"""Which file of a collection is its corpus, which its queries, and which its judgments. Knows names, not contents.

    corpus.jsonl          collection.tsv             documents; also .json, .csv or .parquet
    queries.jsonl         queries.dev.small.tsv      queries; likewise, .txt or .xml, perhaps with a split in the name
    qrels/test.tsv        qrels.dev.small.tsv        judgments; also .txt, .csv, .json and others, or plain qrels.tsv
    candidates.jsonl      top_ranked.dev.trec        candidates of each query, if there are any: a run or lists

Each may be compressed, have its split in front (FlagEmbedding's test_queries.jsonl), or lie in a folder of its kind,
as `save_to_disk` of `datasets` leaves it. Capitals do not matter, but in names of splits.
Where several would do, the first of a list is taken, BEIR's own names before all others.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple, NoReturn

from evalkit.datasets.source import CollectionFiles
from evalkit.errors import DataError
from evalkit.formats.archives import ARCHIVES
from evalkit.formats.compressed import plain_name
from evalkit.system.terminal import printable

LAYOUT = "corpus.jsonl, queries.jsonl and qrels/<split>.tsv, each also as .json, .csv, .tsv, .parquet or compressed"
_TABLES = ("jsonl", "json", "csv", "tsv", "parquet", "parq", "arrow")
_TOPICS = (*_TABLES, "txt", "xml")
_JUDGMENTS = ("tsv", "txt", "csv", "trec", "qrels", "qrel", "json", "jsonl", "parquet", "parq", "arrow", "")
_CORPUS = ("corpus", "collection", "documents", "docs", "passages", "psgs", "segmented")
_QUERIES = ("queries", "query", "questions", "topics", "topic")
_QRELS = ("qrels", "qrel")
_CANDIDATES = ("candidates", "top_ranked")
_RUNS = (*_TABLES, "trec", "run", "txt", "")
_LAYOUTS = ("BEIR layout", "MS MARCO TSV", "FlagEmbedding's layout", "parts by their names")
_LISTED = 8  # names in an error
_OF_DATASETS = ("state.json", "dataset_info.json", "dataset_dict.json")  # which `save_to_disk` writes next to the rows
_ONLY_SHARD = re.compile(r"(?:^data)?-00000-of-00001$")


class Judgments(NamedTuple):
    """A file of judgments.

    Attributes:
        name: of the file.
        split: of the judgments: as the name says, else as it was asked for.
        note: why it is this file, where that may surprise; empty where it is the one that was asked for.
    """

    name: str
    split: str
    note: str = ""


def is_corpus(name: str, *, loosely: bool = False) -> bool:
    """Whether a path in a collection may be that of its documents; `loosely` also with more in its name."""
    path = PurePosixPath(name)
    found = _parsed(path.name, _CORPUS, _TABLES) or _parsed("/".join(path.parts[-2:]), _CORPUS, _TABLES)
    return found is not None and (loosely or not found.split)


def root_of(name: str, files: Collection[str]) -> str:
    """The folder, with a final `/`, of the collection with these documents: theirs, or the one above `corpus/`."""
    folder = name[: len(name) - len(PurePosixPath(name).name)]
    above, _, last = folder.rstrip("/").rpartition("/")
    above = f"{above}/" if above else ""
    inside = [file.removeprefix(above) for file in files if file.startswith(above)] if _kind_of(last, _CORPUS) else []
    return above if any(_parsed(file, _QUERIES, _TOPICS) for file in inside) else folder


def corpus_of(source: CollectionFiles) -> list[str]:
    """The file of documents, or files whose names differ in a number, as Pyserini's docs00.json and docs01.json."""
    if found := _first(source.files(), _CORPUS, _TABLES, splits=("",)):
        return [found]
    others = [name for name in source.files() if _parsed(name, _CORPUS, _TABLES)]
    if not others:
        _refuse(source, "documents", ("corpus.jsonl", "collection.tsv", "corpus.jsonl"))
    if len({re.sub(r"[0-9]+", "0", name) for name in others}) > 1:
        raise DataError(
            f"{_path(source)}: {_listed(others)} may all be documents. Join them in one file, corpus.jsonl."
        )
    if (shard := re.search(r"-of-([0-9]+)", others[0])) and len(others) != int(shard[1]):
        raise DataError(
            f"{_path(source)}: holds {len(others)} of {int(shard[1])} files of documents ({_listed(others)}). Get the "
            "rest of them."
        )
    return sorted(others, key=lambda name: [int(number) for number in re.findall("[0-9]+", name)])


def queries_of(source: CollectionFiles, split: str) -> str:
    """The file of queries: that of all splits or of this one, else the only one."""
    files = source.files()
    # The queries of `dev` hold those of `dev.small`.
    wider = [".".join(split.split(".")[:length]) for length in range(len(split.split(".")), 0, -1)]
    if found := _first(files, _QUERIES, _TOPICS, splits=("", *wider)):
        return found
    others = [name for name in files if _parsed(name, _QUERIES, _TOPICS)]
    if len(others) == 1:
        return others[0]
    if others:
        raise DataError(f"{_path(source)}: {_listed(others)} name other splits than {split}. Set dataset.split.")
    return _refuse(source, "queries", ("queries.jsonl", f"queries.{split}.tsv", f"{split}_queries.jsonl"))


def candidates_of(source: CollectionFiles, split: str) -> str | None:
    """The file of candidates of this split, or of all splits; None where the collection has none."""
    return _first(source.files(), _CANDIDATES, _RUNS, splits=(split, ""))


def has_documents(source: CollectionFiles) -> bool:
    """Whether any file may be documents."""
    return any(_parsed(name, _CORPUS, _TABLES) for name in source.files())


def has_queries(source: CollectionFiles) -> bool:
    """Whether any file may be queries."""
    return any(_parsed(name, _QUERIES, _TOPICS) for name in source.files())


def judgments_of(source: CollectionFiles, split: str, *, lenient: bool = False) -> Judgments | None:
    """The judgments of a split; None where the collection has none.

    Args:
        source: of the collection.
        split: that is asked for.
        lenient: whether judgments of another split are taken where they are the only ones and the split that is asked
            for is the default.
    """
    below, beside = _splits(source.files())
    everywhere = {**beside, **below}
    if split in everywhere:
        return Judgments(everywhere[split], split)
    parts = [name for name in everywhere if name.startswith(f"{split}.")]
    if len(parts) == 1:
        return _explained(everywhere[parts[0]], parts[0], split)
    if "" in beside and not below:
        note = "" if split == "test" else f"its name has no split, so it counts as that of {split}"
        return Judgments(beside[""], split, note)
    if lenient and split == "test" and len(everywhere) == 1:
        ((found, name),) = everywhere.items()
        return _explained(name, found, split)
    strange = [name for name in source.files() if name.startswith(_QRELS)]
    if everywhere or strange:
        raise DataError(f"{source.label(f'qrels/{split}.tsv')}: no such file. {_choice(everywhere, strange)}")
    return None


def refuse_unjudged(source: CollectionFiles, split: str) -> NoReturn:
    """Refuse a collection without any judgments."""
    _refuse(source, "judgments", (f"qrels/{split}.tsv", f"qrels.{split}.tsv", f"{split}_qrels.jsonl"))


def _explained(name: str, found: str, asked: str) -> Judgments:
    return Judgments(name, found, f"these are the only judgments; their split is {found}, not {asked}")


def _choice(splits: Collection[str], strange: Sequence[str]) -> str:
    if named := sorted(filter(None, splits)):
        return f"It has the splits {', '.join(named)}: set dataset.split."
    return f"{_listed(strange)} cannot be read. Judgments are query-id, corpus-id and score in .tsv, .csv or .txt."


def _splits(files: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Split -> file, of the judgments in `qrels/` and of those next to the corpus, whose split may be empty."""
    below: dict[str, str] = {}
    beside: dict[str, str] = {}
    order = {form: place for place, form in enumerate(_JUDGMENTS)}
    parsed = [(name, _judgments_name(name)) for name in files]
    for name, found in sorted(
        ((name, found) for name, found in parsed if found), key=lambda pair: (order[pair[1].form], pair[1].packed)
    ):
        (below if "/" in name and found.split else beside).setdefault(found.split, name)
    return below, beside


class _Name(NamedTuple):
    stem: str
    split: str
    form: str
    packed: bool


def _judgments_name(name: str) -> _Name | None:
    path = PurePosixPath(name)
    if path.parts[:1] == ("data",) and path.suffix == ".parquet" and not is_corpus(path.name, loosely=True):
        # As the hub has them, next to corpus/ and queries/.
        return _Name("qrels", _ONLY_SHARD.sub("", path.stem), "parquet", packed=False)
    if len(path.parts) < 2 or path.parts[0].lower() != "qrels":  # noqa: PLR2004
        return _parsed(name, _QRELS, _JUDGMENTS)
    if path.name.startswith(".") or path.name in _OF_DATASETS:
        return None
    # In `qrels/` the name is the split, at times with `qrels` before it.
    plain = plain_name(path.name)
    stem, dot, form = plain.rpartition(".")
    if not dot or (form := form.lower()) not in _JUDGMENTS:
        return _Name("qrels", plain, "", path.name != plain) if not dot else None
    return _Name("qrels", _ONLY_SHARD.sub("", re.sub(r"^qrels?[._-]", "", stem)), form, path.name != plain)


def _parsed(name: str, stems: Sequence[str], forms: Sequence[str]) -> _Name | None:
    """The parts of a name such as `queries.dev.small.tsv.gz` or `queries/dev.tsv`; None where it is another."""
    folder, _, last = name.rpartition("/")
    plain = plain_name(last)
    head, dot, form = plain.rpartition(".")
    if not dot or (form := form.lower()) not in forms:
        head, form = plain, ""
    if form not in forms or last in _OF_DATASETS:
        return None
    match = re.fullmatch(rf"(?:(.+?)[._-]|([0-9]+))?({'|'.join(stems)})(?:[._-](.+)|([0-9]+))?", head, re.IGNORECASE)
    after = match and (match[4] or match[5] or "")
    if match and not folder and form != "arrow":  # which is in a folder of its kind, as `save_to_disk` writes it
        before = match[1] or match[2] or ""
        return _Name(match[3].lower(), ".".join(part for part in (before, after) if part), form, plain != last)
    # In a folder of its kind a name is the split, or that of the kind again.
    if not (kind := _kind_of(folder, stems)) or head.startswith("."):
        return None
    return _Name(kind, head if after is None else after, form, plain != last)


def _kind_of(folder: str, stems: Sequence[str]) -> str | None:
    """Which of these parts a folder has by its name, such as `collection` of `collection_jsonl`."""
    match = re.fullmatch(rf"({'|'.join(stems)})(?:[._-].+)?", folder, re.IGNORECASE)
    return match and match[1].lower()


def _first(files: Iterable[str], stems: Sequence[str], forms: Sequence[str], *, splits: Sequence[str]) -> str | None:
    """The first of these names in the order of splits, stems and forms, a plain file before a packed one."""
    found = {parsed: name for name in files if (parsed := _parsed(name, stems, forms))}
    wanted = [parsed for parsed in found if parsed.split in splits]
    best = min(
        wanted,
        key=lambda one: (splits.index(one.split), stems.index(one.stem), forms.index(one.form), one.packed),
        default=None,
    )
    return None if best is None else found[best]


def _refuse(source: CollectionFiles, part: str, examples: tuple[str, str, str]) -> NoReturn:
    """Refuse a collection that lacks a part: as what it was recognised, and what the part would be called.

    Args:
        source: of the collection.
        part: the part that is missing.
        examples: its name in BEIR layout, which other files may also have, in MS MARCO's and in FlagEmbedding's.
    """
    files = source.files()
    kind, known = _kind(files)
    archives = [file for file in files if file.endswith(ARCHIVES)]
    alone = files if len(files) == 1 and plain_name(files[0]).endswith((".jsonl", ".json")) else []
    hint = f" Set dataset.path to {source.label(archives[0])} to read that archive." if archives else ""
    hint += f" If it holds reranking samples, set dataset.path to {source.label(alone[0])}." if alone else ""
    found = f"recognised as {recognised(files)}; " if known else ""
    others = [name for name in files if name not in known]
    beside = (
        f" Found {'also ' if known else ''}{_listed(others)}." if others else "" if files else " It holds no files."
    )
    raise DataError(f"{_path(source)}: {found}no {part} ({examples[kind % 3]}).{beside} Expected {LAYOUT}.{hint}")


def are_whole(files: Sequence[str]) -> bool:
    """Whether documents, queries and judgments are among the names of files."""
    parts = [_parsed(name, _CORPUS, _TABLES) for name in files], [_parsed(name, _QUERIES, _TOPICS) for name in files]
    return any(parts[0]) and any(parts[1]) and any(map(_judgments_name, files))


def recognised(files: Sequence[str]) -> str:
    """The layout of a collection by the names of its files, and those that belong to it."""
    kind, known = _kind(files)
    return f"{_LAYOUTS[kind]} ({_listed(known)})"


def _kind(files: Sequence[str]) -> tuple[int, list[str]]:
    """Which of `_LAYOUTS` the names of files are, and those of documents, queries or judgments."""
    parts = ((*_CORPUS, *_QUERIES), _TOPICS), (_CANDIDATES, _RUNS)
    known = [name for name in files if any(_parsed(name, *part) for part in parts) or _judgments_name(name)]
    patterns = (  # of one name that tells a layout
        r"(corpus|queries)\.jsonl(\.\w+)?|qrels/[^/]+\.tsv",
        r"(collection|(queries|qrels)\.(train|dev|eval)|msmarco)\S*\.(tsv|txt)(\.\w+)?",
        r"[a-z]+_(queries|qrels)\.jsonl?",
    )
    for kind in (2, 1, 0):
        if any(re.fullmatch(patterns[kind], name) for name in known):
            return kind, known
    return 3, known


def _path(source: CollectionFiles) -> str:
    return source.label("").rstrip("/!")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return printable(", ".join(names[:_LISTED])) + more
