"""Words of a text for lexical retrieval: one analyser a language."""

import re
import unicodedata
from collections.abc import Callable

from evalkit.errors import ConfigError
from evalkit.system.versions import require_version

Analyser = Callable[[str], list[str]]
_WORD = re.compile(r"(?u)\b\w\w+\b")


def analyser(language: str) -> Analyser:
    """The analyser of a language: text -> terms, repeats kept.

    `en`: lower case, words of two characters or more, no stopwords, Snowball stems. `zh`: jieba's search segmentation
    after NFKC and lower case, so that full-width and half-width forms match; terms without a letter or digit are
    dropped.

    Raises:
        ConfigError: no analyser for this language.
        WrongVersion: the package that finds its words is too old to find the same ones.
    """
    match language:
        case "en":
            return _english()
        case "zh":
            return _chinese()
        case _:
            raise ConfigError(f"there is no analyser for the language {language!r}. Legal are en, zh.")


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
