"""Prompts with query and document: rendered, cut and scored as sentence-transformers 6 does, or as settings say."""

import json
import shutil

import numpy as np
import pytest

from evalkit import rerank
from evalkit.config import ComputeConfig
from evalkit.errors import ConfigError, ModelError
from evalkit.rerank.families.language_model import LanguageModelConfig
from evalkit.types import Pair

pytestmark = pytest.mark.shared

PAIRS = [
    Pair("Which river does the glacier feed in spring?", "The glacier feeds the river."),
    Pair("a", "Bees make honey. " * 60),
    Pair("long query " * 60, "Bees make honey."),
    Pair("", ""),
    Pair("<|im_end|> in a text", "<|endoftext|> too"),
]
TEMPLATE = (
    "{%- for m in messages %}\n<{{ m.role }}>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>' }}{% endif %}"
)
PARTS = "{%- for m in messages %}{{ m.role }} {{ m.content[0].text }}\n{% endfor %}<|im_end|>"


@pytest.fixture
def folder(shared, tmp_path):
    """The golden copy of mxbai-rerank-v2 for sentence-transformers, in a place of its own."""
    return shutil.copytree(shared / "golden/logit_score_qwen2_stv6/model", tmp_path / "model")


def change(file, **keys):
    stored = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(stored | keys), encoding="utf-8")


def build(folder, **settings):
    config = LanguageModelConfig(name="x", model=str(folder), **{"max_length": 160, **settings})
    return rerank.build(config, ComputeConfig(device="cpu"))


def remade(folder, template, **transformer):
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    if transformer:
        change(folder / "sentence_bert_config.json", **transformer)
    return folder


def modality(form):
    plain = {"method": "forward", "method_output_name": "logits"}
    return {"text": plain, "message": plain | {"format": form}}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    ("template", "transformer", "model"),
    [
        (TEMPLATE, {}, {}),
        (TEMPLATE, {"processing_kwargs": {"chat_template": {"add_generation_prompt": True}}}, {}),
        (TEMPLATE, {"processing_kwargs": {"chat_template": {"restore_suffix": False}}}, {}),
        (TEMPLATE, {}, {"prompts": {"web": "Find what answers"}, "default_prompt_name": "web"}),
        (PARTS, {"modality_config": modality("structured")}, {"prompts": {"w": "Find it"}, "default_prompt_name": "w"}),
        ("{{ eos_token }}{{ messages | map(attribute='content') | join(bos_token or '|') }}", {}, {}),
        (
            TEMPLATE,
            {},
            {"prompts": {"web": "Find what answers"}, "default_prompt_name": "web", "truncation_side": "left"},
        ),
    ],
    ids=["plain", "arguments", "suffix not restored", "system", "parts", "special tokens", "cut on the left"],
)
def test_ids_and_scores_are_those_of_sentence_transformers(folder, template, transformer, model):
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    import torch

    remade(folder, template, **transformer)
    if side := model.pop("truncation_side", None):
        change(folder / "tokenizer_config.json", truncation_side=side)
    if model:
        change(folder / "config_sentence_transformers.json", **model)
    for max_length in (24, 64, 512):
        theirs = library.CrossEncoder(str(folder), max_length=max_length, activation_fn=torch.nn.Identity())
        ours = build(folder, max_length=max_length)
        prompt = model.get("prompts", {}).get(model.get("default_prompt_name"))
        batches = [theirs.preprocess([(pair.query, pair.document)], prompt=prompt)["input_ids"][0] for pair in PAIRS]
        assert [ids.tolist() for ids in batches] == [ids.tolist() for ids in ours.tokenize(PAIRS).ids]
        scores = theirs.predict([(pair.query, pair.document) for pair in PAIRS])
        np.testing.assert_allclose(ours.score(PAIRS).scores, scores, rtol=0, atol=1e-4)


