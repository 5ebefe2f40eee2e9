"""Words of a text for lexical retrieval: English, Chinese, and one analyser for all other languages."""

import re
import unicodedata
from collections.abc import Callable
from itertools import pairwise

import regex

from evalkit.system.versions import require_version

Analyser = Callable[[str], list[str]]
_WORD = re.compile(r"(?u)\b\w\w+\b")

STEMMERS = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "eo": "esperanto",
    "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish", "fr": "french",
    "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian",
    "lt": "lithuanian", "nb": "norwegian", "ne": "nepali", "nl": "dutch", "nn": "norwegian", "no": "norwegian",
    "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian", "st": "sesotho",
    "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip
"""Language -> name of its Snowball stemmer; English has its own analyser."""
BIGRAMS = ("ja", "km", "ko", "lo", "my", "th")
"""Languages that need no stemmer, because their words are pairs of letters."""

# Scripts whose words have no spaces between them, and Korean, whose particles are written onto the word. U+30FC is the
# long vowel of both kanas.
_UNSPACED = (
    r"[[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\u30fc]&&[\p{L}\p{M}\p{Nl}]]"
)
_RUN = regex.compile(rf"(?V1){_UNSPACED}(?:{_UNSPACED}|\u200b)*")  # the zero-width space is in some Khmer texts only
# Letters with their marks, unlike \w of `re`, which cuts words of Indic scripts at each vowel sign. The zero-width
# (non-)joiner is inside words of Persian and Indic scripts.
_SPACED = regex.compile(r"[\p{L}\p{M}\p{N}][\p{L}\p{M}\p{N}\u200c\u200d]*")
_LETTER = regex.compile(r"\X")  # with its marks
_JOINERS = {0x200C: None, 0x200D: None}
_SOFT_HYPHEN = "\xad"
_DOTLESS = {ord("I"): "\u0131", 0x130: "i"}
_OTHER_DIGIT = regex.compile(r"(?V1)[\p{Nd}--[0-9]]")


def analyser(language: str) -> Analyser:
    """The analyser of a language: text -> terms, repeats kept.

    `en`: lower case, words of two characters or more, no stopwords, Snowball stems. `zh`: jieba's search segmentation
    after NFKC and lower case, so that full-width and half-width forms match; terms without a letter or digit are
    dropped.

    Every other language: NFKC and lower case, digits of all scripts as 0 to 9, words of letters, marks and digits, in
    their Snowball stem where the language has a stemmer. All words are kept, also stopwords. Scripts without spaces
    between words, and Korean, give pairs of neighbouring letters instead.

    Raises:
        WrongVersion: the package that finds its words is too old to find the same ones.
    """
    match language:
        case "en":
            return _english()
        case "zh":
            return _chinese()
        case _:
            return _other(language)


def remark(language: str) -> str:
    """A note for users about BM25 in this language; empty if there is nothing to say."""
    if language in {"en", "zh", *STEMMERS, *BIGRAMS}:
        return ""
    return (
        f"BM25 has no stemmer for the language {language}, so words match only in the form in which they are written "
        "(pairs of letters in scripts without spaces)"
    )


def _other(language: str) -> Analyser:
    import Stemmer

    stem = None
    if language in STEMMERS:
        require_version("PyStemmer")
        stem = Stemmer.Stemmer(STEMMERS[language]).stemWords
    case = _DOTLESS if language in {"tr", "az"} else {}

    def analyse(text: str) -> list[str]:
        text = unicodedata.normalize("NFKC", text.replace(_SOFT_HYPHEN, "")).translate(case).lower()
        text = _OTHER_DIGIT.sub(lambda found: str(unicodedata.digit(found[0])), text)
        runs = _RUN.findall(text)
        words = _SPACED.findall(_RUN.sub(" ", text) if runs else text)
        stems = stem(words) if stem else words
        if "\u200c" in text or "\u200d" in text:
            stems = [term.translate(_JOINERS) for term in stems]
        pairs = [pair for run in runs for pair in _bigrams(run)]
        return [*filter(None, stems), *pairs]  # nothing is left of an Arabic vowel sign on its own

    return analyse


def _bigrams(run: str) -> list[str]:
    """Pairs of neighbouring letters with their marks, as Lucene's CJK analyser forms them; one letter stays alone."""
    run = run.replace("\u200b", "")
    letters = list(run) if run.isalpha() else _LETTER.findall(run)  # no mark is alphabetic, and most runs have none
    return ["".join(pair) for pair in pairwise(letters)] or letters


def _english() -> Analyser:
    import Stemmer
    from bm25s.stopwords import STOPWORDS_EN

    require_version("PyStemmer")
    stopwords = frozenset(STOPWORDS_EN)
    stemmer = Stemmer.Stemmer("english")

    def analyse(text: str) -> list[str]:
        words = [word for word in _WORD.findall(text.lower()) if word not in stopwords]
        return list(stemmer.stemWords(words))

    return analyse


def _chinese() -> Analyser:
    import rjieba

    require_version("rjieba")

    def analyse(text: str) -> list[str]:
        words = rjieba.cut_for_search(unicodedata.normalize("NFKC", text).lower())
        return [word for word in words if any(character.isalnum() for character in word)]

    return analyse
