"""Completion by the Tab key: what is proposed, and that bash, zsh and fish really put it in."""

import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evalkit.cli import COMMANDS, main
from evalkit.commands.completion import choices
from evalkit.config.resources import config_names

PACKAGE = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("evalkit ", sorted(COMMANDS)),
        ("evalkit eva", ["evaluate"]),
        ("evalkit list da", ["datasets"]),
        ("evalkit cache ", ["list", "prune", "verify"]),
        ("evalkit reproduce bge-rerankers-", ["bge-rerankers-e5-mistral"]),
        ("evalkit reproduce first-stages comp", ["compute.", "compute="]),
        ("evalkit evaluate reranker=late_", ["reranker=late_interaction"]),
        ("evalkit evaluate -m reranker=none,late_", ["reranker=none,late_interaction"]),
        ("evalkit evaluate dataset=cqadupstack/a", ["dataset=cqadupstack/android"]),
        ("evalkit evaluate suite=", [f"suite={name}" for name in config_names("suite")]),
        ("evalkit plan rer", ["reranker.", "reranker="]),
        (
            "evalkit evaluate reranker=cross_encoder reranker.l",
            ["reranker.label=", "reranker.languages=", "reranker.layout="],
        ),
        ("evalkit evaluate compute.dtype=", ["compute.dtype=float32"]),
        ("evalkit evaluate hydra/launcher=jo", ["hydra/launcher=joblib"]),
        ("evalkit fetch su", ["suite="]),
        ("evalkit fetch dataset=scif", ["dataset=scifact"]),
        ("evalkit score suite=b", []),
        ("evalkit doctor reranker=none comp", ["compute.", "compute="]),
        ("evalkit doctor re", ["reranker.", "reranker=", "retriever.", "retriever="]),
        ("evalkit doctor retriever=bge_m3_", ["retriever=bge_m3_dense", "retriever=bge_m3_sparse"]),
        ("evalkit doctor retriever=dense retriever.pool", ["retriever.pooling="]),
        ("evalkit prompt retriever=splade retriever.max", ["retriever.max_length="]),
        ("evalkit evaluate reranker=nothing reranker.l", []),
        ("evalkit evaluate 'dataset.path=a b' ''rerank", []),
        ("evalkit measure ", []),
        ("evalkit help gat", ["gate"]),
        ("evalkit compare --no", ["--no-first-stage"]),
        ("evalkit analyze x --for", ["--format"]),
        ("evalkit evaluate reranker=none --", ["--config-dir", "--format", "--multirun", "--summary"]),
        ("evalkit nothing --", []),
        ("evalkit evaluate dataset.path=/", []),
    ],
)
def test_a_word_is_completed_to_legal_words(line, expected):
    assert expected == choices(line, COMMANDS)


def test_completion_proposes_every_setting_of_evaluate_and_nothing_else():
    found = choices("evalkit evaluate ", COMMANDS)
    assert {"dataset=", "retriever.", "compute.", "depth=", "measures=", "suite=", "ablation="} <= set(found)
    assert not [choice for choice in found if choice.startswith(("schema", "published", "hydra"))]


def test_files_are_named_where_the_shell_does_not(tmp_path, monkeypatch):
    (tmp_path / "some").mkdir()
    (tmp_path / "so.jsonl").touch()
    monkeypatch.chdir(tmp_path)
    paths = choices("evalkit evaluate dataset.path=so", COMMANDS, files=True)
    assert ["dataset.path=so.jsonl", "dataset.path=some/"] == paths
    whole = choices(f"evalkit evaluate dataset.path={tmp_path}/som", COMMANDS, files=True)
    assert [f"dataset.path={tmp_path}/some/"] == whole


@pytest.mark.parametrize("before", [[], ["evaluate"]])
@pytest.mark.parametrize("flag", ["-sc", "--shell-completion"])
def test_the_script_is_printed_with_and_without_a_command(before, flag, capsys):
    assert main([*before, flag, "install=bash"]) == 0
    assert "complete -o nospace -o default -F _evalkit evalkit\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["install=bsh"], "-sc install=bsh is not a choice. Did you mean bash? Legal are: bash, zsh, fish."),
        (["instal=bash"], "-sc instal is not a choice. Did you mean install=SHELL? Legal are: install=SHELL, "),
        ([], "Legal are: install=SHELL, query=SHELL."),
    ],
)
def test_another_shell_or_action_is_refused(asked, message, capsys):
    assert main(["-sc", *asked]) == 2
    assert message in capsys.readouterr().err


