"""Files of settings that others wrote: read as settings or refused in one line, and never run."""

import pytest

from evalkit.cli import main
from evalkit.commands.settings.foreign import require_harmless
from evalkit.errors import ConfigError

LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [*{old}, *{old}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
)


def told(tmp_path, capsys, content, *arguments):
    (tmp_path / "mine" / "reranker").mkdir(parents=True)
    (tmp_path / "mine" / "reranker" / "own.yaml").write_bytes(content.encode() if isinstance(content, str) else content)
    places = [f"cache_dir={tmp_path}/cache", f"results_dir={tmp_path}/results"]
    assert main(["evaluate", *places, "reranker=own", f"--config-dir={tmp_path}/mine", *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('!!python/object/apply:os.mkdir ["PLACE"]', "could not determine a constructor for the tag"),
        ("name: !!python/name:os.system", "could not determine a constructor for the tag"),
        ("hydra: {callbacks: {one: {_target_: os.mkdir, path: PLACE}}}", "has a _target_, which names an object"),
        (LAUGHS, "has the alias *a. Write what it stands for"),
        ("a: &a [*a]", "has the alias *a"),
        ("name: a\nname: b", "found duplicate key name"),
        ("\tname: x", "cannot start any token"),
        (b"\xff\xfe\x00", "can't decode byte 0xff"),
        ("name: " + "9" * 5_000, "Exceeds the limit"),
        ("a: " + "[" * 1_000 + "]" * 1_000, "cannot be read as YAML (maximum recursion depth exceeded"),
        ("# " + "x" * 1_000_000, "is not a file of settings of at most 1,000,000 bytes"),
        ("defaults: 3", "defaults must be a list (got int)"),
        ("- 1", "list is not a subclass of RerankerConfig"),
        ("defaults: [none]\nname: 2024-01-01x\nmodel: x", "model is not a setting"),
        ('defaults: [none]\nname: "a\\0b"', "cannot name a folder"),
        ('defaults: [none]\nname: "\\e]0;x\\a"', r"reranker.name='\x1b]0;x\x07' cannot name a folder"),
    ],
)
def test_hostile_settings_are_refused_in_one_line(tmp_path, capsys, content, message):
    place = tmp_path / "made"
    line = told(tmp_path, capsys, content.replace("PLACE", str(place)) if isinstance(content, str) else content)
    assert message in line
    assert not place.exists()


def test_settings_of_ones_own_are_taken(tmp_path, capsys):
    line = told(tmp_path, capsys, "defaults: [none]\nname: own", "depth=0")
    assert "depth=0 is out of range" in line


def test_a_pipe_among_settings_is_not_waited_for(tmp_path):
    import os

    (tmp_path / "reranker").mkdir()
    os.mkfifo(tmp_path / "reranker" / "pipe.yaml")
    with pytest.raises(ConfigError, match=r"pipe.yaml: is not a file of settings"):
        require_harmless([f"--config-dir={tmp_path}"])


@pytest.mark.parametrize(
    "argument",
    ["--experimental-rerun=x", "--e", "--config-name=x", "-cn", "--config-p", "hydra.searchpath=[file://x]"],
)
def test_hydra_reads_no_pickles_and_no_other_roots(argument):
    with pytest.raises(ConfigError, match="is not for evalkit"):
        require_harmless(["reranker=none", argument, "x"])


@pytest.mark.parametrize("command", ["evaluate", "plan", "fetch"])
@pytest.mark.parametrize("setting", ["reranker=null", "dataset=null"])
def test_a_group_that_is_null_is_one_line(capsys, command, setting):
    assert main([command, setting]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("setting", ["results_dir", "cache_dir", "dataset.path", "retriever.path", "reranker.path"])
def test_the_home_of_nobody_is_one_line(tmp_path, capsys, monkeypatch, setting):
    monkeypatch.chdir(tmp_path)
    chosen = {
        "dataset.path": ["dataset=folder"],
        "retriever.path": ["retriever=saved"],
        "reranker.path": ["reranker=replay"],
    }
    places = [f"cache_dir={tmp_path}/cache", f"results_dir={tmp_path}/results"]
    given = [one for one in places if not one.startswith(setting)] + chosen.get(setting, [])
    assert main(["evaluate", *given, f"{setting}=~nosuchuser/x"]) == 2
    error = capsys.readouterr().err
    assert "~nosuchuser/x: there is no such user" in error
    assert error.count("\n") == 1
