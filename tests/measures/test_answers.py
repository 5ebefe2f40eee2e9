"""The matcher of answers, held equal to a slow one over lists of tokens, and judgments of runs made with it."""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from stubs import DOCUMENTS, write_collection

from evalkit.config import FolderDatasetConfig
from evalkit.datasets import load
from evalkit.errors import DataError
from evalkit.measures import answers
from evalkit.measures.answers import AnswerJudge, contains, tokens
from evalkit.run import Run
from evalkit.types import Dataset


def listed(text: str) -> list[str]:
    """Tokens as the published matcher makes them: NFD, then the pattern, then each token in lower case."""
    pattern = r"([\p{L}\p{N}\p{M}]+)|([^\p{Z}\p{C}])"
    flags = regex.IGNORECASE | regex.UNICODE | regex.MULTILINE
    return [found.group().lower() for found in regex.finditer(pattern, unicodedata.normalize("NFD", text), flags)]


def occurs(document: str, answer: str) -> bool:
    """Whether the answer's list of tokens is a contiguous part of the document's; never for an empty list."""
    whole, part = listed(document), listed(answer)
    return bool(part) and any(whole[at : at + len(part)] == part for at in range(len(whole)))


# Letters that change with case, order or composition, marks, digits, punctuation, blanks, controls, and what has none.
_CHARACTERS = st.one_of(
    st.sampled_from("aAbBeE1230.,-'\u2019!\u00bd\u00b2\u0663 \t\n\0\x01\x1f\u0085\u00a0\u3000\u200b\u200d\u2028\ufeff"),
    st.sampled_from("\u00e9\u0301\u0308\u0323\u0345\u00c5\u212b\u0130\u0131\u00df\u1e9e\u01c5\u03a3\u03c3\u03c2\uac00"),
    st.sampled_from("\u4e2d\u6587\u6771\u4eac\u3001\u3002\U00020000\N{WATER WAVE}\U0001f1e8\U0001f3fd\ufe0f\ue000"),
    st.characters(exclude_categories=("Cs",)),
)
_TEXTS = st.text(_CHARACTERS, max_size=20)