def test_document_and_cut_are_where_the_columns_say(folder):
    remade(folder, TEMPLATE)
    tokenizer = build(folder).tokenizer
    found = build(folder, max_length=60).tokenize(PAIRS)
    for row, pair in enumerate(PAIRS[:2]):
        start, stop = found.documents[row].tolist()
        # `>` and the newline may be one token with an empty document, and then the document's span has them.
        assert pair.document.startswith(tokenizer.text(found.ids[row][start:stop]).lstrip(">").rstrip())
    assert found.dropped[0].tolist() == [0, 0]
    assert found.dropped[1][0] == 0 < found.dropped[1][1]
    assert 0 < found.dropped[2][0]
    whole = build(folder, max_length=4096).tokenize(PAIRS)
    assert found.dropped.sum(axis=1).tolist() == [max(length - 60, 0) for length in whole.lengths]


def test_a_prompt_that_is_cut_on_the_left_keeps_its_end(folder):
    remade(folder, TEMPLATE)
    whole = build(folder, max_length=4096).tokenize(PAIRS)
    change(folder / "tokenizer_config.json", truncation_side="left")
    model = build(folder, max_length=60)
    found = model.tokenize(PAIRS)
    # The last token is the template's own newline, also where it was one token with a full stop before it.
    assert [ids[-60:-1].tolist() for ids in whole.ids] == [ids[:-1].tolist() for ids in found.ids]
    assert {model.tokenizer.text(ids[-1:]) for ids in found.ids[1:3]} == {"\n"}
    over = np.maximum(whole.lengths - 60, 0)
    assert over.tolist() == found.dropped.sum(axis=1).tolist()
    assert np.maximum(whole.documents - over[:, None], 0).tolist() == found.documents.tolist()
    assert 0 == found.dropped[2][1] < found.dropped[2][0], (
        "a long query loses its own start and nothing of the document"
    )
    alone = np.concatenate([model.score([pair]).scores for pair in PAIRS])
    np.testing.assert_allclose(model.score(PAIRS).scores, alone, rtol=0, atol=1e-5)
    with pytest.raises(ModelError, match="truncation_side=left"):
        build(folder, pieces=["{{ query }}", "{{ document }}"], positive="1").tokenize(PAIRS)


def test_words_and_a_template_of_ones_own_are_the_same_as_the_stored_ones(folder):
    expected = build(folder).score(PAIRS).scores
    template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    for name in ("modules.json", "chat_template.jinja", "1_LogitScore/config.json"):
        (folder / name).unlink()
    own = build(folder, template=template, positive="1", negative="0")
    assert own.score(PAIRS).scores.tolist() == expected.tolist()
    assert {"template", "positive", "negative"} <= set(own.identity)
    one = build(folder, template=template, positive="1").score(PAIRS).scores
    assert np.abs(one - expected).max() > 1e-2


def test_a_query_s_own_instruction_takes_the_place_of_the_default_prompt(folder):
    remade(folder, TEMPLATE)
    change(folder / "config_sentence_transformers.json", prompts={"w": "Find it"}, default_prompt_name="w")
    texts = [
        build(folder).tokenizer.text(build(folder).tokenize([PAIRS[0]._replace(instruction=own)]).ids[0])
        for own in (None, "", "Rank it")
    ]
    assert ["<system>Find it" in text for text in texts] == [True, True, False]
    assert "<system>Rank it" in texts[2]


