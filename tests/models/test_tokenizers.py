"""The tokenizer of a checkpoint is read from its own files, whichever there are."""

import json
import shutil

import pytest
import tiny_tokenizers
from tiny_checkpoints import write_gemma_reranker, write_minicpm_embedding, write_minicpm_layerwise

from evalkit.errors import ModelError
from evalkit.inference.sentencepiece import SentencePieceTokenizer
from evalkit.inference.tokens import FastTokenizer
from evalkit.models.checkpoint import resolve
from evalkit.models.tokenizers import load_tokenizer

TEXTS = ["The moon pulls the sea.", "Bees make honey", "", "unheard of"]


def listed(tokenizer) -> list:
    """Ids of texts, and what is put around one and two."""
    frames = [[part.tolist() for part in tokenizer.frame(count)[:3]] for count in (1, 2)]
    return [[ids.tolist() for ids in tokenizer.token_ids(TEXTS)], frames]


def vocabulary(folder) -> dict[str, int]:
    return json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]


def test_tokenizer_json_is_read_as_it_is(encoder):
    code = vocabulary(encoder)
    (first, *_), frames = listed(load_tokenizer(resolve(str(encoder))))
    assert [code[word] for word in ("the", "moon", "pulls", "the", "sea", ".")] == first
    begin, end = code["[CLS]"], code["[SEP]"]
    assert [[[begin], [], [end]], [[begin], [end], [end]]] == frames


def test_word_list_is_enough_of_a_tokenizer_for_a_bert(encoder, tmp_path):
    folder = shutil.copytree(encoder, tmp_path / "c")
    code = vocabulary(folder)
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in sorted(code, key=code.get)), encoding="utf-8")
    assert listed(load_tokenizer(resolve(str(encoder)))) == listed(load_tokenizer(resolve(str(folder))))


@pytest.mark.parametrize("content", ["", "{", "{}", '{"model": 1}'])
def test_malformed_tokenizer_is_refused(encoder, tmp_path, content):
    folder = shutil.copytree(encoder, tmp_path / "c")
    (folder / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=r"tokenizer\.json: no usable tokenizer \(.*\)\. Download it again\."):
        load_tokenizer(resolve(str(folder)))


def test_checkpoint_without_tokenizer_is_refused(encoder, tmp_path):
    """Not read with an empty vocabulary, which makes every word unknown and every score a matter of length."""
    folder = shutil.copytree(encoder, tmp_path / "c")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer \(.*\)\. Download it again\."):
        load_tokenizer(resolve(str(folder)))


def test_minicpm_with_sentencepiece_alone_is_read_with_sentencepiece(tmp_path):
    folder = write_minicpm_embedding(tmp_path / "model")
    assert not (folder / "tokenizer.json").exists()
    tokenizer = load_tokenizer(resolve(str(folder)))
    assert isinstance(tokenizer, SentencePieceTokenizer)
    assert listed(SentencePieceTokenizer(folder / "tokenizer.model")) == listed(tokenizer)


@pytest.mark.parametrize("write", [write_minicpm_layerwise, write_gemma_reranker])
def test_tokenizer_json_is_preferred_to_the_sentencepiece_model(tmp_path, write):
    folder = write(tmp_path / "model")
    assert (folder / "tokenizer.model").exists()
    before = listed(load_tokenizer(resolve(str(folder))))
    (folder / "tokenizer.model").write_text("damaged", encoding="utf-8")
    tokenizer = load_tokenizer(resolve(str(folder)))
    assert isinstance(tokenizer, FastTokenizer)
    assert before == listed(tokenizer)


def test_damaged_sentencepiece_model_is_refused_by_name(tmp_path):
    folder = write_minicpm_embedding(tmp_path / "model")
    (folder / "tokenizer.model").write_bytes(tiny_tokenizers.minicpm().files["tokenizer.model"][:100])
    with pytest.raises(ModelError, match=r"tokenizer\.model: not a sentencepiece model"):
        load_tokenizer(resolve(str(folder)))
