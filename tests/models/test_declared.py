"""What a checkpoint's own files say of how texts are read: obeyed, overridden by a setting, or refused by name."""

import json
import shutil
from types import SimpleNamespace

import pytest

from evalkit.errors import ModelError
from evalkit.models.checkpoint import Checkpoint, resolve
from evalkit.models.declared import Reading, asks_lower_case, declared, reading, unused_prompts
from evalkit.models.layout import usable_positions
from evalkit.models.requirements import require_no_code, require_text, require_whole

MODEL = "config_sentence_transformers.json"
TRANSFORMER = "sentence_bert_config.json"


@pytest.fixture
def checkpoint(encoder, tmp_path) -> Checkpoint:
    return resolve(str(shutil.copytree(encoder, tmp_path / "copy")))


def write(checkpoint: Checkpoint, name: str, **content) -> Checkpoint:
    (checkpoint.path / name).write_text(json.dumps(content), encoding="utf-8")
    return Checkpoint(checkpoint.path)


def settings(**own) -> SimpleNamespace:
    return SimpleNamespace(**({"query_instruction": None, "document_instruction": None, "max_length": None} | own))


def read(checkpoint: Checkpoint, **own) -> Reading:
    return reading(checkpoint, declared(checkpoint), settings(**own), group="retriever")


def test_a_checkpoint_that_says_nothing_leaves_texts_as_they_are_up_to_its_positions(checkpoint):
    said = declared(checkpoint)
    assert (said.prompts, said.default_prompt, said.truncate_dim, said.chat) == ({}, "", None, None)
    assert (said.similarity, said.lowercase, said.max_length) == ("cosine", False, 64)
    assert Reading("", "", 64) == read(checkpoint)


def test_stored_prompts_are_put_before_texts_unless_a_setting_says_otherwise(checkpoint):
    stored = write(checkpoint, MODEL, prompts={"query": "ask: ", "document": "say: ", "other": "x"})
    assert Reading("ask: ", "say: ", 64) == read(stored)
    assert Reading("", "my: ", 64) == read(stored, query_instruction="", document_instruction="my: ")


@pytest.mark.parametrize("name", ["passage", "corpus", "search_document"])
def test_a_document_prompt_by_another_name_is_not_used_and_is_named(checkpoint, name):
    stored = write(checkpoint, MODEL, prompts={"query": "query: ", name: "passage: "})
    assert Reading("query: ", "", 64) == read(stored)
    assert {"document": name} == unused_prompts(declared(stored), settings())
    assert unused_prompts(declared(stored), settings(document_instruction="")) == {}
    both = write(checkpoint, MODEL, prompts={"query": "", "document": "say: ", name: "passage: ", "search_query": "x"})
    assert {"query": "search_query"} == unused_prompts(declared(both), settings())


