"""Questions with answers over passages: what is read, how documents are cleaned, and what is refused."""

import gzip
import json
import random
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.config import EvaluateConfig
from evalkit.datasets import load
from evalkit.datasets.mkqa import MkqaDatasetConfig, clean, corpus_path
from evalkit.errors import ConfigError, DataError
from evalkit.formats.trec import read_qrels
from evalkit.measures import measure
from evalkit.measures.answers import AnswerJudge
from evalkit.pipeline import evaluate
from evalkit.rerank.passthrough import KeepOrderConfig
from evalkit.retrieval.bm25 import BM25Config
from evalkit.run import Run
from evalkit.store import Store
from evalkit.types import Dataset

QUESTIONS = [
    {"id": "7", "lang": "zh_cn", "question": "谁写了《白鲸》", "answers": ["Herman Melville", "Melville"]},
    {"id": "10", "lang": "zh_cn", "question": "丢了多少分 ", "answers": ["308"]},
    {"id": "9", "lang": "zh_cn", "question": "没有答案", "answers": []},
]
DOCUMENTS = {
    "p1": ("Moby\u2010Dick", "A novel by HERMAN\u00ad Melville\u2026"),
    "p2": ("", "They gave up \u201c308\u201d points."),
    "p3": ("Empty", ""),
}


