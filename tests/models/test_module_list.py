"""A `modules.json` that is cut, or names folders that did not come with it, is refused; never taken for no modules."""

import shutil

import pytest

from evalkit.errors import ModelError
from evalkit.models.checkpoint import resolve


def refusal(folder) -> str:
    with pytest.raises(ModelError) as caught:
        resolve(str(folder)).modules()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    ["{}", "[]", "null", "3", '["x"]', '[{"path": ""}]', '[{"type": "x", "path": null}]', '{"0": {}}', "[", ""],
)
def test_whatever_is_not_a_list_of_modules_is_refused(shared, tmp_path, content):
    folder = shutil.copytree(shared / "golden" / "dense_embeddinggemma" / "model", tmp_path / "m")
    (folder / "modules.json").write_text(content, encoding="utf-8")
    found = refusal(folder)
    assert "modules.json: " in found
    assert "Download it again" in found
    assert "Error" not in found


@pytest.mark.parametrize(
    ("golden", "module"),
    [
        ("dense_embeddinggemma", "1_Pooling"),
        ("dense_embeddinggemma", "3_Dense"),
        ("ettin_modular", "3_LayerNorm"),
        ("ettin_modular", "4_Dense"),
        ("late_colbert_pylate", "1_Dense"),
        ("logit_score_zerank", "1_LogitScore"),
        ("splade", "1_SpladePooling"),
        ("st6_multivector", "2_MultiVectorMask"),
    ],
)
@pytest.mark.parametrize("lost", ["", "config.json"])
def test_a_module_that_did_not_come_with_the_checkpoint_is_named(shared, tmp_path, golden, module, lost):
    folder = shutil.copytree(shared / "golden" / golden / "model", tmp_path / "m")
    if lost:
        (folder / module / lost).unlink()
    else:
        shutil.rmtree(folder / module)
    fault = f"which has no {lost}" if lost else "which is not there"
    assert refusal(folder).endswith(f"modules.json names {module}, {fault}. Download the checkpoint again.")


@pytest.mark.parametrize("golden", ["dense_embeddinggemma", "dense_e5", "st6_multivector"])
def test_a_normalize_needs_no_folder(shared, tmp_path, golden):
    folder = shutil.copytree(shared / "golden" / golden / "model", tmp_path / "m")
    for own in folder.glob("*_Normalize"):
        shutil.rmtree(own)
    assert resolve(str(folder)).kinds[-1] == "Normalize"
