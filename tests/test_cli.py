"""The command line itself: help, errors, and what it must not import."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit import cli

HEAVY = ("torch", "transformers", "pandas", "numpy", "hydra", "omegaconf", "pyarrow", "datasets", "rich")


def test_help_names_every_command_and_imports_nothing_heavy():
    program = (
        "import sys; from evalkit.cli import main; code = main(['--help']); "
        f"print(code, sorted(name for name in {HEAVY!r} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert all(name in done.stdout for name in cli.COMMANDS)
    assert done.stdout.splitlines()[-1] == "0 []"


def test_measure_and_list_do_not_import_torch(tmp_path):
    (tmp_path / "q").write_text("q1 0 d1 1\n")
    (tmp_path / "r").write_text("q1 Q0 d1 1 1 x\n")
    program = (
        "import sys; from evalkit.cli import main; "
        f"main(['measure', {str(tmp_path / 'q')!r}, {str(tmp_path / 'r')!r}]); main(['list', 'datasets']); "
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_settings_of_every_stage_are_read_without_heavy_packages():
    """Hydra is given all of them before any verb runs, whichever of them it uses."""
    program = (
        "import sys; from evalkit.load import SCHEMAS; [dict(schemas) for schemas in SCHEMAS.values()]; "
        "print([name for name in ('torch', 'transformers', 'pandas', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_evalkit_imports_nothing_heavy():
    program = f"import sys, evalkit; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_all_is_sorted_and_everything_in_it_can_be_had():
    import evalkit

    assert evalkit.__all__ == sorted(evalkit.__all__)
    assert all(getattr(evalkit, name) is not None for name in evalkit.__all__)
    stub = ast.parse((Path(evalkit.__file__).parent / "__init__.pyi").read_text())
    imported = {alias.name for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert sorted(imported) == evalkit.__all__
    with pytest.raises(AttributeError):
        _ = evalkit.nothing


def test_the_example_of_the_package_runs_also_after_its_modules_were_imported(tmp_path):
    (tmp_path / "qrels.tsv").write_text("q1 0 d1 1\n")
    (tmp_path / "run.trec").write_text("q1 Q0 d1 1 1 x\n")
    program = (
        "import evalkit.pipeline; from evalkit import measure, read_qrels, read_run; "
        "print(measure(read_qrels('qrels.tsv'), read_run('run.trec'), ['nDCG@10']).means)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "{'nDCG@10': 1.0}\n"


def test_an_unknown_command_lists_the_legal_ones(capsys):
    assert cli.main(["evalute"]) == 2
    legal = ", ".join(cli.COMMANDS)
    assert f"unknown command 'evalute'. Did you mean evaluate? Legal are: {legal}." in capsys.readouterr().err
    results = {"compare", "gate", "analyse", "reproduce", "report", "table", "export"}
    assert {
        "evaluate",
        "score",
        "embed",
        "prompt",
        "doctor",
        "measure",
        "watch",
        "plan",
        "convert",
        "fetch",
        "list",
        "cache",
        *results,
    } == set(cli.COMMANDS)


def test_help_groups_commands_by_what_people_want_and_each_is_a_module(capsys):
    assert cli.main(["help"]) == 0
    printed = capsys.readouterr().out
    assert [line.rstrip(":") for line in printed.splitlines() if line in {f"{name}:" for name in cli.GROUPS}] == [
        "Evaluate",
        "Look at results",
        "Check",
        "Prepare",
    ]
    assert all(importlib.util.find_spec(f"evalkit.commands.{verb}") for verb in cli.COMMANDS)


@pytest.mark.parametrize("verb", ["gate", "analyze"])
def test_help_of_a_command_is_its_own(verb, capsys):
    found = []
    for arguments in (["help", verb], [verb, "--help"]):
        assert cli.main(arguments) == 0
        found.append(capsys.readouterr().out)
    assert found[0] == found[1] != ""
    assert cli.main(["help", "gat"]) == 2
    assert "Did you mean gate?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reranker=none"], "no command was given. Did you mean `evalkit evaluate reranker=none`?"),
        (
            ["--reranker", "none"],
            "--reranker is not an option. Did you mean reranker=none? Settings have no dashes. A c",
        ),
        (["--vresion"], "--vresion is not an option. Did you mean --version? Legal are: --help, --version. A command"),
    ],
)
def test_a_setting_or_option_in_place_of_a_command_says_where_it_goes(arguments, message, capsys):
    assert cli.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_version_is_printed(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("evalkit 0.")


def test_no_arguments_print_help(capsys):
    assert cli.main([]) == 0
    assert "Usage: evalkit COMMAND" in capsys.readouterr().out


def test_the_module_can_be_run():
    done = subprocess.run([sys.executable, "-m", "evalkit", "--help"], capture_output=True, text=True, check=True)
    assert "evaluate" in done.stdout


def test_no_two_modules_have_one_name():
    names = [path.name for path in Path(cli.__file__).parent.rglob("*.py") if path.name != "__init__.py"]
    assert len(names) == len(set(names))


def test_modules_and_functions_are_short_and_modules_have_docstrings():
    package = Path(cli.__file__).parent
    for path in package.rglob("*.py"):
        text = path.read_text()
        tree = ast.parse(text)
        assert ast.get_docstring(tree), path
        assert text.count("\n") <= 320, path
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno <= 45, f"{path}:{node.lineno} {node.name}"
