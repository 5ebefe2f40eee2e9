"""What is a setting and what a file, and numbers as lines of JSON."""

import argparse
import io
import json
import sys

import numpy as np
import pytest

from evalkit.commands.json_lines import shortest, split_arguments, write_line
from evalkit.errors import ConfigError


def split(*arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("--ids", action="store_true")
    options, settings, file = split_arguments(parser, list(arguments))
    return options.ids, settings, file


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_settings_and_the_file_come_in_any_order():
    settings = ["reranker=cross_encoder", "reranker.model=a/b"]
    assert (False, settings, "pairs.jsonl") == split("reranker=cross_encoder", "pairs.jsonl", "reranker.model=a/b")
    assert (True, settings, "pairs.jsonl") == split("pairs.jsonl", *settings, "--ids")


def test_without_a_file_standard_input_is_read():
    assert (False, ["reranker=none"], "-") == split("reranker=none")
    assert (False, [], "-") == split("-")


@pytest.mark.parametrize("setting", ["+a=1", "++a.b=1", "~a=1", "reranker.model=/data/a b=c"])
def test_what_hydra_reads_as_a_setting_is_one(setting):
    assert [setting] == split(setting)[1]


@pytest.mark.parametrize("file", ["pairs", "./pairs.jsonl", "./depth=5.jsonl", "what is this=.jsonl"])
def test_an_argument_that_is_not_a_setting_is_the_file(file):
    assert (False, [], file) == split(file)


def test_a_file_that_is_named_like_a_setting_does_not_take_its_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "depth=5").write_text("")
    assert (False, ["depth=5"], "-") == split("depth=5")


def test_two_files_are_refused():
    with pytest.raises(ConfigError, match=r"2 files were given: a\.jsonl, b\.jsonl\. Give one"):
        split("a.jsonl", "reranker=none", "b.jsonl")


def test_nothing_typed_and_nothing_piped_in_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "stdin", Terminal())
    with pytest.raises(ConfigError, match="no file was given, and nothing is piped in"):
        split("reranker=none")
    assert "pairs.jsonl" == split("pairs.jsonl")[2]


def test_a_line_is_one_json_object_with_texts_as_they_are(capsys):
    write_line({"id": "数据\n", "score": 0.5})
    assert '{"id": "数据\\n", "score": 0.5}\n' == capsys.readouterr().out


@pytest.mark.parametrize("text", ["0.1", "-4.7460938", "1e-07", "3.4028235e+38", "16777216.0", "0.0"])
def test_a_number_is_the_shortest_that_reads_back_as_the_same_float32(text):
    value = np.float32(text)
    found = shortest(value)
    assert type(found) is float
    assert float(text) == found
    assert value == np.float32(json.loads(json.dumps(found)))


def test_arrays_become_lists_of_the_same_shape():
    assert [[0.1, 0.2], [0.3, 0.4]] == shortest(np.array([[0.1, 0.2], [0.3, 0.4]], dtype=np.float32))
    assert [] == shortest(np.empty(0, dtype=np.float32))