def test_a_cross_encoder_without_modules_reads_no_file_of_sentence_transformers_and_says_so(checkpoint, caplog):
    write(checkpoint, MODEL, prompts={"web": "query: "}, default_prompt_name="web")
    write(checkpoint, TRANSFORMER, max_seq_length=20)
    said = declared(checkpoint, pairs=True)
    assert ("", 64) == (said.default_prompt, said.max_length)
    assert "are not used, as in sentence-transformers" in caplog.text
    modules = [{"type": "sentence_transformers.models.Transformer", "path": ""}]
    (checkpoint.path / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    said = declared(checkpoint, pairs=True)
    assert ("query: ", 20) == (said.default_prompt, said.max_length)


@pytest.mark.parametrize(("stored", "before"), [({}, True), ({"transformer_task": "feature-extraction"}, False)])
def test_lower_case_comes_before_special_tokens_unless_version_6_wrote_the_file(checkpoint, stored, before):
    said = declared(write(checkpoint, TRANSFORMER, do_lower_case=True, **stored))
    assert (said.lowercase, asks_lower_case(checkpoint)) == (before, True)
    assert not asks_lower_case(write(checkpoint, TRANSFORMER, do_lower_case=False, **stored))


def test_the_default_prompt_is_the_one_that_is_named(checkpoint):
    prompts = {"web": "query: ", "long": "Given a query: "}
    assert declared(write(checkpoint, MODEL, prompts=prompts, default_prompt_name="web")).default_prompt == "query: "
    with pytest.raises(ModelError, match=rf"{MODEL}: default_prompt_name='other' is not among its prompts"):
        declared(write(checkpoint, MODEL, prompts=prompts, default_prompt_name="other"))


@pytest.mark.parametrize(
    ("stored", "of_tokenizer", "expected"),
    [(20, 40, 20), (None, 40, 40), (None, 1e30, 64), (500, 40, 64), (None, None, 64)],
)
def test_the_length_is_the_stored_one_else_the_tokenizer_s_and_never_beyond_the_positions(
    checkpoint, stored, of_tokenizer, expected
):
    write(checkpoint, TRANSFORMER, max_seq_length=stored)
    write(checkpoint, "tokenizer_config.json", model_max_length=of_tokenizer)
    assert expected == read(checkpoint).max_length
    assert read(checkpoint, max_length=8).max_length == 8


@pytest.mark.parametrize(("stored", "expected"), [(None, 64), (100, 100)])
def test_relative_positions_bound_only_a_length_that_nothing_else_says(checkpoint, stored, expected):
    config = json.loads((checkpoint.path / "config.json").read_text(encoding="utf-8"))
    relative = {"model_type": "deberta-v2", "position_biased_input": False}
    write(checkpoint, "config.json", **(config | relative))
    write(checkpoint, "tokenizer_config.json", model_max_length=80)
    write(checkpoint, TRANSFORMER, max_seq_length=stored)
    assert expected == read(Checkpoint(checkpoint.path)).max_length
    assert read(Checkpoint(checkpoint.path), max_length=500).max_length == 500


@pytest.mark.parametrize("name", ["sentence_roberta_config.json", "sentence_distilbert_config.json"])
def test_older_names_of_the_transformer_s_settings_are_read(checkpoint, name):
    said = declared(write(checkpoint, name, max_seq_length=12, do_lower_case=True))
    assert (said.max_length, said.lowercase) == (12, True)


@pytest.mark.parametrize("name", ["tokenizer_args", "processor_kwargs"])
def test_a_length_among_the_arguments_of_loading_comes_before_the_stored_one(checkpoint, name):
    arguments = {name: {"model_max_length": 12, "use_fast": True}, "model_args": {"torch_dtype": "float16"}}
    stored = write(checkpoint, TRANSFORMER, max_seq_length=20, **arguments)
    assert declared(stored).max_length == 12


@pytest.mark.parametrize(
    ("name", "arguments", "odd"),
    [
        ("model_args", {"torch_dtype": "float16", "num_hidden_layers": 1}, "num_hidden_layers"),
        ("config_kwargs", {"is_causal": False}, "is_causal"),
        ("tokenizer_args", {"truncation_side": "left"}, "truncation_side"),
        ("model_kwargs", "float16", "its value"),
    ],
)
def test_other_arguments_of_loading_are_refused_by_name(checkpoint, name, arguments, odd):
    with pytest.raises(ModelError, match=rf"{TRANSFORMER}: {name} has {odd}, which evalkit does not obey\. Write it"):
        declared(write(checkpoint, TRANSFORMER, **{name: arguments}))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_arguments_of_loading_give_the_length_of_sentence_transformers(checkpoint):
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    library.SentenceTransformer(str(checkpoint.path), device="cpu").save(str(checkpoint.path))
    arguments = {"tokenizer_args": {"model_max_length": 12}, "model_args": {"attn_implementation": "eager"}}
    stored = write(checkpoint, TRANSFORMER, max_seq_length=20, **arguments)
    theirs = library.SentenceTransformer(str(checkpoint.path), device="cpu")
    assert theirs.max_seq_length == declared(stored).max_length == 12


def test_a_text_without_any_limit_needs_a_setting(checkpoint):
    config = json.loads((checkpoint.path / "config.json").read_text(encoding="utf-8"))
    write(checkpoint, "config.json", **(config | {"max_position_embeddings": None}))
    with pytest.raises(ModelError, match=r"how long a text may be\. Set retriever\.max_length"):
        read(Checkpoint(checkpoint.path))
    assert read(Checkpoint(checkpoint.path), max_length=9).max_length == 9


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (MODEL, {"unheard_of": 3}, "evalkit does not know unheard_of=3"),
        (TRANSFORMER, {"tokenizer_name_or_path": "x"}, "evalkit does not know tokenizer_name_or_path="),
        (TRANSFORMER, {"processing_kwargs": {"text": {"max_length": 9}}}, "processing_kwargs of text has max_length"),
        (TRANSFORMER, {"processing_kwargs": {"chat_template": {"truncation": 0}}}, "of chat_template has truncation"),
        (TRANSFORMER, {"modality_config": {"message": {"format": "odd"}}}, "Legal are flat and structured"),
        (TRANSFORMER, {"module_output_name": "scores"}, "expected 'token_embeddings'"),
        (
            MODEL,
            {"query_prefix": "[Q] "},
            "query_prefix say that this is a late-interaction model (ColBERT). Use it as",
        ),
        (TRANSFORMER, {"query_expansion": {"length": 32}}, "query_expansion say that this is a late-interaction model"),
        (MODEL, {"truncate_dim": 0}, "truncate_dim=0, expected a whole number from 1"),
        (MODEL, {"truncate_dim": "8"}, "truncate_dim='8', expected a whole number from 1"),
        (MODEL, {"prompts": ["x"]}, "expected names with texts"),
        (MODEL, {"prompts": {"query": 3}}, "expected names with texts"),
        (TRANSFORMER, {"modality_config": {"text": {"method": "get_text_features"}}}, "through forward alone"),
    ],
    ids=str,
)
def test_unknown_keys_are_refused_by_file_and_key(checkpoint, name, content, message):
    with pytest.raises(ModelError, match=f"{name}: .*") as error:
        declared(write(checkpoint, name, **content))
    assert message in str(error.value)


