"""Synthetic results, and the report that shows everything of them."""

import json
import re
import sys

import make_synthetic

from evalkit.cli import main


def test_synthetic_results_fill_every_chart_of_a_report(tmp_path, monkeypatch, capsys):
    arguments = ["make_synthetic.py", str(tmp_path), "--datasets", "2", "--rerankers", "4", "--queries", "6"]
    monkeypatch.setattr(sys, "argv", arguments)
    make_synthetic.main()
    page = tmp_path / "report.html"
    assert main(["report", str(tmp_path / "results"), "--html", str(page)]) == 0
    capsys.readouterr()
    data = json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)[1])
    assert len(data["datasets"]) == 2
    for dataset in data["datasets"]:
        assert {"intervals", "cost", "depth", "length", "ties", "truncation"} == set(dataset["charts"])
        assert len(dataset["systems"]) == 5
        assert sum(one["bins"] is not None for one in dataset["systems"]) == 4
    assert len(data["overall"]["rows"]["rows"]) >= 5
