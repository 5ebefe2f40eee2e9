"""Terms of texts: English, Chinese, and all other languages."""
# ruff: noqa: RUF001 - letters of many scripts

import unicodedata

import pytest
import Stemmer

from evalkit.retrieval.words import STEMMERS, analyser, remark


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


def test_latin_words_in_chinese_stay_whole():
    """Before rjieba 0.2.2 its parts were t, stops."""
    assert "t-stops" in analyser("zh")("为什么曝光级数(T-stops)有时替代焦距比数作为曝光效果?")


def test_chinese_punctuation_is_not_a_term():
    terms = analyser("zh")("疫苗，（新的）。！《书》")
    assert [term for term in terms if not any(character.isalnum() for character in term)] == []
    assert {"疫苗", "书"} <= set(terms)


def test_full_width_forms_have_the_terms_of_half_width_ones():
    expected = analyser("zh")("gpt123的价格")
    assert "gpt123" in "".join(expected)
    assert expected == analyser("zh")("ＧＰＴ１２３的价格")


def test_chinese_text_is_lower_cased():
    assert analyser("zh")("vitamin c") == analyser("zh")("Vitamin C")


STEMMED = {  # a question's word, and another form of it in a document
    "ar": ("الكتاب", "كتاب"), "ca": ("gats", "gat"), "cs": ("knihy", "kniha"), "da": ("husene", "hus"),
    "de": ("Häuser", "Haus"), "el": ("ΑΝΘΡΩΠΟΙ", "άνθρωπος"), "eo": ("libroj", "libro"), "es": ("casas", "casa"),
    "et": ("raamatud", "raamat"), "eu": ("etxeak", "etxe"), "fa": ("کتاب‌ها", "کتاب"), "fi": ("taloissa", "talo"),
    "fr": ("Maisons", "maison"), "ga": ("bhfear", "fear"), "hi": ("किताबें", "किताब"), "hu": ("házak", "ház"),
    "hy": ("քաղաքներ", "քաղաք"), "id": ("membaca", "bacaan"), "it": ("libri", "libro"), "lt": ("knygos", "knyga"),
    "nb": ("husene", "hus"), "ne": ("किताबहरू", "किताब"), "nl": ("boeken", "boek"), "nn": ("husa", "hus"),
    "no": ("husene", "hus"), "pl": ("książki", "książka"), "pt": ("livros", "livro"), "ro": ("cărțile", "cărți"),
    "ru": ("книги", "КНИГА"), "sr": ("књиге", "knjiga"), "st": ("batho", "motho"), "sv": ("husen", "hus"),
    "ta": ("புத்தகங்கள்", "புத்தகம்"), "tr": ("kitapları", "kitap"), "yi": ("ביכער", "ביכ"),
}  # fmt: skip


def test_every_snowball_language_has_an_example():
    assert set(STEMMERS) == set(STEMMED)


@pytest.mark.parametrize("language", sorted(STEMMED))
def test_inflected_words_of_a_snowball_language_have_one_stem(language):
    first, second = (analyser(language)(word) for word in STEMMED[language])
    assert len(first) == 1
    assert first == second


@pytest.mark.parametrize("language", sorted(STEMMERS))
def test_stems_are_those_of_snowball_itself(language):
    """The only stemmers that its release names and no language has are other ones of English and Dutch."""
    words = ["tides", "pulled", "12"]
    assert analyser(language)(" ".join(words)) == Stemmer.Stemmer(STEMMERS[language]).stemWords(words)
    assert set(Stemmer.algorithms()) - set(STEMMERS.values()) == {"english", "porter", "dutch_porter"}


def test_words_of_indic_scripts_keep_their_vowel_signs():
    """The \\w of Python's re cuts at every vowel sign, and drops the rest of the word."""
    assert analyser("bn")("বাংলাদেশের রাজধানী") == ["বাংলাদেশের", "রাজধানী"]
    assert analyser("te")("తెలుగు భాష") == ["తెలుగు", "భాష"]
    assert len(analyser("hi")("भारत की राजधानी दिल्ली है")) == 5


def test_a_turkish_capital_i_is_a_dotless_one_and_loses_its_dot_with_one():
    assert analyser("tr")("ISI İZMİR") == analyser("tr")("ısı izmir")
    assert analyser("tr")("ısı") != analyser("tr")("isi")


def test_composed_and_decomposed_letters_have_the_same_terms():
    words = "élève Ångström köpa"
    decomposed = unicodedata.normalize("NFD", words)
    assert words != decomposed
    assert analyser("fr")(words) == analyser("fr")(decomposed)


@pytest.mark.parametrize(
    ("language", "first", "second"),
    [
        ("fa", "كتاب علي ۱۲۳", "کتاب علی 123"),  # keys of an Arabic keyboard; Persian digits
        ("ar", "كِتَابٌ ٤٢", "كتاب 42"),  # vowel signs
        ("de", "Fuß\xadball STRASSE", "fussball straße"),  # a soft hyphen
        ("ml", "അവന്‍", "അവന്"),  # a zero-width joiner
        ("km", "ភាសា\u200bខ្មែរ", "ភាសាខ្មែរ"),  # zero-width spaces, which only some Khmer texts have
        ("ja", "ﾃﾞｰﾀ ＡＢＣ", "データ abc"),
    ],
)
def test_ways_to_write_the_same_have_the_same_terms(language, first, second):
    assert analyser(language)(first) == analyser(language)(second) != []


@pytest.mark.parametrize(
    ("language", "text", "terms"),
    [
        ("ja", "東京タワーへ", ["東京", "京タ", "タワ", "ワー", "ーへ"]),
        ("ja", "木。2024年", ["2024", "木", "年"]),
        ("ko", "한국어를 배우다", ["한국", "국어", "어를", "배우", "우다"]),
        ("th", "ภาษาไทย", ["ภา", "าษ", "ษา", "าไ", "ไท", "ทย"]),
        ("th", "ที่นี่", ["ที่นี่"]),  # two letters with their marks
        ("lo", "ພາສາ", ["ພາ", "າສ", "ສາ"]),
        ("my", "ဘာသာ", ["ဘာ", "ာသ", "သာ"]),
        ("de", "東京 Häuser", ["haus", "東京"]),
        ("sw", "Ninakupenda SANA", ["ninakupenda", "sana"]),
        ("yue", "香港人", ["香港", "港人"]),
    ],
)
def test_scripts_without_spaces_give_pairs_of_letters(language, text, terms):
    assert analyser(language)(text) == terms


@pytest.mark.parametrize("language", ["ja", "th", "de", "ar", "sw"])
@pytest.mark.parametrize("text", ["", " \n", "?!… -- 、。「」\u200b\u200c", "\u064b", "\u0640\u200c"])
def test_no_language_has_empty_terms(language, text):
    assert "" not in analyser(language)(text)


def test_only_languages_without_an_analyser_of_their_own_are_remarked_on():
    assert [code for code in ("en", "zh", "de", "ja", "ko", "th", "sw", "bn") if remark(code)] == ["sw", "bn"]
    assert "for the language sw" in remark("sw")