@pytest.mark.parametrize(
    "content", [{"truncate_dim": None}, {"unheard_of": None}, {"prompts": {}}, {"skiplist_words": []}]
)
def test_what_is_left_open_says_nothing(checkpoint, content):
    assert declared(write(checkpoint, MODEL, **content)) == declared(checkpoint)


def test_texts_for_a_chat_template_are_refused_for_an_encoder(checkpoint):
    plain = {"method": "forward", "method_output_name": "last_hidden_state"}
    require_text(checkpoint, declared(write(checkpoint, TRANSFORMER, modality_config={"text": plain})))
    chat = declared(write(checkpoint, TRANSFORMER, modality_config={"text": plain, "message": plain}))
    with pytest.raises(ModelError, match="messages for a chat template"):
        require_text(checkpoint, chat)
    with pytest.raises(ModelError, match="transformer_task is fill-mask"):
        require_text(checkpoint, declared(write(checkpoint, TRANSFORMER, transformer_task="fill-mask")))


# Weights that are not the whole model, and code


def test_an_adapter_next_to_the_weights_is_refused(checkpoint):
    require_whole(checkpoint)
    write(checkpoint, "adapter_config.json", peft_type="LORA", base_model_name_or_path="x/y")
    with pytest.raises(
        ModelError, match=r"adapter_config\.json: an adapter \(LORA over x/y\).*from a folder of its own"
    ):
        require_whole(checkpoint)


@pytest.mark.parametrize("stored", [{"quant_method": "gptq", "bits": 4}, {"quant_method": "bitsandbytes"}], ids=str)
def test_quantised_weights_are_refused_by_their_method(checkpoint, stored):
    config = json.loads((checkpoint.path / "config.json").read_text(encoding="utf-8"))
    changed = write(checkpoint, "config.json", **config, quantization_config=stored)
    with pytest.raises(ModelError, match=rf"quantization_config.*\({stored['quant_method']}\)"):
        require_whole(changed)


def test_a_tokenizer_with_code_of_its_own_is_refused(checkpoint):
    require_no_code(checkpoint)
    write(checkpoint, "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.Tokenizer", None]})
    with pytest.raises(ModelError, match=r"tokenizer_config\.json: auto_map names the tokenizer's own code"):
        require_no_code(checkpoint)


@pytest.mark.parametrize(("model_type", "usable"), [("roberta", 62), ("xlm-roberta", 62), ("bert", 64), ("t5", None)])
def test_positions_are_those_that_a_text_can_use_also_where_the_padding_token_is_not_named(
    checkpoint, model_type, usable
):
    config = json.loads((checkpoint.path / "config.json").read_text(encoding="utf-8"))
    config.pop("pad_token_id")
    assert usable == usable_positions(write(checkpoint, "config.json", **(config | {"model_type": model_type})))


def test_positions_behind_a_padding_token_that_is_null_are_refused(checkpoint):
    config = json.loads((checkpoint.path / "config.json").read_text(encoding="utf-8"))
    changed = write(checkpoint, "config.json", **(config | {"model_type": "roberta", "pad_token_id": None}))
    with pytest.raises(ModelError, match="pad_token_id is null"):
        usable_positions(changed)
