"""Runs and judgments as people hold them: the same rankings and grades in every file."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalkit.errors import DataError
from evalkit.formats.judgments import read_judgments
from evalkit.formats.runfile import read_run_file
from evalkit.formats.trec import read_qrels, read_run

RANKINGS = {"q1": ["d2", "d1"], "q2": ["d1"]}
QRELS = {"q1": {"d1": 1, "d2": 0}, "q2": {"d1": 2}}
RELEVANT = {"q1": {"d1": 1}, "q2": {"d1": 1}}

ROWS = [("q1", "d2", 1, 2.5), ("q1", "d1", 2, 1.5), ("q2", "d1", 1, 0.5)]
TREC = "".join(f"{query} Q0 {doc} {rank} {score} tag\n" for query, doc, rank, score in ROWS)
HEADER = "query_id Q0 doc_id rank score tag\n"
QUOTED = "".join(f'"{query}" "Q0" "{doc}" "{rank}" "{score}" "tag"\n' for query, doc, rank, score in ROWS)
CANDIDATES = [
    {
        "query": {"text": "what do bees make", "qid": query_id},
        "candidates": [
            {"docid": doc, "score": score, "doc": {"title": "Bees", "segment": "Bees make honey"}}
            for query, doc, _, score in ROWS
            if query == query_id
        ],
    }
    for query_id in RANKINGS
]
DPR = {
    query_id: {
        "question": "what do bees make",
        "answers": ["honey"],
        "ctxs": [
            {"id": doc, "title": "Bees", "text": "Bees make honey", "score": str(score), "has_answer": doc == "d1"}
            for query, doc, _, score in ROWS
            if query == query_id
        ],
    }
    for query_id in RANKINGS
}
PYSERINI = {query_id: {**row, "contexts": row["ctxs"]} for query_id, row in DPR.items()}
for _row in PYSERINI.values():
    del _row["ctxs"]

RUNS = {
    "TREC": TREC,
    "TREC with tabs": TREC.replace(" ", "\t"),
    "TREC with a header": HEADER + TREC,
    "TREC with a header and tabs": (HEADER + TREC).replace(" ", "\t"),
    "TREC in quotes": QUOTED,
    "TREC in quotes with tabs": QUOTED.replace(" ", "\t"),
    "TREC in quotes with a header": '"query_id" "Q0" "doc_id" "rank" "score" "tag"\n' + QUOTED,
    "quotes below a header without any": (HEADER + QUOTED).replace(" ", "\t"),
    "MS MARCO": "".join(f"{query}\t{doc}\t{rank}\n" for query, doc, rank, _ in ROWS),
    "tevatron": "".join(f"{query}\t{doc}\t{score}\n" for query, doc, _, score in ROWS),
    "CSV": "qid,docno,score,rank\n" + "".join(f'"{query}",{doc},{score},{rank}\n' for query, doc, rank, score in ROWS),
    "BEIR JSON": json.dumps({"q1": {"d1": 1.5, "d2": 2.5}, "q2": {"d1": 0.5}}),
    "lists of ids": json.dumps(RANKINGS),
    "rank_llm": json.dumps(CANDIDATES),
    "rank_llm, one a line": "".join(json.dumps(row) + "\n" for row in CANDIDATES),
    "DPR": json.dumps([{"q_id": query_id, **row} for query_id, row in DPR.items()], indent=4),
    "DPR of Pyserini": json.dumps(PYSERINI),
    "rows of JSON": json.dumps([{"query_id": query, "doc_id": doc, "score": score} for query, doc, _, score in ROWS]),
    "columns of JSON, as pandas writes": json.dumps(
        {
            name: {str(number): row[place] for number, row in enumerate(ROWS)}
            for name, place in (("qid", 0), ("docno", 1), ("score", 3))
        }
    ),
    "UTF-16": TREC.encode("utf-16"),
    "UTF-32": TREC.encode("utf-32"),
    "a byte-order mark and CRLF": "\ufeff" + TREC.replace("\n", "\r\n"),
}

JUDGMENTS = {
    "TREC": "q1 0 d1 1\nq1 0 d2 0\nq2 0 d1 2\n",
    "TREC with a header": "query_id\titeration\tdoc_id\trelevance\nq1\t0\td1\t1\nq1\t0\td2\t0\nq2\t0\td1\t2\n",
    "TREC in quotes": '"q1" "0" "d1" "1"\n"q1" "0" "d2" "0"\n"q2" "0" "d1" "2"\n',
    "TREC in quotes with a header": '"qid" "iter" "docno" "rel"\n"q1" 0 "d1" 1\n"q1" 0 "d2" 0\n"q2" 0 "d1" 2\n',
    "TREC with Q0 and mixed blanks": "q1 Q0\td1   1\n q1\tQ0 d2 0 \nq2 Q0 d1\t2\n",
    "any iteration": "q1 ITER1 d1 1\nq1 ITER1 d2 0\nq2 ITER1 d1 2\n",
    "iteration last, as ir_datasets": "q1\td1\t1\tQ0\nq1\td2\t0\tQ0\nq2\td1\t2\tQ0\n",
    "BEIR": "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\nq2\td1\t2\n",
    "BEIR without a header": "q1\td1\t1\nq1\td2\t0\nq2\td1\t2\n",
    "floats": "q1,d1,1.0\nq1,d2,0.0\nq2,d1,2.0\n",
    "JSON": json.dumps(QRELS),
    "TREC with a header that calls its second column 0": "qid 0 docid rel\nq1 0 d1 1\nq1 0 d2 0\nq2 0 d1 2\n",
    "columns of JSON": (
        '{"qid":{"0":"q1","1":"q1","2":"q2"},"docno":{"0":"d1","1":"d2","2":"d1"},"label":{"0":1,"1":0,"2":2}}'
    ),
    "rows of JSON": "".join(
        json.dumps({"qid": query, "docid": doc, "relevance": grade}) + "\n"
        for query, judged in QRELS.items()
        for doc, grade in judged.items()
    ),
}

RELEVANT_ALONE = {
    "two columns": "q1 d1\nq2 d1\n",
    "two columns with tabs and a header": "query_id\tdoc_id\nq1\td1\nq2\td1\n",
    "two columns of CSV in quotes": '"query-id","corpus-id"\n"q1","d1"\n"q2","d1"\n',
    "lists in JSON": '{"q1": ["d1"], "q2": ["d1"]}',
    "lists, one a line": '{"q1": ["d1"]}\n{"q2": ["d1"]}\n',
}


COLUMNS = {"query_id": ["q1", "q1", "q2"], "doc_id": ["d2", "d1", "d1"], "score": [2.5, 1.5, 0.5]}
GRADED = COLUMNS | {"score": [0.0, 1.0, 2.0]}


def saved(folder: Path, columns: dict[str, list], shards: int = 1) -> Path:
    import datasets

    datasets.Dataset.from_dict(columns).save_to_disk(str(folder), num_shards=shards)
    return folder


def zipped(text: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("out\\run.txt", text)
        archive.writestr("__MACOSX/._run.txt", b"\0\5")
    return stream.getvalue()


def tarred(text: bytes, mode: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        member = tarfile.TarInfo("out/run.txt")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    return stream.getvalue()


PACKED = {
    "gzip": lambda text: gzip.compress(text, mtime=0),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda text: lzma.compress(text, format=lzma.FORMAT_ALONE),
    "zstd": lambda text: pa.compress(text, "zstd", asbytes=True),
    "zstd of two frames": lambda text: b"".join(
        pa.compress(part, "zstd", asbytes=True) for part in (text[:30], text[30:])
    ),
    "zip": zipped,
    "zip of gzip": lambda text: zipped(gzip.compress(text, mtime=0)),
    "tar": lambda text: tarred(text, "w"),
    "tar.gz": lambda text: tarred(text, "w:gz"),
    "tar.xz": lambda text: tarred(text, "w:xz"),
    "tar.zst": lambda text: pa.compress(tarred(text, "w"), "zstd", asbytes=True),
}


def written(tmp_path, content):
    path = tmp_path / "held"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rankings(run):
    return {query_id: doc_ids for query_id, doc_ids, _ in run}


@pytest.mark.parametrize("layout", RUNS)
def test_the_same_run_is_read_from_every_layout(tmp_path, layout):
    assert RANKINGS == rankings(read_run(written(tmp_path, RUNS[layout])))


@pytest.mark.parametrize("layout", JUDGMENTS)
def test_the_same_judgments_are_read_from_every_layout(tmp_path, layout):
    assert (QRELS, ()) == tuple(read_judgments(written(tmp_path, JUDGMENTS[layout])))


@pytest.mark.parametrize("file", ["", "data-00000-of-00001.arrow"])
def test_what_save_to_disk_wrote_is_read_by_its_folder_or_its_file(tmp_path, file):
    assert RANKINGS == rankings(read_run(saved(tmp_path / "run", COLUMNS) / file))
    assert QRELS == read_qrels(saved(tmp_path / "qrels", GRADED) / file)


def test_a_saved_table_of_several_files_is_refused_and_not_read_in_part(tmp_path):
    with pytest.raises(DataError, match=r"run: has its rows in 2 files, expected one\. Save it with num_shards=1\."):
        read_run(saved(tmp_path / "run", COLUMNS, shards=2))


@pytest.mark.parametrize("layout", ["TREC", "CSV", "tevatron"])
def test_a_line_that_is_repeated_counts_once_with_a_note(tmp_path, layout):
    text = RUNS[layout]
    found = read_run_file(written(tmp_path, text + "\n".join(text.splitlines()[-2:]) + "\n"))
    (note,) = (note for note in found.notes if note.kind == "repeated_lines")
    assert (RANKINGS, {"lines": 2}) == (rankings(found.run), note.facts)


@pytest.mark.parametrize(
    "text", ["q1 0 d1 1\nq1 0 d1 1\nq2 0 d1 1.0\nq2 0 d1 1\n", '{"qid": "q1", "docid": "d1", "rel": 1}\n' * 3]
)
def test_a_judgment_that_is_repeated_counts_once_with_a_note(tmp_path, text):
    qrels, (note,) = read_judgments(written(tmp_path, text))
    assert (QRELS["q1"]["d1"], {"judgments": 2}) == (qrels["q1"]["d1"], note.facts)
    assert "2 judgments are the same as an earlier one, and left out" == note.text


@pytest.mark.parametrize("row", ["{query} Q0 {doc} {score} {rank} tag", "{query}\t{doc}\t{score}\t{rank}"])
def test_ranks_and_scores_in_swapped_columns_are_refused(tmp_path, row):
    swapped = "".join(
        row.format(query=query, doc=doc, rank=rank, score=score) + "\n" for query, doc, rank, score in ROWS
    )
    path = written(tmp_path, swapped)
    with pytest.raises(DataError, match=r"held: the scores are 1, 2, 3, \.\.\. in each query and the ranks are not"):
        read_run(path)
    assert rankings(read_run(path, order="score")) == {"q1": ["d1", "d2"], "q2": ["d1"]}


@pytest.mark.parametrize("separator", [",", "\t", " ", ";"])
@pytest.mark.parametrize("names", [("qid", "docid", "bm25"), ("query_id", "doc_id"), ("qid", "docno", "bm25", "dense")])
def test_a_header_without_a_value_lists_its_columns_and_the_legal_names(tmp_path, separator, names):
    path = written(
        tmp_path, "".join(separator.join(row) + "\n" for row in (names, ["1", "d1", ".5", "2"][: len(names)]))
    )
    with pytest.raises(DataError, match=rf"held:1: names the columns {', '.join(names)}, and none of them is a value"):
        read_run(path)


@pytest.mark.parametrize("bad", ["a\tb", "a\nb", " a", "a\0"])
def test_an_id_that_no_trec_file_can_hold_is_refused_in_tables_and_json(tmp_path, bad):
    graded = {"qid": ["q1"], "docid": [bad], "label": [1]}
    for write in (
        lambda path: pq.write_table(pa.table(graded), path),
        lambda path: path.write_text(json.dumps({"q1": {bad: 1}})),
    ):
        write(path := tmp_path / "held")
        with pytest.raises(DataError, match=r"held:? .*id (that )?holds a tab, a line break, a NUL or outer blanks"):
            read_judgments(path)


def test_half_of_a_surrogate_pair_in_an_id_is_refused(tmp_path):
    with pytest.raises(DataError, match="an id holds half of a surrogate pair, which is not a character"):
        read_judgments(written(tmp_path, '{"q1": {"\\ud800": 1}}'))


def test_lines_that_end_as_on_old_macs_are_refused(tmp_path):
    for read in (read_judgments, read_run_file):
        with pytest.raises(DataError, match=r"held: its lines end in CR alone, as on old Macs\. Convert them"):
            read(written(tmp_path, "qid,docid,score\rq1,d1,1\rq2,d1,2\r"))


def test_a_saved_table_with_a_changed_byte_is_refused_and_never_a_crash(tmp_path):
    path = saved(tmp_path / "qrels", GRADED) / "data-00000-of-00001.arrow"
    content = bytearray(path.read_bytes())
    start = content.index(b"q1q1q2") - 16
    content[start + 3 : start + 4] = b"\xff"  # the offset of a text, now below zero
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"arrow: the table is damaged or cut short"):
        read_judgments(path)


def test_candidates_with_short_texts_are_no_trec_run(tmp_path):
    found = read_run_file(written(tmp_path, "7\t3\tbees honey\tBees make\n7\t5\tbees honey\tCows give milk\n"))
    assert ({"7": {"3", "5"}}, True) == ({"7": set(rankings(found.run)["7"])}, found.is_unordered)


def test_the_header_of_ms_marco_candidates_is_no_candidate(tmp_path):
    text = "qid\tpid\tquery\tpassage\n7\t3\twho makes honey\tbees do\n"
    assert {"7": ["3"]} == rankings(read_run(written(tmp_path, text)))


@pytest.mark.parametrize("layout", RELEVANT_ALONE)
def test_judgments_without_grades_are_relevant_with_a_note(tmp_path, layout, caplog):
    path = written(tmp_path, RELEVANT_ALONE[layout])
    qrels, (note,) = read_judgments(path)
    assert (RELEVANT, "no_grades") == (qrels, note.kind)
    assert read_qrels(path) == RELEVANT
    assert "every document in them counts as relevant (grade 1)" in caplog.text


@pytest.mark.parametrize("kind", PACKED)
def test_a_run_is_read_however_it_is_packed(tmp_path, kind):
    assert RANKINGS == rankings(read_run(written(tmp_path, PACKED[kind](TREC.encode()))))
    assert read_qrels(written(tmp_path, PACKED[kind](JUDGMENTS["TREC"].encode()))) == QRELS


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "zstd", "tar.gz", "tar.zst", "zip"])
def test_a_packed_file_that_is_cut_or_changed_is_refused(tmp_path, kind):
    packed = PACKED[kind](TREC.encode())
    for damaged in (packed[: len(packed) * 2 // 3], packed[:-9], packed[:40] + b"\xff\xfe" + packed[42:]):
        with pytest.raises(DataError, match=r"^\S+held") as caught:
            read_run(written(tmp_path, damaged))
        assert "\n" not in str(caught.value)


def test_an_archive_of_several_files_names_them(tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a/run1", TREC)
        archive.writestr("a/run2", TREC)
    with pytest.raises(DataError, match=r"is an archive of 2 files \(a/run1, a/run2\), expected one. Unpack it"):
        read_run(written(tmp_path, stream.getvalue()))


def test_text_that_is_not_what_its_byte_order_mark_says_names_the_line(tmp_path):
    with pytest.raises(DataError, match=r"held:4: is not utf-16"):
        read_run(written(tmp_path, TREC.encode("utf-16") + b"x"))


def test_ids_that_are_floats_in_parquet_are_their_digits(tmp_path):
    table = {"qid": [1.0, 2.0], "docno": [4983.0, 7.0], "score": [0.5, 1.0]}
    pq.write_table(pa.table(table), tmp_path / "held")
    assert {"1": ["4983"], "2": ["7"]} == rankings(read_run(tmp_path / "held"))


def test_dpr_results_are_numbered_where_they_have_no_ids_and_are_judgments_where_they_say_so(tmp_path):
    path = written(tmp_path, json.dumps(list(DPR.values())))
    assert {"1": ["d2", "d1"], "2": ["d1"]} == rankings(read_run(path))
    assert read_qrels(path) == {"1": {"d2": 0, "d1": 1}, "2": {"d1": 1}}
    assert read_qrels(written(tmp_path, json.dumps(PYSERINI))) == {"q1": {"d2": 0, "d1": 1}, "q2": {"d1": 1}}


def test_tevatron_rows_with_passages_are_judgments(tmp_path):
    row = {"query_id": "q1", "query": "x", "positive_passages": [{"docid": "d1", "text": "a"}], "negative_passages": []}
    assert read_qrels(written(tmp_path, json.dumps(row))) == {"q1": {"d1": 1}}
    with pytest.raises(DataError, match="its passages lack ids"):
        read_qrels(written(tmp_path, json.dumps({"query": "x", "pos": ["a"], "neg": []})))


def test_ids_of_segments_are_ids(tmp_path):
    rows = "q1 Q0 msmarco_v2.1_doc_00_0#4_81 1 2.0 t\nq1 Q0 D123#4 2 1.0 t\nq1 Q0 msmarco_passage_01_123 3 .5 t\n"
    found = read_run_file(written(tmp_path, rows)).run
    assert rankings(found) == {"q1": ["msmarco_v2.1_doc_00_0#4_81", "D123#4", "msmarco_passage_01_123"]}
