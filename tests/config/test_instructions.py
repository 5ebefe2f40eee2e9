"""instructions.json: reading it, refusing what is not it, and which instruction a setting means for a dataset."""

import json

import pytest

from evalkit.config.instructions import GENERIC, Instruction, choose_instruction, load_instructions
from evalkit.errors import ConfigError, DataError

SCIFACT = "Given a scientific claim, retrieve documents that support or refute the claim."
# Evaluated without an instruction: the bundled ones, those that the model card lists outside BEIR and C-MTEB, and those
# that mteb has no prompt for.
WITHOUT = {"mini", "mini_zh", "mini_en_zh", "mkqa_en_zh_cn", "neuclir22_zh", "neuclir23_zh"}
WITHOUT |= {"mldr", "lotte", "r2med", "litsearch", "followir", "ifir"}


@pytest.fixture
def file(tmp_path):
    """A file of instructions with this content."""

    def made(content) -> str:
        path = tmp_path / "instructions.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return made


# Reading


def test_the_shipped_file_has_the_twenty_two_published_entries_and_marks_the_assumed_one():
    entries = load_instructions()
    published = {name for name, entry in entries.items() if "first published version" in entry.source}
    assert len(published) == 22
    assert all(entries[name].instruction and not entries[name].assumed for name in published)
    assumed = [name for name, entry in entries.items() if entry.assumed and "prompt of mteb" not in entry.source]
    assert assumed == ["cqadupstack"]
    assert entries["T2Retrieval"].instruction == "为这个问题检索相关段落。"


def test_datasets_that_are_evaluated_without_an_instruction_have_an_empty_one_and_say_why():
    entries = load_instructions()
    assert {name for name, entry in entries.items() if not entry.instruction} == WITHOUT
    assert all(entries[name].source.startswith("none: ") for name in WITHOUT)


def test_every_shipped_dataset_has_an_entry_or_is_anyone_s():
    """reranker=minicpm_reranker asks for the dataset's instruction, and one without an entry is refused."""
    from evalkit.config.resources import config_names, read_config

    keys = {}
    for name in config_names("dataset"):
        settings = read_config("dataset", name)
        keys[name] = settings.get("instruction_key") or settings.get("name")
    del keys["folder"], keys["ir_datasets"], keys["mteb"], keys["python"]
    lacking = {name for name, key in keys.items() if {key, key.partition("/")[0]}.isdisjoint(load_instructions())}
    assert lacking == set()


def test_an_entry_may_be_the_text_alone_or_lack_its_source(file):
    path = file({"plain": "Find it.", "short": {"instruction": "Find them."}})
    assert {"plain": Instruction("Find it."), "short": Instruction("Find them.")} == load_instructions(path)
    assert Instruction("Find it.", source="", assumed=False) == load_instructions(path)["plain"]


@pytest.mark.parametrize(
    "content", ["[]", "{", "", "3", '{"a": {"source": "x"}}', '{"a": {"instruction": "x", "sauce": "y"}}', '{"a": 3}']
)
def test_a_malformed_file_is_named(file, content):
    with pytest.raises(DataError, match=r"instructions\.json: not a file of instructions"):
        load_instructions(file(content))


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"absent\.json: no such file"):
        load_instructions(tmp_path / "absent.json")


# Choosing


def chosen(setting: str, key: str | None = "scifact") -> str:
    return choose_instruction(setting, key=key, name="reranker.instructions")


@pytest.mark.parametrize("key", ["scifact", "no such dataset", None])
def test_none_means_no_instruction_for_any_dataset(key):
    assert chosen("none", key) == ""


def test_dataset_is_its_entry_in_the_shipped_file():
    assert chosen("dataset") == SCIFACT
    assert chosen("dataset", "mini") == ""


def test_the_instruction_dataset_is_refused_without_a_dataset():
    """`evalkit score`: its pairs bring their own instructions."""
    assert chosen("dataset", None) == ""


@pytest.mark.parametrize(
    "text", ["Find what refutes it.", "为这个问题检索相关段落。", "Read data.json first.", "Nothing"]
)
@pytest.mark.parametrize("key", ["scifact", "no such dataset", None])
def test_any_other_text_is_the_instruction_itself(text, key):
    assert text == chosen(text, key)


def test_a_json_file_is_read_by_the_dataset_s_key(file):
    path = file({"scifact": "Find it.", "mini": {"instruction": "Find them."}})
    assert ["Find it.", "Find them."] == [chosen(str(path)), chosen(str(path), "mini")]


