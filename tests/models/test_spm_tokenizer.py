"""`spm.model` of DeBERTa-v2 and -v3 as transformers 4 converts it."""

import json
import shutil

import pytest

from evalkit.errors import ModelError
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.spm_tokenizer import spm_tokenizer

pytestmark = pytest.mark.shared


@pytest.fixture
def folder(shared, tmp_path):
    """The golden checkpoint without weights."""
    for name in ("config.json", "spm.model", "added_tokens.json", "tokenizer_config.json"):
        shutil.copy(shared / "golden/spm_only/model" / name, tmp_path / name)
    return tmp_path


def settings(folder, **changed):
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed), encoding="utf-8")


def test_the_tokenizer_is_the_one_that_transformers_4_writes_of_the_same_file(shared, folder):
    written = json.loads((shared / "golden/deberta_v2_seq_cls/model/tokenizer.json").read_text(encoding="utf-8"))
    assert written == json.loads(spm_tokenizer(Checkpoint(folder)).to_str())


def test_the_mask_has_its_place_behind_the_vocabulary_without_a_file_that_says_so(folder):
    (folder / "added_tokens.json").unlink()
    assert spm_tokenizer(Checkpoint(folder)).token_to_id("[MASK]") == 386


def test_lower_case_and_split_punctuation_are_obeyed(folder):
    before = spm_tokenizer(Checkpoint(folder))
    settings(folder, do_lower_case=True, split_by_punct=True)
    after = spm_tokenizer(Checkpoint(folder))
    assert after.encode("The River.").ids == after.encode("the river.").ids
    assert before.encode("The River.").ids != before.encode("the river.").ids
    assert len(after.encode("a.b.c").ids) > len(before.encode("a.b.c").ids) - 1
    assert [word for word, _ in after.pre_tokenizer.pre_tokenize_str("a.b")] == ["▁a", "▁.", "▁b"]


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"tokenizer_class": "AlbertTokenizer"}, "its tokenizer is a AlbertTokenizer"),
        ({"vocab_type": "gpt2"}, "evalkit reads this file for DebertaV2Tokenizer"),
        ({"sp_model_kwargs": {"enable_sampling": True}}, "sp_model_kwargs="),
        ({"unk_token": "<odd>"}, "has no token <odd>"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_another_tokenizer_is_refused_by_its_file(folder, changed, part):
    settings(folder, **changed)
    with pytest.raises(ModelError, match=part):
        spm_tokenizer(Checkpoint(folder))


def test_a_damaged_file_and_tokens_of_another_model_are_refused(folder):
    (folder / "added_tokens.json").write_text('{"[MASK]": 9999}', encoding="utf-8")
    with pytest.raises(ModelError, match="They are of two models"):
        spm_tokenizer(Checkpoint(folder))
    (folder / "spm.model").write_bytes(b"not a protocol buffer")
    with pytest.raises(ModelError, match="not a sentencepiece model"):
        spm_tokenizer(Checkpoint(folder))
