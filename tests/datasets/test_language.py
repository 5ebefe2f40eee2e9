"""Warnings of languages: what documents look like, and what models are made for."""
# ruff: noqa: RUF001 - letters of many scripts

import logging
from types import SimpleNamespace

import pytest
from datasets import Dataset
from stubs import write_collection

from evalkit.config import FolderDatasetConfig
from evalkit.datasets import load
from evalkit.datasets.documents import ArrowDocuments
from evalkit.datasets.language import likely_language
from evalkit.datasets.mteb_task import language_of

TEXTS = {
    "en": "Bees make honey.",
    "zh": "蜜蜂酿造蜂蜜。",
    "ja": "ミツバチは蜂蜜を作ります。",
    "ko": "꿀벌은 꿀을 만든다",
    "th": "ผึ้งทำน้ำผึ้ง",
    "fa": "زنبورها عسل می‌سازند",
    "uk": "Бджоли роблять мед",
    "el": "Οι μέλισσες φτιάχνουν μέλι",
}


def warned(text, folder, store, caplog, **settings):
    write_collection(folder, {"d1": ("", text), "d2": ("", "")}, {"q1": text}, {"q1": {"d1": 1}})
    with caplog.at_level(logging.WARNING, "evalkit"):
        load(FolderDatasetConfig(path=str(folder), name="mine", **settings), store)
    return [record.getMessage() for record in caplog.records if "look" in record.getMessage()]


@pytest.mark.parametrize("language", TEXTS)
def test_documents_in_their_language_are_not_warned_of(language, tmp_path, store, caplog):
    assert warned(TEXTS[language], tmp_path / "c", store, caplog, language=language) == []


@pytest.mark.parametrize(
    ("language", "look", "remedy"),
    [
        ("zh", "Chinese", "zh"),
        ("ja", "Japanese", "ja"),
        ("ko", "Korean", "ko"),
        ("th", "Thai", "th"),
        ("fa", "Arabic", "CODE, such as ar"),
        ("uk", "Cyrillic", "CODE, such as ru"),
        ("el", "Greek", "el"),
    ],
)
def test_documents_in_a_script_of_other_languages_are_warned_of(language, look, remedy, tmp_path, store, caplog):
    (line,) = warned(TEXTS[language], tmp_path / "c", store, caplog)
    assert line.startswith(f"mine: the documents look {look}")
    assert line.endswith(f"and dataset.language is en. Set dataset.language={remedy}.")


def test_queries_in_a_script_of_other_languages_are_warned_of(tmp_path, store, caplog):
    folder = write_collection(tmp_path / "c", {"d1": ("", TEXTS["en"])}, {"q1": TEXTS["zh"]}, {"q1": {"d1": 1}})
    with caplog.at_level(logging.WARNING, "evalkit"):
        load(FolderDatasetConfig(path=str(folder), name="mine"), store)
    said = (
        "mine: the queries look Chinese, and their language is en. Set dataset.language=zh, or dataset.query_language="
    )
    assert said in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, "evalkit"):
        load(FolderDatasetConfig(path=str(folder), name="mine", query_language="zh"), store)
    assert "look" not in caplog.text


@pytest.mark.parametrize(("written", "said"), [("uk", "sr"), ("zh", "ja"), ("zh", "yue"), ("th", "shn"), ("en", "zh")])
def test_languages_that_may_be_written_so_are_not_warned_of(written, said, tmp_path, store, caplog):
    """A language of three letters may have any script; Latin letters are in texts of all languages."""
    assert warned(TEXTS[written], tmp_path / "c", store, caplog, language=said) == []


LANGUAGES = {"mono": ["jpn-Jpan"], "both": ["eng-Latn", "zho-Hans"], "arb-deu": ["arb-Arab", "deu-Latn"]}


@pytest.mark.parametrize(
    ("languages", "subset", "text", "expected"),
    [
        (["eng-Latn"], "default", "Bees make honey.", "en"),
        (["deu-Latn"], "default", "Bienen machen Honig.", "de"),
        (["cmn-Hans"], "default", "蜜蜂酿造蜂蜜", "zh"),
        (["kor-Hang"], "default", "꿀벌", "ko"),
        (["shn-Mymr"], "default", "ၽိုင်ႇ", "shn"),
        (["eng-Latn", "python-Code"], "default", "def f(): pass", "en"),
        (["python-Code"], "default", "def f(): pass", "en"),
        (LANGUAGES, "mono", "ハチ", "ja"),
        (LANGUAGES, "both", "蜜蜂酿造蜂蜜", "zh"),
        (LANGUAGES, "both", "Bees make honey.", "en"),
        (LANGUAGES, "arb-deu", "Bienen machen Honig.", "de"),
        (LANGUAGES, "arb-deu", "النحل يصنع العسل", "ar"),
        (["deu-Latn", "eng-Latn"], "default", "Bees make honey.", "en"),  # one script: nothing decides
    ],
)
def test_the_language_of_a_task_is_that_of_its_documents(languages, subset, text, expected):
    documents = ArrowDocuments(Dataset.from_dict({"_id": ["1"], "text": [text]}), title_separator=" ")
    assert language_of(SimpleNamespace(eval_langs=languages), subset, documents) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [*((TEXTS[code], code) for code in ("en", "zh", "ja", "th")), ("", "en")]
)
def test_the_likeliest_language_is_that_of_the_script(text, expected):
    documents = ArrowDocuments(Dataset.from_dict({"_id": ["1"], "text": [text]}), title_separator=" ")
    assert likely_language(documents) == expected