# In the shells themselves


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder with the program on the path."""
    program = tmp_path / "bin" / "evalkit"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m evalkit "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(PACKAGE))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TERM", "dumb")
    (tmp_path / "collection").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def require(shell):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")


@pytest.mark.usefixtures("home")
def test_bash_puts_in_only_what_is_missing_behind_its_own_breaks():
    require("bash")
    # Readline's part: at a break, which = is, the word begins anew.
    script = """
    eval "$(evalkit -sc install=bash)"
    complete -p evalkit
    ask() { COMP_LINE=$1 COMP_POINT=${#1}; _evalkit evalkit "$2" x; echo "[${COMPREPLY[*]}]"; }
    ask 'evalkit eva' eva
    ask 'evalkit evaluate reranker=late_' late_
    ask 'evalkit evaluate reranker=none,late_' none,late_
    ask 'evalkit evaluate depth=5 reranker.max' reranker.max
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, timeout=99)
    expected = ["[evaluate]", "[late_interaction]", "[none,late_interaction]", "[reranker.max_length=]"]
    assert expected == done.stdout.splitlines()[1:]


TYPED = {
    "evalkit evaluate reranker=late_\t": "evalkit evaluate reranker=late_interaction",
    "evalkit evaluate dataset.path=coll\t": "evalkit evaluate dataset.path=collection/",
    "evalkit measure coll\t": "evalkit measure collection/",
}


@pytest.mark.parametrize(
    ("shell", "setup"),
    [
        (["bash", "--norc", "--noprofile", "-i"], 'eval "$(evalkit -sc install=bash)"'),
        (["zsh", "-f", "-i"], 'eval "$(evalkit -sc install=zsh)"'),
        # As Hydra documents it.
        (
            ["zsh", "-f", "-i"],
            'autoload -Uz compinit bashcompinit; compinit -i; bashcompinit; eval "$(evalkit -sc install=bash)"',
        ),
    ],
    ids=["bash", "zsh", "zsh by bashcompinit"],
)
@pytest.mark.usefixtures("home")
def test_the_tab_key_completes_in_a_shell_at_a_terminal(shell, setup):
    require(shell[0])
    spawn = [sys.executable, "-c", "import pty, sys; pty.spawn(sys.argv[1:])", *shell]
    with subprocess.Popen(spawn, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as terminal:
        try:
            shown_when_typed(terminal, f"{setup}; echo rea''dy\n", "ready")
            for typed, completed in TYPED.items():
                # zsh puts in the slash behind a folder when another word is typed.
                wanted = completed.rstrip("/")
                assert wanted in shown_when_typed(terminal, typed, wanted)
                shown_when_typed(terminal, "\x15echo cl''ear\n", "clear")
        finally:
            terminal.kill()  # which hangs up on the shell


def shown_when_typed(terminal: subprocess.Popen, text: str, awaited: str) -> str:
    """What the terminal shows from then on, until it shows what is awaited, or for long enough."""
    terminal.stdin.write(text.encode())
    terminal.stdin.flush()
    shown, end = b"", time.monotonic() + 60
    while awaited.encode() not in shown and time.monotonic() < end:
        if select.select([terminal.stdout], [], [], 0.1)[0]:
            shown += os.read(terminal.stdout.fileno(), 4096)
    return shown.decode(errors="replace")


@pytest.mark.usefixtures("home")
def test_fish_offers_choices_and_files():
    require("fish")
    script = "evalkit -sc install=fish | source; " + "; ".join(
        f"complete -C '{typed.rstrip(chr(9))}'; echo -" for typed in TYPED
    )
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], capture_output=True, text=True, check=False, timeout=100
    )
    offered = [part.split() for part in done.stdout.split("-\n")[:-1]]
    words = [completed.rpartition(" ")[2] for completed in TYPED.values()]
    assert all(word in found for word, found in zip(words, offered, strict=True)), done
    assert ["reranker=late_interaction"] == offered[0]
