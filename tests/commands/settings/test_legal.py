"""Choices that do not exist, on the command line."""

import pytest
from in_process import evalkit


@pytest.mark.parametrize("given", ["seg", "./seg", "/nowhere/seg"])
def test_a_path_for_a_dataset_brings_a_hint_at_dataset_folder(tmp_path, given):
    (tmp_path / "seg").mkdir()
    done = evalkit("evaluate", f"dataset={given}", "retriever=bm25", "reranker=none", cwd=tmp_path)
    assert done.returncode == 2
    assert f"To read {given}, set dataset=folder dataset.path={given}. Legal are: " in done.stderr
