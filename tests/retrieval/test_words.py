"""Terms of English and Chinese texts."""

import pytest

from evalkit.errors import ConfigError
from evalkit.retrieval.words import analyser


def test_english_terms_are_lower_case_stems_without_stopwords_or_single_letters():
    assert analyser("en")("The tides PULLED a boat, and x is at the boats."[:29]) == ["tide", "pull", "boat"]


def test_english_stems_are_those_of_the_snowball_release_that_numbers_are_reported_with():
    """Others reduce them to ad, emerg and biologist (2.2), or interv and intern (3.0)."""
    words = "added emergency biologists intervals international"
    assert analyser("en")(words) == ["add", "emergenc", "biolog", "interval", "internat"]


def test_english_terms_keep_repeats_and_their_order():
    assert analyser("en")("Moon! sea; (moon)") == ["moon", "sea", "moon"]


def test_english_digits_and_underscores_are_word_characters():
    assert analyser("en")("covid-19 snake_case 7") == ["covid", "19", "snake_cas"]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("text", ["", "   \n", "?!… --"])
def test_text_without_words_has_no_terms(language, text):
    assert analyser(language)(text) == []


def test_text_of_stopwords_has_no_terms():
    assert analyser("en")("the and of it is") == []


def test_chinese_sentence_without_spaces_is_split_into_words():
    terms = analyser("zh")("研究小组在春天发表了新的疫苗")
    assert {"研究", "小组", "春天", "发表", "疫苗"} <= set(terms)


def test_chinese_search_segmentation_also_gives_the_words_inside_a_long_word():
    assert {"中国", "科学", "科学院", "中国科学院"} <= set(analyser("zh")("中国科学院"))


def test_latin_words_in_chinese_are_kept_whole():
    """Before rjieba 0.2.2 its parts were t, stops."""
    assert "t-stops" in analyser("zh")("为什么曝光级数(T-stops)有时替代焦距比数作为曝光效果?")


def test_chinese_punctuation_is_not_a_term():
    terms = analyser("zh")("疫苗，（新的）。！《书》")  # noqa: RUF001
    assert [term for term in terms if not any(character.isalnum() for character in term)] == []
    assert {"疫苗", "书"} <= set(terms)


def test_full_width_forms_have_the_terms_of_half_width_ones():
    expected = analyser("zh")("gpt123的价格")
    assert "gpt123" in "".join(expected)
    assert expected == analyser("zh")("ＧＰＴ１２３的价格")


def test_chinese_text_is_lower_cased():
    assert analyser("zh")("vitamin c") == analyser("zh")("Vitamin C")


def test_unknown_language_is_refused_with_the_legal_ones():
    with pytest.raises(ConfigError, match=r"'fr'.*en, zh"):
        analyser("fr")