@st.composite
def _documents_and_answers(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A text, and answers of which some are parts of it, composed otherwise, in other case, or blanked otherwise."""
    document = draw(_TEXTS)
    start, end = (draw(st.integers(0, len(document))) for _ in range(2))
    part = document[min(start, end) : max(start, end)]
    changed = draw(
        st.sampled_from(
            [
                part,
                part.upper(),
                part.lower(),
                unicodedata.normalize("NFC", part),
                unicodedata.normalize("NFD", part),
                "\n".join(listed(part)),
                "".join(listed(part)),
            ]
        )
    )
    return document, draw(st.permutations([changed, *draw(st.lists(_TEXTS, max_size=2))]))


@given(_documents_and_answers())
def test_an_answer_is_found_exactly_where_its_tokens_are_part_of_the_documents(case):
    document, found = case
    assert tokens(document) == listed(document)
    assert contains(document, found) == any(occurs(document, answer) for answer in found)


@given(st.lists(_TEXTS, max_size=4).map("\0".join), st.lists(_TEXTS, min_size=1, max_size=3).map("\0".join))
def test_a_control_character_in_a_text_is_never_taken_for_the_joint_between_tokens(document, answer):
    assert contains(document, [answer]) == occurs(document, answer)
    assert contains(f"{document}\0{answer}\0", [answer]) == bool(listed(answer))


@pytest.mark.parametrize(
    ("document", "answer"),
    [
        ("It gave up just 308 points.", "308"),
        ("It gave up just 308points.", "308points"),
        ("308", "308"),
        ("the U.S. army", "U.S."),
        ("THE U.S. ARMY", "the u.s. Army"),
        ("the U . S .army", "U.S. Army"),
        ("a caf\u00e9 in town", "cafe\u0301"),
        ("a cafe\u0301 in town", "CAF\u00c9"),
        ("\u212bngstr\u00f6m", "a\u030angstro\u0308m"),
        ("\u5728 \u6771\u4eac \u5e02", "\u6771\u4eac"),
        ("\u6771\u4eac\u3001\u5927\u962a", "\u5927\u962a"),
        ("scored 24\u201310 in Denver", "24\u201310"),
        ("scored 24 \u2013 10 in Denver", "24\u201310"),
        ("Tom\u200bHanks", "tom hanks"),
        ("Tom\u00a0Hanks", "Tom Hanks"),
        ("Tom\0Hanks", "Tom Hanks"),
        ("Who?", "?"),
        ("a \N{WATER WAVE} came", "\N{WATER WAVE}"),
        ("\u039f\u0394\u039f\u03a3'\u0391", "\u03bf\u03b4\u03bf\u03c2"),  # final sigma is that of the token alone
    ],
)
def test_what_is_contained(document, answer):
    assert contains(document, [answer])
    assert occurs(document, answer)


@pytest.mark.parametrize(
    ("document", "answer"),
    [
        ("It gave up just 3080 points.", "308"),
        ("It gave up just 1308 points.", "308"),
        ("It gave up just 308points.", "308"),
        ("the US army", "U.S."),
        ("the U.S army", "U.S."),
        ("a cafe in town", "caf\u00e9"),
        ("Hanks, Tom", "Tom Hanks"),
        ("Tom J. Hanks", "Tom Hanks"),
        ("Tom Han", "Tom Hanks"),
        ("om Hanks", "Tom Hanks"),
        ("\u5728\u6771\u4eac\u5e02", "\u6771\u4eac"),
        ("1,000", "1000"),
        ("\ufb01nal", "final"),  # NFD leaves ligatures be
        ("", "a"),
        (" \n\0", "a"),
    ],
)
def test_what_is_not_contained(document, answer):
    assert not contains(document, [answer])
    assert not occurs(document, answer)


@pytest.mark.parametrize("answer", ["", " ", "\n\t", "\0", "\0\0", "\u200b", "\u00a0\u3000", "\ufeff", "\ue000"])
@pytest.mark.parametrize("document", ["", "\0", "a b", "\0\0", "a\0\0b"])
def test_an_answer_without_tokens_is_contained_in_nothing(document, answer):
    assert not contains(document, [answer])
    assert contains(f"{document} c", [answer, "c"])


def test_no_answers_are_contained_in_nothing():
    assert not contains("anything", [])


def test_a_run_of_chinese_characters_is_one_token_and_punctuation_one_each():
    assert ["\u6771\u4eac\u5e02", "\u3001", "(", ".", ".", ")", "2e\u0301"] == tokens(
        "\u6771\u4eac\u5e02\u3001(..) 2\u00e9"
    )


# Judgments of runs

TEXTS = {
    "d1": "The moon pulls the sea.",
    "d2": "Bees make honey.",
    "d3": "",
    "d4": "The MOON has no air, and 308 craters.",
    "d5": "3080 bees",
}
ANSWERS = {"q1": ("the moon",), "q2": ("308", "honey"), "q3": (), "q4": ("\u200b", "")}


class Recorded:
    """Documents in memory that remember which texts were asked for."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.asked: list[str] = []
        self._texts = texts
        self.ids = pa.chunked_array([list(texts)], pa.string())

    def __len__(self) -> int:
        return len(self._texts)

    def texts(self, rows: Sequence[int]) -> list[str]:
        asked = [list(self._texts)[row] for row in rows]
        self.asked += asked
        return [self._texts[doc_id] for doc_id in asked]


def dataset_of(
    texts: Mapping[str, str] = TEXTS, answered: Mapping[str, Sequence[str]] = ANSWERS
) -> tuple[Dataset, Recorded]:
    documents = Recorded(texts)
    dataset = Dataset(
        name="toy",
        split="test",
        language="en",
        documents=documents,
        queries={query_id: f"question {query_id}" for query_id in sorted(answered)},
        qrels={},
        drop_identical_ids=False,
        corpus_digest="c",
        digest="d",
        answers=answered,
    )
    return dataset, documents


def run_of(*pairs: tuple[str, str], scores: Sequence[float] | None = None) -> Run:
    ranked: dict[str, dict[str, float]] = {}
    for (query_id, doc_id), score in zip(pairs, scores or range(len(pairs), 0, -1), strict=True):
        ranked.setdefault(query_id, {})[doc_id] = float(score)
    return Run.from_dict(ranked)


EVERY_PAIR = [(query_id, doc_id) for query_id in ANSWERS for doc_id in TEXTS]


def test_every_question_is_judged_and_every_document_of_the_run():
    dataset, _ = dataset_of()
    expected = {
        "q1": {"d1": 1, "d2": 0, "d3": 0, "d4": 1, "d5": 0},
        "q2": {"d1": 0, "d2": 1, "d3": 0, "d4": 1, "d5": 0},
        "q3": dict.fromkeys(TEXTS, 0),
        "q4": dict.fromkeys(TEXTS, 0),
    }
    assert expected == AnswerJudge(dataset).judge(run_of(*EVERY_PAIR))


def test_a_question_that_the_run_lacks_is_there_without_documents():
    dataset, _ = dataset_of()
    assert {"q1": {}, "q2": {"d2": 1}, "q3": {}, "q4": {}} == AnswerJudge(dataset).judge(run_of(("q2", "d2")))
    assert {query_id: {} for query_id in ANSWERS} == AnswerJudge(dataset).judge(Run.from_dict({}))


def test_a_query_of_the_run_that_the_dataset_lacks_is_not_judged():
    dataset, documents = dataset_of()
    judged = AnswerJudge(dataset).judge(run_of(("other", "d1"), ("q1", "d2")))
    assert {"q1": {"d2": 0}, "q2": {}, "q3": {}, "q4": {}} == judged
    assert ["d2"] == documents.asked


def test_a_document_that_the_corpus_lacks_contains_nothing():
    dataset, documents = dataset_of()
    judged = AnswerJudge(dataset).judge(run_of(("q1", "gone"), ("q1", "d1"), ("q2", "gone"), ("q2", "lost")))
    assert ({"gone": 0, "d1": 1}, {"gone": 0, "lost": 0}) == (judged["q1"], judged["q2"])
    assert ["d1"] == documents.asked


def test_a_pair_that_was_judged_is_not_read_again():
    dataset, documents = dataset_of()
    judge = AnswerJudge(dataset)
    first = {query_id: dict(judged) for query_id, judged in judge.judge(run_of(("q1", "d1"), ("q2", "d2"))).items()}
    assert ["d1", "d2"] == sorted(documents.asked)
    documents.asked.clear()
    assert first == judge.judge(run_of(("q2", "d2"), ("q1", "d1")))
    assert [] == documents.asked
    judged = judge.judge(run_of(("q1", "d1"), ("q1", "d5"), ("q2", "d2"), ("q2", "d4")))
    assert ["d4", "d5"] == sorted(documents.asked)
    assert ({"d1": 1, "d5": 0}, {"d2": 1, "d4": 1}) == (judged["q1"], judged["q2"])


def test_a_document_is_read_once_for_all_questions_at_a_time():
    dataset, documents = dataset_of()
    AnswerJudge(dataset).judge(run_of(*EVERY_PAIR))
    assert sorted(TEXTS) == sorted(documents.asked)


@pytest.mark.parametrize("size", [1, 3, 7, 19, 20, 21])
def test_how_many_pairs_are_read_at_a_time_changes_nothing(monkeypatch, size):
    expected = AnswerJudge(dataset_of()[0]).judge(run_of(*EVERY_PAIR))
    monkeypatch.setattr(answers, "_PAIRS_PER_WINDOW", size)
    assert expected == AnswerJudge(dataset_of()[0]).judge(run_of(*EVERY_PAIR))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(_TEXTS, min_size=1, max_size=4),
    st.lists(st.lists(st.one_of(_TEXTS, st.text(_CHARACTERS, min_size=1, max_size=2)), max_size=3), max_size=3),
    st.randoms(use_true_random=False),
)
def test_judgments_are_those_of_the_pairs_whatever_their_order_and_scores(texts, answered, random):
    corpus = {f"d{number}": text for number, text in enumerate(texts)}
    questions = {f"q{number}": tuple(found) for number, found in enumerate(answered)}
    expected = {
        query_id: {doc_id: int(any(occurs(text, answer) for answer in found)) for doc_id, text in corpus.items()}
        for query_id, found in questions.items()
    }
    pairs = [(query_id, doc_id) for query_id in questions for doc_id in corpus]
    for _ in range(2):
        random.shuffle(pairs)
        shuffled = dict(random.sample(sorted(questions.items()), len(questions)))
        scores = [random.choice([-1.0, 0.0, 0.5, 3.0]) for _ in pairs]
        dataset, _documents = dataset_of(corpus, shuffled)
        assert expected == AnswerJudge(dataset).judge(run_of(*pairs, scores=scores))


