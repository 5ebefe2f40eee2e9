"""Judgments and runs in Parquet and Feather."""

import gzip
import lzma

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from evalkit.errors import DataError
from evalkit.formats.trec import read_qrels, read_run

RUN = {"q_id": ["q1", "q1", "q2"], "doc_id": ["d1", "d2", "d1"], "score": [0.5, 2.0, -1.0]}
RANKINGS = {"q1": ["d2", "d1"], "q2": ["d1"]}


def written(path, columns, *, kind="parquet"):
    (pq.write_table if kind == "parquet" else feather.write_feather)(pa.table(columns), path)
    return path


def rankings(run):
    return {query_id: doc_ids for query_id, doc_ids, _ in run}


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_a_table_is_a_run_whatever_its_name(tmp_path, kind):
    assert RANKINGS == rankings(read_run(written(tmp_path / "run.txt", RUN, kind=kind)))


@pytest.mark.parametrize("grades", [[1, 0, 2], [1.0, 0.0, 2.0]])
def test_a_table_is_judgments(tmp_path, grades):
    columns = {"query-id": ["q1", "q1", "q2"], "corpus-id": ["d1", "d2", "d1"], "score": grades}
    assert {"q1": {"d1": 1, "d2": 0}, "q2": {"d1": 2}} == read_qrels(written(tmp_path / "q.parquet", columns))


def test_ids_that_are_numbers_are_the_text_of_the_number(tmp_path):
    columns = {"qid": [1, 1], "docno": [10, 2], "score": [1.0, 2.0]}
    assert {"1": ["2", "10"]} == rankings(read_run(written(tmp_path / "run", columns)))


def test_many_rows_and_batches_are_all_read(tmp_path):
    columns = {
        "qid": ["q"] * 70_000,
        "docno": [str(i) for i in range(70_000)],
        "score": [float(i) for i in range(70_000)],
    }
    run = read_run(written(tmp_path / "run", columns))
    assert (70_000, "69999") == (len(run), next(iter(run)).doc_ids[0])


def test_a_table_in_gzip_is_read(tmp_path):
    packed = tmp_path / "run.parquet.gz"
    packed.write_bytes(gzip.compress(written(tmp_path / "run.parquet", RUN).read_bytes()))
    assert RANKINGS == rankings(read_run(packed))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": ["q"], "doc_id": ["d"], "score": [1.0]}, "has the columns a, doc_id, score. Expected query_id"),
        ({**RUN, "score": [0.5, None, 1.0]}, "row 2 has an empty cell"),
        ({**RUN, "q_id": ["q1", "q1", None]}, "row 3 has an empty cell"),
        ({**RUN, "score": [0.5, float("nan"), 1.0]}, ":2: the score is nan"),
        ({**RUN, "doc_id": ["d1", "d1", "d1"]}, ":2: document 'd1' occurs twice"),
        ({**RUN, "score": ["high", "low", "low"]}, ":1: the score is 'high'"),
    ],
)
def test_missing_column_of_a_table_is_named(tmp_path, columns, message):
    with pytest.raises(DataError, match=message):
        read_run(written(tmp_path / "run", columns))


@pytest.mark.parametrize("read", [read_run, read_qrels])
def test_a_table_that_is_cut_short_is_an_error_of_one_line(tmp_path, read):
    path = written(tmp_path / "run.parquet", RUN)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"run\.parquet: the table is damaged or cut short"):
        read(path)


@pytest.mark.parametrize("read", [read_run, read_qrels])
def test_a_compressed_table_that_is_damaged_is_an_error_of_one_line(tmp_path, read):
    ids = [f"d{number * number}" for number in range(20_000)]
    plain = written(tmp_path / "run.parquet", {"query_id": ["q"] * len(ids), "doc_id": ids, "score": [1] * len(ids)})
    packed, path = bytearray(lzma.compress(plain.read_bytes())), tmp_path / "run.parquet.xz"
    packed[len(packed) // 2 : len(packed) // 2 + 50] = bytes(50)
    path.write_bytes(packed)
    with pytest.raises(DataError, match=r"run\.parquet\.xz: the table is damaged or cut short"):
        read(path)


def test_a_query_id_that_begins_as_a_table_does_is_an_id(tmp_path):
    (tmp_path / "run").write_text("PAR1 Q0 d1 1 2.5 t\n")
    assert {"PAR1": ["d1"]} == rankings(read_run(tmp_path / "run"))
