"""Codes of languages, held equal to those that mteb has."""

import json
from importlib.resources import files

import pytest
import yaml

from evalkit.config import DatasetConfig
from evalkit.config.languages import is_written_in, language_code, languages_in, mteb_code
from evalkit.errors import ConfigError


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("de", "de"),
        ("DE", "de"),
        ("de-AT", "de"),
        ("pt_BR", "pt"),
        ("deu", "de"),
        ("deu-Latn", "de"),
        ("zh-Hant-TW", "zh"),
        ("cmn-Hans", "zh"),
        ("yue", "zh"),
        ("arb", "ar"),
        ("fil", "fil"),
        ("no", "no"),
    ],
)
def test_ways_to_write_a_language_have_one_code(typed, code):
    assert language_code("dataset.language", typed) == code
    config = DatasetConfig(name="mine", language=typed, query_language=typed)
    assert (config.language, config.query_language) == (code, code)


@pytest.mark.parametrize("typed", ["english", "jp", "cn", "", "e", "12", "d e", "xx"])
def test_what_is_not_a_code_is_refused(typed):
    with pytest.raises(ConfigError, match=f"dataset.language={typed} is not a language code of ISO 639, such as en"):
        DatasetConfig(name="mine", language=typed)
    if typed:
        with pytest.raises(ConfigError, match=f"dataset.query_language={typed} is not a language code"):
            DatasetConfig(name="mine", query_language=typed)


def test_norwegian_without_quotes_in_yaml_is_explained():
    """OmegaConf makes the text False of it."""
    with pytest.raises(ConfigError, match="put the code in quotes"):
        language_code("dataset.language", str(yaml.safe_load("language: no")["language"]))


@pytest.mark.parametrize(
    ("code", "of_mteb"),
    [
        ("en", "eng-Latn"),
        ("zh", "zho-Hans"),
        ("ja", "jpn-Jpan"),
        ("ko", "kor-Kore"),
        ("de", "deu-Latn"),
        ("ar", "ara-Arab"),
        ("ru", "rus-Cyrl"),
        ("hi", "hin-Deva"),
        ("th", "tha-Thai"),
        ("fil", "fil-Latn"),
    ],
)
def test_a_code_of_mteb_says_language_and_script(code, of_mteb):
    assert mteb_code(code) == of_mteb
    assert language_code("dataset.language", of_mteb) == code


@pytest.mark.parametrize(
    ("language", "script", "expected"),
    [
        ("ru", "CYRILLIC", True),
        ("de", "CYRILLIC", False),
        ("de", "LATIN", True),
        ("ru", "LATIN", False),
        ("ja", "KANA", True),
        ("zh", "KANA", False),
        ("ja", "CJK", True),
        ("zh", "", False),
        ("en", "", True),
    ],
)
def test_a_language_is_written_in_its_scripts(language, script, expected):
    assert is_written_in(language, script) == expected


def test_the_likeliest_language_of_a_script_comes_first():
    assert languages_in("CYRILLIC")[0] == "ru"
    assert languages_in("LATIN") == languages_in("NOTHING") == ()


@pytest.mark.slow  # importing mteb takes seconds
def test_codes_are_those_of_mteb():
    folder = files(pytest.importorskip("mteb.languages"))
    known = json.loads((folder / "iso_639_1_to_3.json").read_text(encoding="utf-8"))
    assert {language_code("dataset.language", three) for three in known.values()} == set(known)
    assert {mteb_code(two).partition("-")[0] for two in known} == set(known.values())
