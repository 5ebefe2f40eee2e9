"""Typing mistakes on the command line: one line that says what was probably meant."""

import ast
import sys
from pathlib import Path

import pytest

import evalkit.commands
from evalkit.cli import main
from evalkit.commands.options import Parser
from evalkit.errors import ConfigError


def told(arguments, capsys):
    """The one line on stderr of a command that ends with exit code 2."""
    code = main(arguments)
    lines = capsys.readouterr().err.splitlines()
    assert (code, len(lines)) == (2, 1), lines
    return lines[0].removeprefix("evalkit: error: ")


@pytest.fixture(autouse=True)
def _apart(monkeypatch, tmp_path):
    """Hydra reads the arguments of the process, and leaves folders where it runs."""
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            "evaluate --reranker none",
            "--reranker is not an option. Did you mean reranker=none? Settings have no dashes.",
        ),
        (
            "evaluate --reranker=none",
            "--reranker is not an option. Did you mean reranker=none? Settings have no dashes.",
        ),
        ("evaluate depth=3 --reranker", "Did you mean reranker=VALUE? Settings have no dashes."),
        ("evaluate -reranker=none", "-reranker is not an option. Did you mean reranker=none?"),
        ("evaluate --rerankr none", "--rerankr is not an option. Did you mean reranker=none?"),
        ("evaluate --compute.dtype bfloat16 depth=3", "Did you mean compute.dtype=bfloat16?"),
        ("evaluate --max-length=5", "Did you mean retriever.max_length=5 or reranker.max_length=5?"),
        ("evaluate --multirn", "--multirn is not an option. Did you mean --multirun? Legal are: "),
        ("plan --dept=10", "Did you mean depth=10? Settings have no dashes."),
        ("plan --formt json", "--formt is not an option. Did you mean --format? Legal are: "),
        ("plan --format tabel", "--format tabel is not a choice. Did you mean table? Legal are: table, markdown"),
        ("score --reranker none pairs.jsonl", "Did you mean reranker=none? Settings have no dashes."),
        ("embed --jsn texts.jsonl", "--jsn is not an option. Legal are: --help, --ids."),
        ("doctor --no-float23", "Did you mean --no-float32? Legal are: --help, --no-float32, --format, --json."),
        ("prompt --dataset mini", "Did you mean dataset=mini? Settings have no dashes."),
        ("fetch --suite bier", "Did you mean suite=bier? Settings have no dashes."),
        ("fetch --chek dataset=mini", "--chek is not an option. Did you mean --check? Legal are: "),
        ("list datasets --jsn", "Did you mean --json? Legal are: --help, --format, --json, --inspect."),
        ("list dataset", "'dataset' is not a choice. Did you mean datasets? Legal are: datasets, "),
        ("cache prun", "'prun' is not a choice. Did you mean prune? Legal are: list, verify, prune."),
        ("compare x --corection holm", "--corection is not an option. Did you mean --correction? Legal are: "),
        ("compare x --correction hom", "--correction hom is not a choice. Did you mean holm? Legal are: holm, none."),
        ("compare x --reranker none", "--reranker is not an option. Legal are: --help, "),
        ("compare x --json", "--json is not an option. Use --format json."),
        ("report x --summary markdown", "--summary is not an option. Use --markdown FILE."),
        ("compare", "the following arguments are required: results. See `evalkit compare --help`."),
        ("export x --out y --to trc", "--to trc is not a choice. Did you mean trec? Legal are: trec, mteb, "),
        ("gate x --baseline", "argument --baseline: expected one argument. See `evalkit gate --help`."),
    ],
)
def test_a_mistyped_option_or_choice_is_one_line_with_what_was_meant(command, message, capsys):
    assert message in told(command.split(), capsys)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("evaluate rerankr=none", "rerankr is not a setting. Did you mean reranker? Legal are: "),
        ("evaluate siute=beir", "siute is not a setting. Did you mean suite? Legal are: "),
        ("evaluate +deph=3", "deph is not a setting. Did you mean depth? Other legal settings are: "),
        ("evaluate ~suit", "suit is not a setting. Did you mean suite?"),
        ("evaluate dtype=float16", "dtype is not a setting. Did you mean compute.dtype?"),
        ("evaluate path=x", "path is not a setting. Did you mean dataset.path, retriever.path or reranker.path?"),
        ("evaluate reranker.max_lenght=5", "reranker.max_lenght is not a setting. Did you mean reranker.max_length?"),
        ("evaluate reranker=none reranker.max_length=5", "reranker.max_length is not a setting of the reranker none."),
        ("score reranker=auto reranker.label=1 x", "of the reranker auto. reranker=cross_encoder has it. Other legal "),
        ("evaluate compute.machine.wats=5", "Did you mean compute.machine.watts?"),
        ("evaluate dataset=scifcat", "dataset=scifcat is not a choice. Did you mean scifact? Legal are: "),
        ("evaluate -m dataset=mini,scifcat", "dataset=scifcat is not a choice. Did you mean scifact?"),
        ("evaluate dataset=beir", "dataset=beir is not a choice. Did you mean suite=beir?"),
        ("evaluate retriever=none", "retriever=none is not a choice. Did you mean reranker=none?"),
        ("evaluate suite=bier", "suite=bier is not a choice. Did you mean beir?"),
        ("evaluate ablation=dept", "ablation=dept is not a choice. Did you mean depth?"),
        ("evaluate compute.dtype=float23", "compute.dtype=float23 is not a choice. Did you mean float32?"),
        ("evaluate hydra/launcher=jobli", "hydra/launcher=jobli is not a choice. Did you mean joblib?"),
        ("evaluate hydra/lancher=joblib", "hydra/lancher is not a setting. Did you mean hydra/launcher?"),
        ("evaluate hydra.sweper.x=3", "Did you mean hydra.sweeper?"),
        ("score rerankr=none x", "rerankr is not a setting. Did you mean reranker? Legal are: compute, reranker."),
        ("embed retriever=bge_m3 x", "retriever=bge_m3 is not a choice. Did you mean bge_m3_dense or bge_m3_sparse?"),
        ("fetch datset=mini", "datset is not a setting. Did you mean dataset? Legal are: cache_dir, dataset, suite."),
        ("fetch dataset=scifcat", "Did you mean scifact?"),
        ("fetch dataset=mini dataset.splt=dev", "Did you mean dataset.split?"),
        ("fetch suite=bier", "Did you mean beir?"),
        ("list datasets --inspect scifcat", "Did you mean scifact?"),
        ("reproduce bge-reranker", "'bge-reranker' is not a published table. Did you mean bge-rerankers?"),
        ("reproduce bge-rerankers --table bier", "Did you mean beir?"),
        ("reproduce bge-rerankers --explain bge-reranker-v2-m3/scifcat", "Did you mean bge-reranker-v2-m3/scifact?"),
    ],
)
def test_a_mistyped_name_or_key_is_one_line_with_what_was_meant(command, message, capsys):
    assert message in told(command.split(), capsys)