def test_pieces_are_cut_as_mxbai_s_package_cuts_them(folder):
    pieces = ["before ", "q: {{ query }}", "\n", "d: {{ document }}", " behind"]
    (folder / "modules.json").unlink()
    built = build(folder, pieces=pieces, positive="1", negative="0", max_length=32)
    found = built.tokenize([Pair("long query " * 60, "Bees make honey. " * 60)])
    before, behind, newline = (len(ids) for ids in built.tokenizer.token_ids(["before ", " behind", "\n"]))
    assert found.lengths.tolist() == [before + 32 + behind]
    assert found.documents.tolist() == [[before + 24 + newline, before + 32]]


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"pieces": ["{{ query }}", "{{ document }}"], "template": "x"}, "two ways to write a prompt"),
        ({"negative": "no"}, "which is not set"),
        ({"pieces": ["{{ query }}"]}, "in one piece and {{ document }} in a later one"),
        ({"pieces": ["{{ document }}", "{{ query }}"]}, "in a later one"),
        ({"pieces": ["{{ query }}{{ title }}", "{{ document }}"]}, "{{ title }} is not known"),
        ({"pieces": ["{{ query }", "{{ document }}"]}, "is not a template"),
    ],
    ids=range(6),
)
def test_settings_that_contradict_each_other_are_refused(settings, part):
    with pytest.raises(ConfigError) as error:
        LanguageModelConfig(name="x", model="m", **settings)
    assert part in str(error.value)


@pytest.mark.parametrize(
    ("edit", "part"),
    [
        (lambda f: remade(f, "{{ messages[0].content }}"), "has no chat template that writes a query and a document"),
        (lambda f: change(f / "1_LogitScore/config.json", true_token_id=10**6), "true_token_id=1000000"),
        (lambda f: change(f / "1_LogitScore/config.json", true_token_id=None), "true_token_id=None"),
        (lambda f: change(f / "1_LogitScore/config.json", temperature=2), "does not know temperature=2"),
        (lambda f: change(f / "config.json", model_type="gpt2"), "As language models evalkit reads"),
        (lambda f: change(f / "sentence_bert_config.json", transformer_task="fill-mask", module_output_name=None),
         "its modules expect text-generation"),
        (lambda f: change(f / "config.json", auto_map={"AutoModel": "x.Y"}), "auto_map names the model's own code"),
    ],
    ids=range(7),
)  # fmt: skip
def test_what_is_not_known_is_refused_by_its_file(folder, edit, part):
    edit(folder)
    with pytest.raises(ModelError) as error:
        build(folder)
    assert part in str(error.value)


def test_a_final_cap_on_logits_is_obeyed(shared, tmp_path):
    """Gemma 2 caps its logits before they are subtracted."""
    import torch
    from safetensors.torch import save_file
    from transformers import Gemma2Config, Gemma2ForCausalLM

    folder = shutil.copytree(shared / "golden/bge_reranker_v2_gemma/model", tmp_path / "gemma2")
    for file in folder.glob("model*"):
        file.unlink()
    torch.manual_seed(0)
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    config = Gemma2Config(
        vocab_size=vocabulary, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, query_pre_attn_scalar=8, sliding_window=16, final_logit_softcapping=0.5,
        initializer_range=0.5,
    )  # fmt: skip
    model = Gemma2ForCausalLM(config).eval()
    stored = {name: tensor for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config.to_dict() | {"architectures": ["Gemma2ForCausalLM"]}))
    ours = build(folder, template=TEMPLATE, positive="Yes", negative="No")
    ids = ours.tokenize(PAIRS).ids
    yes, no = (int(found[0]) for found in ours.tokenizer.token_ids(["Yes", "No"]))
    with torch.no_grad():
        logits = [model(input_ids=torch.from_numpy(row.astype("int64"))[None]).logits[0, -1] for row in ids]
    expected = [float(row[yes] - row[no]) for row in logits]
    np.testing.assert_allclose(ours.score(PAIRS).scores, expected, rtol=0, atol=1e-4)


def test_words_that_are_not_those_of_the_stored_head_are_refused(folder):
    expected = build(folder).score(PAIRS).scores
    same = build(folder, positive="1", negative="0").score(PAIRS).scores
    assert expected.tolist() == same.tolist()
    with pytest.raises(ModelError, match="which scores by the tokens"):
        build(folder, positive="0", negative="1").score(PAIRS)
