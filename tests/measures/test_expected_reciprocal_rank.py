"""Expected reciprocal rank, against gdeval through ir_measures, and by hand."""

import shutil

import pytest
from by_ir_measures import expected, judgments, scores

from evalkit.errors import DataError
from evalkit.measures import measure


@pytest.mark.interop
@pytest.mark.skipif(not shutil.which("perl"), reason="gdeval is a Perl script")
@pytest.mark.parametrize("cutoff", [1, 5, 20])
def test_values_are_those_of_gdeval(cutoff):
    qrels, found = judgments(1, grades=(-2, 0, 1, 2, 3, 4)), scores(2)
    answer = measure(qrels, found, [f"ERR@{cutoff}"]).values[f"ERR@{cutoff}"].tolist()
    assert pytest.approx(expected(f"ERR@{cutoff}", qrels, found), abs=5.1e-6) == answer  # gdeval prints five digits


def test_values_by_hand():
    """On a scale to 2: grade 1 stops a reader with probability 1/4, grade 2 with 3/4."""
    value = measure(
        {"q": {"a": 1, "c": 2}}, {"q": {"a": 3.0, "b": 2.0, "c": 1.0}}, ["ERR(max_rel=2)", "ERR(max_rel=2)@2"]
    )
    assert {"ERR(max_rel=2)": pytest.approx(1 / 4 + 3 / 4 * 3 / 4 / 3), "ERR(max_rel=2)@2": 1 / 4} == value.means


def test_a_grade_beyond_the_scale_is_refused_with_a_remedy():
    with pytest.raises(
        DataError, match=r"a grade of 5, and ERR is for grades up to 4\. .* such as ERR\(max_rel=5\)@20\."
    ):
        measure({"q": {"a": 5}}, {"q": {"a": 1.0}}, ["ERR@20"])