# Answers of a collection in BEIR layout


def write_answers(folder: Path, queries: Sequence[dict[str, object]], *, judgments: bool) -> Path:
    write_collection(folder, qrels={"q1": {"d1": 1}, "q2": {"d3": 1}})
    if not judgments:
        (folder / "qrels" / "test.tsv").unlink()
        (folder / "qrels").rmdir()
    lines = [json.dumps(query) + "\n" for query in queries]
    (folder / "queries.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


Q1 = {"_id": "q1", "text": "what pulls the sea", "answers": ["The moon"]}
Q2 = {"_id": "q2", "text": "what makes bread rise", "answers": ["yeast"]}
BARE = {"_id": "q2", "text": "what makes bread rise"}


@pytest.mark.parametrize("judgments", [True, False])
def test_answers_are_read_with_their_queries_and_change_the_digest(tmp_path, store, judgments):
    def read(name: str, queries: Sequence[dict[str, object]]) -> Dataset:
        return load(FolderDatasetConfig(path=str(write_answers(tmp_path / name, queries, judgments=judgments))), store)

    plain, other = read("plain", [Q2, Q1]), read("other", [Q1, {**Q2, "answers": ["yeast", "bees"]}])
    assert {"q1": ("The moon",), "q2": ("yeast",)} == plain.answers
    assert ["q1", "q2"] == list(plain.queries)
    assert bool(plain.qrels) == judgments
    assert plain.digest != other.digest
    assert plain.corpus_digest == other.corpus_digest
    expected = {"q1": {"d1": 1, "d2": 0}, "q2": {"d3": 1, "d5": 0}}
    judged = AnswerJudge(plain).judge(run_of(("q1", "d1"), ("q1", "d2"), ("q2", "d3"), ("q2", "d5")))
    assert expected == judged


def test_queries_that_are_not_judged_need_no_answers(tmp_path, store):
    queries = [Q1, Q2, {"_id": "q3", "text": "not judged"}]
    dataset = load(FolderDatasetConfig(path=str(write_answers(tmp_path / "c", queries, judgments=True))), store)
    assert {"q1", "q2"} == set(dataset.answers)
    assert 1 == dataset.notes["unjudged_queries"]
    assert len(DOCUMENTS) == dataset.notes["documents"]


@pytest.mark.parametrize("judgments", [True, False])
@pytest.mark.parametrize("queries", [[Q1, BARE], [BARE, Q1], [Q1, {**BARE, "answers": None}]])
def test_answers_for_only_some_queries_are_refused(tmp_path, store, judgments, queries):
    folder = write_answers(tmp_path / "c", queries, judgments=judgments)
    with pytest.raises(DataError) as caught:
        load(FolderDatasetConfig(path=str(folder)), store)
    assert str(caught.value).startswith(str(folder))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given_answers", "part"),
    [
        ("yeast", "answers is 'yeast', expected a list of strings"),
        ({"en": ["yeast"]}, "answers is {'en': ['yeast']}, expected a list"),
        (7, "answers is 7"),
        ([1889], "an answer is 1889"),
        (["yeast", None], "an answer is None"),
        (["half \ud83d"], "an answer holds half of a surrogate pair"),
    ],
)
def test_answers_that_are_no_list_of_texts_name_file_and_line(tmp_path, store, given_answers, part):
    folder = write_answers(tmp_path / "c", [Q1, {**Q2, "answers": given_answers}], judgments=True)
    with pytest.raises(DataError) as caught:
        load(FolderDatasetConfig(path=str(folder)), store)
    assert str(caught.value).startswith(f"{folder / 'queries.jsonl'}:2: ")
    assert part in str(caught.value)
