"""Chat templates: found in either file, rendered as transformers renders them, in a sandbox."""

import json
from pathlib import Path

import pytest

from evalkit.errors import ModelError
from evalkit.models.chat_template import chat_template, rendered, writes_pairs
from evalkit.models.checkpoint import Checkpoint

PAIR = "{%- for m in messages %}\n{{ m.role }}={{ m.content }}\n{% endfor %}query document\n"
MESSAGES = [{"role": "query", "content": "moon"}, {"role": "document", "content": "sea"}]


def stored(folder: Path, template) -> Checkpoint:
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}), encoding="utf-8")
    return Checkpoint(folder)


def test_a_file_of_its_own_comes_first_and_named_ones_give_their_default(tmp_path):
    assert chat_template(Checkpoint(tmp_path)) is None
    assert chat_template(stored(tmp_path, "one")) == "one"
    named = [{"name": "default", "template": "two"}, {"name": "tool_use", "template": "three"}]
    assert chat_template(stored(tmp_path, named)) == "two"
    (tmp_path / "chat_template.jinja").write_text("four", encoding="utf-8")
    assert chat_template(Checkpoint(tmp_path)) == "four"


def test_whether_a_template_writes_pairs_is_seen_by_what_it_writes(tmp_path):
    assert writes_pairs(stored(tmp_path, PAIR)) is True
    assert writes_pairs(stored(tmp_path, "{% for m in messages %}{{ m.content }}{% endfor %}")) is True
    users = "{# query, document #}{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"
    assert writes_pairs(stored(tmp_path, users)) is False
    assert writes_pairs(stored(tmp_path, "{{ raise_exception('query and document are no roles') }}")) is False
    assert writes_pairs(stored(tmp_path, None)) is None


def test_blocks_are_trimmed_and_one_newline_at_the_end_goes_as_in_transformers(tmp_path):
    from transformers.utils.chat_template_utils import render_jinja_template

    (theirs, *_), _ = render_jinja_template([MESSAGES], chat_template=PAIR)
    assert theirs == rendered(stored(tmp_path, PAIR), MESSAGES)


@pytest.mark.parametrize(
    "template",
    ["{{ ''.__class__.__mro__ }}", "{{ messages.append(1) }}", "{% for %}", "{{ 1 / 0 }}", "{{ unheard_of() }}"],
)
def test_a_template_that_fails_or_reaches_for_more_is_refused(tmp_path, template):
    with pytest.raises(ModelError, match="its chat template fails"):
        rendered(stored(tmp_path, template), MESSAGES)


@pytest.mark.parametrize("template", [3, {"default": 4}])
def test_a_template_that_is_not_a_text_is_refused(tmp_path, template):
    with pytest.raises(ModelError, match=r"tokenizer_config\.json: chat_template is a int"):
        chat_template(stored(tmp_path, template))


@pytest.mark.parametrize("own_file", [True, False])
@pytest.mark.parametrize(
    "template", [PAIR + "{% if %}", PAIR + "{% for m in messages %}", "{{ messages", "{% endif %}"]
)
def test_a_damaged_template_is_refused_by_its_line_and_not_taken_for_one_of_conversations(tmp_path, own_file, template):
    where = "chat_template.jinja" if own_file else "tokenizer_config.json: chat_template"
    checkpoint = Checkpoint(tmp_path) if own_file else stored(tmp_path, template)
    if own_file:
        (tmp_path / where).write_text(template, encoding="utf-8")
    with pytest.raises(ModelError, match=rf"{where}: not valid Jinja \(line \d+: .*\)\. Download it again\."):
        writes_pairs(checkpoint)


def test_a_template_with_a_tag_for_training_is_one_of_conversations(tmp_path):
    assert writes_pairs(stored(tmp_path, "{% generation %}{{ messages[0].content }}{% endgeneration %}")) is False