def json_lines(rows: Iterable[Mapping[str, object]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def corpus_lines(documents: Mapping[str, tuple[str, str]] = DOCUMENTS) -> str:
    return json_lines({"_id": key, "title": title, "text": text} for key, (title, text) in documents.items())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Questions with a corpus beside them."""
    made = tmp_path / "mkqa"
    made.mkdir()
    (made / "zh_cn.jsonl").write_text(json_lines(QUESTIONS), encoding="utf-8")
    (made / "corpus.jsonl").write_text(corpus_lines(), encoding="utf-8")
    return made


def settings_of(path: Path | None, **changed: object) -> MkqaDatasetConfig:
    """The card of MKQA En-Zh_CN."""
    card = {
        "name": "mkqa_en_zh_cn",
        "language": "en",
        "query_language": "zh",
        "title_separator": "\n",
        "questions": "zh_cn.jsonl",
        "hub_id": "nobody/questions",
        "revision": "a" * 40,
        "hub_file": "MKQA_test-data.zip",
        "corpus_hub_id": "nobody/passages",
        "corpus_revision": "b" * 40,
    }
    return MkqaDatasetConfig(**{**card, "path": path and str(path), **changed})


def read(path: Path, store: Store, **changed: object) -> Dataset:
    return load(settings_of(path, **changed), store)


def refusal(path: Path | None, store: Store, **changed: object) -> str:
    """The one-line message of what is refused."""
    with pytest.raises(DataError) as caught:
        load(settings_of(path, **changed), store)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def texts(dataset: Dataset) -> list[str]:
    return dataset.documents.texts(range(len(dataset.documents)))


# The clean-up of texts

_GONE = [*range(0x1, 0x9), 0xE, 0xF, *range(0x11, 0x1C)]
_BLANKS = [0xB, 0xC, 0x85]
_DASHES = [0x2D, 0x2010, 0x2011, 0x2043, 0x2012, 0x2013, 0x2014, 0x2015, 0x2212, 0xFF0D, 0x207B]
_DOUBLE_QUOTES = [0x201C, 0x201D, 0x201E, 0x201F]
_QUOTES = [0x2018, 0x2019, 0x201A, 0x201B, 0x55A, 0xA78B, 0xA78C, 0xFF07, 0x60, 0xB4]
_PRIMES = {0x2032: 1, 0x2035: 1, 0x2033: 2, 0x2036: 2, 0x2034: 3, 0x2037: 3, 0x2057: 4}


def cleaned(text: str) -> str:
    """The published clean-up of a lower-cased text, one replacement after the other."""
    text = text.lower()
    for old in _GONE:
        text = text.replace(chr(old), "")
    for old in _BLANKS:
        text = text.replace(chr(old), " ")
    for old in _DASHES:
        text = text.replace(chr(old), "-")
    text = text.replace("\u00ad", "")
    for old in _DOUBLE_QUOTES:
        text = text.replace(chr(old), '"')
    for old in _QUOTES:
        text = text.replace(chr(old), "'")
    for old, count in _PRIMES.items():
        text = text.replace(chr(old), "'" * count)
    text = text.replace("\u2026", "...").replace(" . . . ", " ... ")
    return text.replace("\u2044", "/").replace("\u2215", "/")


def test_every_character_is_cleaned_as_published():
    characters = [chr(code) for code in range(0x10000) if not 0xD800 <= code < 0xE000]
    different = [f"{ord(one):04x}" for one in characters if clean(f"a{one}B") != cleaned(f"a{one}B")]
    assert [] == different


_CLEANED = "".join(map(chr, [*_GONE, *_BLANKS, *_DASHES, *_DOUBLE_QUOTES, *_QUOTES, *_PRIMES, 0xAD, 0x2026, 0x2044]))


@given(
    st.text(st.one_of(st.sampled_from(" .Aa\u03a3\u0130\n\t"), st.sampled_from(_CLEANED), st.characters()), max_size=30)
)
def test_any_text_is_cleaned_as_published(text):
    assert clean(text) == cleaned(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The U.S.\u2019s \u201cBest\u201d \u2014 1990\u20131995", 'the u.s.\'s "best" - 1990-1995'),
        ("so\u2026 then", "so... then"),
        ("so . . . then", "so ... then"),
        ("so\u0085.\u000b.\u000c. then", "so ... then"),
        ("so . . .", "so . . ."),
        (" . . . . . . ", " ... . . . "),
        ("co\u00adop\u0001er\u001bate", "cooperate"),
        ("a\u0000\u0010\u001c\u007f~+b", "a\u0000\u0010\u001c\u007f~+b"),
        ("5\u203230\u2033 \u2057 \u2034", "5'30'' '''' '''"),
        ("1\u20442 and 3\u22154", "1/2 and 3/4"),
        ("\u0391\u03a3\u0001\u0391", "\u03b1\u03c2\u03b1"),  # lower case comes first: the sigma ended a word
        ("\u6771\u4eac\uff0d\u5927\u962a", "\u6771\u4eac-\u5927\u962a"),
        (" kept blanks \n", " kept blanks \n"),
    ],
)
def test_what_becomes_of_a_text(text, expected):
    assert clean(text) == expected


def test_documents_and_answers_are_cleaned_and_questions_are_not(folder, store):
    dataset = read(folder, store)
    assert dataset.answers == {"10": ("308",), "7": ("herman melville", "melville"), "9": ()}
    assert read(folder, store, answer_cleanup=False).digest != dataset.digest


def test_answers_stay_as_they_are_when_asked_for(folder, store):
    dataset = read(folder, store, answer_cleanup=False)
    assert texts(dataset) == ["moby-dick\na novel by herman melville...", 'they gave up "308" points.', "empty"]
    assert dataset.queries == {"10": "丢了多少分 ", "7": "谁写了《白鲸》", "9": "没有答案"}
    assert dataset.answers == {"10": ("308",), "7": ("Herman Melville", "Melville"), "9": ()}
    assert ["p1", "p2", "p3"] == dataset.documents.ids.to_pylist()
    assert dataset.documents.texts([2, 0]) == ["empty", "moby-dick\na novel by herman melville..."]


def test_without_clean_up_documents_are_as_they_were_and_another_corpus(folder, store):
    plain, tidy = read(folder, store, text_cleanup=False), read(folder, store)
    assert texts(plain) == [
        "Moby\u2010Dick\nA novel by HERMAN\u00ad Melville\u2026",
        "They gave up “308” points.",
        "Empty",
    ]
    assert plain.corpus_digest != tidy.corpus_digest
    assert plain.digest != tidy.digest
    assert plain.corpus_digest == read(folder, Store(store.root / "other"), text_cleanup=False).corpus_digest


def test_a_soft_hyphen_hides_an_answer_only_where_texts_are_not_cleaned(folder, store):
    """A format character stands between tokens, so it is not in the way of a name, but it is in the way of a word."""
    (folder / "corpus.jsonl").write_text(corpus_lines({"p": ("", "by Mel\u00adville")}), encoding="utf-8")
    run = Run.from_dict({"7": {"p": 1.0}})
    found = [AnswerJudge(read(folder, store, text_cleanup=cleanup)).judge(run)["7"]["p"] for cleanup in (True, False)]
    assert [1, 0] == found


# What is counted


def test_counts_are_of_questions_answers_and_documents(folder, store, caplog):
    dataset = read(folder, store)
    expected = {"documents": 3, "queries": 3, "judgments": 0, "relevant_judgments": 0, "questions_without_answers": 1}
    assert expected == {name: dataset.notes[name] for name in expected}
    assert {} == dict(dataset.qrels)
    assert "mkqa_en_zh_cn: 1 question has no answer and counts as 0." in caplog.messages


def test_a_question_whose_answers_are_blank_is_without_answers(folder, store):
    rows = [{**QUESTIONS[0], "answers": ["", " "]}, {**QUESTIONS[1], "answers": ["", "308"]}]
    (folder / "zh_cn.jsonl").write_text(json_lines(rows), encoding="utf-8")
    assert 1 == read(folder, store).notes["questions_without_answers"]


def test_questions_without_a_relevant_document_are_not_dropped_because_nothing_says_which(folder, store):
    dataset = read(folder, store, queries_without_relevant="drop")
    assert {"7", "9", "10"} == set(dataset.queries)


def test_integer_ids_are_read_as_their_digits(folder, store):
    rows = [{**row, "id": int(str(row["id"]))} for row in QUESTIONS]
    (folder / "zh_cn.jsonl").write_text(json_lines(rows), encoding="utf-8")
    (folder / "corpus.jsonl").write_text('{"_id": 12, "text": "a"}\n{"id": 13, "text": "b"}\n', encoding="utf-8")
    dataset = read(folder, store)
    assert ["10", "7", "9"] == list(dataset.queries) == list(dataset.answers)
    assert ["12", "13"] == dataset.documents.ids.to_pylist()


def test_the_order_of_the_questions_does_not_change_the_digest_and_an_answer_does(folder, store):
    digest = read(folder, store).digest
    (folder / "zh_cn.jsonl").write_text(json_lines(reversed(QUESTIONS)), encoding="utf-8")
    assert digest == read(folder, store).digest
    (folder / "zh_cn.jsonl").write_text(
        json_lines([*QUESTIONS[:2], {**QUESTIONS[2], "answers": ["x"]}]), encoding="utf-8"
    )
    assert digest != read(folder, store).digest


# Where questions are


def zipped(path: Path, members: Mapping[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    "members",
    [
        {"zh_cn.jsonl": json_lines(QUESTIONS), "en.jsonl": "not read"},
        {"MKQA/test/zh_cn.jsonl": json_lines(QUESTIONS), "MKQA/test/en.jsonl": "not read", "README.md": "x"},
        {
            "MKQA_test-data/zh_cn.jsonl": json_lines(QUESTIONS),
            "__MACOSX/MKQA_test-data/._zh_cn.jsonl": b"\0\5\x16\7\0\2\0\0Mac OS X",
            "MKQA_test-data/.DS_Store": b"\0\0",
        },
        {"zh_cn.jsonl.gz": gzip.compress(json_lines(QUESTIONS).encode())},
    ],
    ids=["top", "below", "macos", "gzip"],
)
def test_questions_of_a_zip_are_those_of_a_folder(folder, store, tmp_path, members):
    expected = read(folder, store)
    dataset = read(zipped(tmp_path / "q.zip", members), store, corpus_path=str(folder / "corpus.jsonl"))
    assert (expected.digest, expected.queries, expected.answers) == (dataset.digest, dataset.queries, dataset.answers)


def test_another_language_is_another_file(folder, store):
    (folder / "en.jsonl").write_text(json_lines([{**QUESTIONS[0], "question": "who"}]), encoding="utf-8")
    assert {"7": "who"} == read(folder, store, questions="en.jsonl").queries


# Where the corpus is


@pytest.mark.parametrize("kind", ["file", "another name", "gzip", "folder", "zip", "zip below a folder", "tilde"])
def test_a_corpus_is_the_same_wherever_it_is(folder, store, tmp_path, kind, monkeypatch):
    expected = read(folder, store)
    lines = (folder / "corpus.jsonl").read_text(encoding="utf-8")
    (folder / "corpus.jsonl").write_text(corpus_lines({"other": ("", "not this one")}), encoding="utf-8")
    (tmp_path / "beir").mkdir()
    match kind:
        case "file":
            place = tmp_path / "beir" / "corpus.jsonl"
            place.write_text(lines, encoding="utf-8")
        case "another name":
            place = tmp_path / "beir" / "passages.json"
            place.write_text(lines, encoding="utf-8")
        case "gzip":
            place = tmp_path / "beir" / "passages.gz"
            place.write_bytes(gzip.compress(lines.encode()))
        case "folder":
            place = tmp_path / "beir"
            (place / "corpus.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
            (place / "queries.jsonl").write_text("not read", encoding="utf-8")
        case "zip":
            place = zipped(tmp_path / "nq.zip", {"corpus.jsonl": lines})
        case "zip below a folder":
            place = zipped(tmp_path / "nq.zip", {"nq/corpus.jsonl": lines, "nq/queries.jsonl": "not read"})
        case _:
            monkeypatch.setenv("HOME", str(tmp_path))
            (tmp_path / "corpus.jsonl").write_text(lines, encoding="utf-8")
            place = Path("~/corpus.jsonl")
    dataset = read(folder, store, corpus_path=str(place))
    assert (expected.corpus_digest, expected.digest) == (dataset.corpus_digest, dataset.digest)
    assert texts(expected) == texts(dataset)


def test_a_compressed_corpus_next_to_the_questions_is_found(folder, store):
    expected = read(folder, store)
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress((folder / "corpus.jsonl").read_bytes()))
    (folder / "corpus.jsonl").unlink()
    assert expected.digest == read(folder, store).digest


def test_a_corpus_next_to_the_questions_is_taken_before_others_of_like_names(folder, store):
    expected = read(folder, store)
    (folder / "corpus_sentence.jsonl").write_text(corpus_lines({"s": ("", "not this one")}), encoding="utf-8")
    assert expected.digest == read(folder, store).digest


@pytest.mark.parametrize("below", ["", "MKQA/"])
def test_a_corpus_next_to_the_questions_in_a_zip_is_found(folder, store, tmp_path, below):
    members = {f"{below}{path.name}": path.read_bytes() for path in folder.iterdir()}
    assert read(folder, store).digest == read(zipped(tmp_path / "both.zip", members), store).digest


def test_without_a_corpus_on_disk_the_published_one_is_meant(folder, store, tmp_path):
    assert corpus_path(settings_of(None)) is None
    assert corpus_path(settings_of(zipped(tmp_path / "q.zip", {"zh_cn.jsonl": json_lines(QUESTIONS)}))) is None
    assert corpus_path(settings_of(folder)) == folder / "corpus.jsonl"
    (folder / "corpus.jsonl").unlink()
    assert corpus_path(settings_of(folder)) is None
    assert "nobody/passages" in refusal(folder, store)
    assert "nobody/questions" in refusal(None, store)


@pytest.mark.parametrize("names", [["corpus_paragraph.jsonl"], ["corpus_paragraph.jsonl", "corpus_sentence.jsonl.gz"]])
def test_corpora_that_may_or_may_not_be_meant_are_named(folder, store, names):
    content = (folder / "corpus.jsonl").read_bytes()
    (folder / "corpus.jsonl").unlink()
    for name in names:
        (folder / name).write_bytes(content)
    message = refusal(folder, store)
    assert message.startswith(f"{folder}: holds {', '.join(names)}. Set dataset.corpus_path to the one to search")
    assert str(folder / names[0]) in message
    assert 3 == len(read(folder, store, corpus_path=str(folder / names[0])).documents)


# What is refused


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ('{"question": "a", "answers": []}', "id is None"),
        ('{"id": "", "question": "a", "answers": []}', "id is ''"),
        ('{"id": null, "question": "a", "answers": []}', "id is None"),
        ('{"id": 1.5, "question": "a", "answers": []}', "id is 1.5"),
        ('{"id": "a\\tb", "question": "a", "answers": []}', "holds a tab"),
        ('{"id": "7", "question": "a", "answers": []}', "question id '7' occurs twice"),
        ('{"id": 7, "question": "a", "answers": []}', "question id '7' occurs twice"),
        ('{"id": "8", "answers": []}', "question is None"),
        ('{"id": "8", "question": ["a"], "answers": []}', "question is ['a']"),
        ('{"id": "8", "question": "half \\ud83d", "answers": []}', "question holds half of a surrogate pair"),
        ('{"id": "8", "question": "a"}', "answers is None, expected a list of strings"),
        ('{"id": "8", "question": "a", "answers": "308"}', "answers is '308', expected a list of strings"),
        ('{"id": "8", "question": "a", "answers": {"en": []}}', "answers is {'en': []}"),
        ('{"id": "8", "question": "a", "answers": [308]}', "an answer is 308"),
        ('{"id": "8", "question": "a", "answers": [["308"]]}', "an answer is ['308']"),
        ('["8", "a", []]', "a JSON list, expected an object"),
        ('{"id": "8", "question": "cut', "not JSON"),
        ("moon", "not JSON"),
    ],
)
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_a_malformed_question_names_file_and_line(folder, store, tmp_path, line, part, packed):
    content = f"{json_lines(QUESTIONS[:1])}\n{line}\n"
    (folder / "zh_cn.jsonl").write_text(content, encoding="utf-8")
    path, label = folder, str(folder / "zh_cn.jsonl")
    if packed:
        path = zipped(tmp_path / "q.zip", {"MKQA/zh_cn.jsonl": content})
        label = f"{path}!MKQA/zh_cn.jsonl"
    message = refusal(path, store)
    assert message.startswith(f"{label}:3: ")
    assert part in message
    assert not store.root.exists()


def test_a_file_without_questions_is_refused(folder, store):
    (folder / "zh_cn.jsonl").write_text("\n", encoding="utf-8")
    assert refusal(folder, store) == f"{folder / 'zh_cn.jsonl'}: holds no questions."


def test_questions_and_corpora_that_are_not_there_are_named(folder, store, tmp_path):
    assert refusal(folder, store, questions="fr.jsonl").startswith(f"{folder / 'fr.jsonl'}: no such file.")
    archive = zipped(tmp_path / "q.zip", {"en.jsonl": "x"})
    assert refusal(archive, store).startswith(f"{archive}: no zh_cn.jsonl in the zip.")
    assert refusal(tmp_path / "nowhere", store).startswith(f"{tmp_path / 'nowhere'}: no such folder or zip.")
    message = refusal(folder, store, corpus_path=str(tmp_path / "nowhere.jsonl"))
    assert message.startswith(f"{tmp_path / 'nowhere.jsonl'}: no such file or folder. dataset.corpus_path is")


def test_a_damaged_zip_is_refused(folder, store, tmp_path):
    archive = zipped(tmp_path / "q.zip", {"zh_cn.jsonl": json_lines(QUESTIONS)})
    archive.write_bytes(archive.read_bytes()[:-30])
    assert refusal(archive, store).startswith(f"{archive}: is a zip archive that is damaged or cut short")
    assert refusal(folder, store, corpus_path=str(archive)).startswith(f"{archive}: is a zip archive that is damaged")


def test_a_malformed_document_names_file_and_line(folder, store, tmp_path):
    corpus = tmp_path / "passages.jsonl"
    corpus.write_text(corpus_lines() + '{"_id": "p4"}\n', encoding="utf-8")
    assert refusal(folder, store, corpus_path=str(corpus)).startswith(f"{corpus}:4: has no text, only")


@pytest.mark.parametrize("key", ["revision", "corpus_revision"])
def test_what_is_published_is_pinned(key):
    with pytest.raises(ConfigError, match=rf"dataset\.{key}=main is not a full commit"):
        settings_of(None, **{key: "main"})


# Real questions


@pytest.mark.shared
@pytest.mark.parametrize(
    ("cleanup", "of_answers", "found"), [(True, True, 1189), (False, True, 1189), (True, False, 1178)]
)
def test_the_gold_paragraphs_contain_the_answers(shared, store, cleanup, of_answers, found):
    """All but one. As published, answers keep their typographic dashes, and cleaned paragraphs lose 11 more."""
    data = shared / "data"
    corpus = data / "xquad_mkqa_style" / "corpus_paragraph.jsonl"
    cleaned = {"text_cleanup": cleanup, "answer_cleanup": of_answers}
    dataset = read(data / "xquad_mkqa_style", store, corpus_path=str(corpus), **cleaned)
    assert (1190, 240) == (len(dataset.queries), len(dataset.documents))
    assert 0 == dataset.notes["questions_without_answers"]
    gold = read_qrels(data / "xquad_r_zh-en_paragraph" / "qrels" / "test.tsv")
    run = Run.from_dict({query_id: dict.fromkeys(judged, 1.0) for query_id, judged in gold.items()})
    judged = AnswerJudge(dataset).judge(run)
    assert {"AnswerRecall@1": found / 1190} == measure({}, run, ["AnswerRecall@1"], answers=judged).means


@pytest.mark.slow
@pytest.mark.shared
def test_the_order_of_the_questions_changes_no_value_of_any_of_them(shared, tmp_path):
    data = shared / "data" / "xquad_mkqa_style"
    lines = (data / "en.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    tables = []
    for name in ("as_published", "shuffled"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "en.jsonl").write_text("".join(lines), encoding="utf-8")
        random.Random(0).shuffle(lines)
        config = EvaluateConfig(
            dataset=settings_of(
                folder, questions="en.jsonl", query_language="en", corpus_path=str(data / "corpus_paragraph.jsonl")
            ),
            retriever=BM25Config(name="bm25"),
            reranker=KeepOrderConfig(name="none"),
            measures=["AnswerRecall@20"],
            results_dir=str(folder / "results"),
            cache_dir=str(tmp_path / "cache"),
        )
        done = evaluate(config)
        assert done.result.fresh
        tables.append(pq.read_table(done.result.folder / "per_query.parquet").to_pydict())
    assert tables[0] == tables[1]
    assert 1190 == len(tables[0]["query_id"])
    # English questions and passages share their words.
    assert 0.95 < sum(tables[0]["AnswerRecall@20"]) / 1190 <= 1
    assert 0.9 < sum(tables[0]["AnswerRecall@1"]) / 1190 < 0.95