def test_a_file_below_home_is_found(file, monkeypatch):
    monkeypatch.setenv("HOME", str(file({"scifact": "Find it."}).parent))
    assert chosen("~/instructions.json") == "Find it."


def test_part_of_a_collection_has_its_own_entry_or_that_of_the_whole(file):
    path = str(file({"cqadupstack": "Whole.", "cqadupstack/android": "Part."}))
    assert ["Part.", "Whole."] == [chosen(path, f"cqadupstack/{part}") for part in ("android", "gaming")]
    assert chosen("dataset", "cqadupstack/android") == load_instructions()["cqadupstack"].instruction


@pytest.mark.parametrize("key", ["no_such_set", "no_such_set/part", "scifact2", "Scifact", "x/scifact"])
def test_a_dataset_without_an_entry_is_an_error_that_names_it_and_says_what_to_do(key):
    with pytest.raises(ConfigError) as caught:
        chosen("dataset", key)
    message = str(caught.value)
    assert message.startswith(f"reranker.instructions=dataset, but instructions.json has no entry '{key}'.")
    assert f'{{"{key}": "..."}}' in message
    assert "reranker.instructions=none" in message
    assert "evalkit list instructions" in message


def test_an_entry_missing_from_a_file_is_not_taken_from_the_shipped_one(file):
    path = file({"mini": "Find it."})
    with pytest.raises(ConfigError, match=r"instructions\.json has no entry 'scifact'") as caught:
        chosen(str(path))
    assert str(path) in str(caught.value)


def test_a_file_where_there_is_no_dataset_is_refused(file):
    with pytest.raises(ConfigError, match=r"looked up by dataset.*Give the text itself"):
        chosen(str(file({"scifact": "Find it."})), None)


def test_a_file_that_is_absent_or_malformed_is_a_data_error(file, tmp_path):
    for path in (file("{"), tmp_path / "absent.json"):
        with pytest.raises(DataError, match=r"\.json: (not a file of instructions|no such file)"):
            chosen(str(path))


def test_generic_is_one_text_for_every_dataset():
    texts = {choose_instruction("generic", key=key, name="x") for key in ("scifact", "T2Retrieval", "unknown", None)}
    assert texts == {GENERIC}


def test_card_is_the_published_entry_and_none_where_there_is_none():
    assert choose_instruction("card", key="scifact", name="x") == SCIFACT
    assert choose_instruction("card", key="cqadupstack/unix", name="x") == ""
    assert choose_instruction("dataset", key="cqadupstack/unix", name="x") != ""
    assert choose_instruction("card", key="unknown", name="x") == ""
    assert choose_instruction("card", key=None, name="x") == ""


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a": "x", "a": "y"}', "'a' occurs twice"),
        ('{"a": {"instruction": 5}}', "instruction is 5"),
        ('{"a": {"instruction": "x", "assumed": NaN}}', "NaN is not a JSON number"),
        ("[]", "no attribute 'items'"),
    ],
    ids=["deep", "twice", "number", "NaN", "list"],
)
def test_a_hostile_file_of_instructions_is_refused_with_what_is_wrong_and_what_is_legal(tmp_path, content, told):
    (tmp_path / "own.json").write_text(content)
    with pytest.raises(DataError) as error:
        load_instructions(tmp_path / "own.json")
    assert told in str(error.value)
    assert str(error.value).endswith(
        "Expected {dataset: instruction} in JSON, or {dataset: {instruction, source, assumed}}."
    )


def test_a_reranker_that_takes_them_from_the_queries_has_none_for_all():
    assert choose_instruction("query", key="scifact", name="reranker.instructions") == ""
    assert choose_instruction("query", key=None, name="reranker.instructions") == ""


@pytest.mark.parametrize(
    ("typed", "meant"), [("datset", "dataset"), ("Generic", "generic"), ("crad", "card"), ("querry", "query")]
)
def test_a_mistyped_word_is_not_taken_for_an_instruction(typed, meant):
    with pytest.raises(ConfigError, match=f"reranker.instructions={typed} is a single word, .* Did you mean {meant}?"):
        choose_instruction(typed, key="scifact", name="reranker.instructions")


@pytest.mark.parametrize("text", ["Find it", "检索", "query:", "code"])
def test_a_text_unlike_any_of_the_words_is_the_instruction(text):
    assert text == choose_instruction(text, key="scifact", name="reranker.instructions")


def test_a_mistyped_entry_is_refused_with_its_lookalike():
    with pytest.raises(ConfigError, match=r"has no entry 'scifcat'\. Did you mean scifact\?"):
        choose_instruction("dataset", key="scifcat", name="reranker.instructions")