def test_a_group_of_the_users_own_is_accepted(tmp_path, capsys):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "reranker").mkdir()
    (tmp_path / "mine" / "experiment" / "shallow.yaml").write_text("# @package _global_\ndepth: 0\n")
    (tmp_path / "mine" / "reranker" / "quick.yaml").write_text("defaults: [none]\nname: quick\n")
    own = f"--config-dir={tmp_path}/mine"
    assert "depth=0 is out of range" in told(["evaluate", own, "+experiment=shallow"], capsys)
    assert "Did you mean quick? Legal are: " in told(["evaluate", own, "reranker=quik"], capsys)


def test_hydras_own_flags_are_known_also_by_their_beginning(capsys):
    assert main(["evaluate", "--cfg", "job", "--resolve", "reranker=none"]) == 0
    assert "name: none" in capsys.readouterr().out
    assert main(["evaluate", "-c", "job", "--pack", "reranker"]) == 0
    assert "name: late_interaction" in capsys.readouterr().out


def test_arguments_of_other_kinds_are_refused_too():
    parser = Parser("evalkit try")
    with pytest.raises(ConfigError, match=r"unexpected argument 'x'\. See `evalkit try --help`"):
        parser.parse_args(["x"])


def test_every_verb_has_a_parser_that_knows_typing_mistakes():
    for path in Path(evalkit.commands.__file__).parent.glob("*.py"):
        made = [
            node.lineno
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call)
            and ast.unparse(node.func) == "argparse.ArgumentParser"
            and "add_help=False" not in ast.unparse(node)
        ]
        assert not made, f"{path}:{made}: make it with evalkit.commands.options.Parser"


@pytest.mark.parametrize("verb", ["compare absent", "gate absent --baseline absent.json", "evaluate reranker=none"])
@pytest.mark.parametrize("form", ["json", "csv", "latex", "markdown"])
def test_a_form_beside_a_printed_summary_is_refused(verb, form, capsys):
    assert told([*verb.split(), "--summary", "markdown", "--format", form], capsys) == (
        f"--summary markdown is printed instead of what --format {form} asks for. Leave one out, or give --summary a "
        "file."
    )
