"""Runs of results, read column by column."""

import gzip

import numpy as np
import pytest

from evalkit.errors import DataError
from evalkit.formats.trec import read_trec_run, write_run
from evalkit.results import saved_runs
from evalkit.results.saved_runs import read_saved_run
from evalkit.run import Run


def written(tmp_path, text):
    path = tmp_path / "run.trec.gz"
    path.write_bytes(gzip.compress(text.encode()))
    return path


@pytest.fixture
def only_columns(monkeypatch):
    def refuse(path):
        raise AssertionError(f"{path} was read line by line")

    monkeypatch.setattr(saved_runs, "read_trec_run", refuse)


@pytest.mark.usefixtures("only_columns")
def test_a_run_of_evalkit_is_the_one_that_the_lines_give(tmp_path):
    random = np.random.default_rng(0)
    scores = {
        f"q{query}": {f"d{place}-é": float(np.float32(random.normal())) for place in range(40)} for query in range(20)
    }
    scores["q3"] |= {"tiny": 1e-45, "large": -3.4e38, "same": 0.5, "equal": 0.5}
    path = tmp_path / "run.trec.gz"
    write_run(Run.from_dict(scores), path, tag="made")
    assert read_saved_run(path).digest() == read_trec_run(path).digest() == Run.from_dict(scores).digest()


@pytest.mark.parametrize(
    "text",
    [
        "q1\tQ0\td one\t1\t2.5\ttag\nq1\tQ0\td2\t2\t1.0\ttag\n",  # ids with blanks
        'q1 Q0 "d1" 1 2.5 tag\nq1 Q0 d"2 2 1.0 tag\n',
        "q1  Q0 d1 1 2.5 tag\n",  # two blanks
        "\ufeffq1 Q0 d1 1 2.5 tag\n",
        "q1 Q0 d1 1 2.5 tag\r\n\r\nq1 Q0 d2 2 1.5 tag\r\n",
        "q1 Q0 NULL 1 2.5 tag\nNA Q0 nan 1 3 tag\n",
        "",
    ],
)
def test_other_forms_are_read_as_before(tmp_path, text):
    path = written(tmp_path, text)
    assert read_saved_run(path).digest() == read_trec_run(path).digest()


@pytest.mark.parametrize(
    "text", ["q1 Q0 d1 1 nan tag\n", "q1 Q0 d1 1 1e39 tag\n", "q1 Q0 d1 1 x tag\n", "q1 Q0 d1 2.5 tag\n"]
)
def test_what_is_refused_line_by_line_is_refused_with_its_line(tmp_path, text):
    path = written(tmp_path, f"q0 Q0 d0 1 1.0 tag\n{text}")
    with pytest.raises(DataError, match=":2: "):
        read_saved_run(path)


def test_a_document_twice_is_refused(tmp_path):
    with pytest.raises(DataError, match="occurs twice for query 'q1'"):
        read_saved_run(written(tmp_path, "q1 Q0 d1 1 2.0 tag\nq1 Q0 d1 2 1.0 tag\n"))


def test_a_damaged_file_is_refused(tmp_path):
    path = written(tmp_path, "q1 Q0 d1 1 2.5 tag\n" * 3)
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(DataError, match="damaged or cut short"):
        read_saved_run(path)
