"""First stages whose encoder makes a vector of each text, dense or over the vocabulary."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from evalkit.errors import DataError
from evalkit.retrieval.first_stage import FirstStage
from evalkit.system.terminal import writable


class EncodingRetriever(FirstStage):
    """A first stage that can also be asked for the vectors of texts.

    Attributes:
        encoder: of documents, and by `encoder.queries` of queries.
    """

    encoder: Any

    def encode_queries(
        self,
        texts: Iterable[str],
        *,
        instruction: str | None = None,
        advance: Callable[[float], None] = lambda _: None,
    ) -> Any:
        """Vectors of queries, each behind the retriever's query instruction.

        Args:
            texts: any number.
            instruction: of the task, for retrievers that have a place for one; that of the dataset when None.
            advance: called with the number of texts done.

        Returns:
            float32, a row a text: an array of shape (texts, width), or of sparse retrievers a `scipy.sparse.csr_array`
            of shape (texts, vocabulary).

        Raises:
            ConfigError: there is no place for an instruction.
            DataError: these are no texts.
        """
        before = self.before_query(instruction)
        return self.encoder.queries.encode(_checked(texts), instruction=before, advance=advance)

    def encode_documents(self, texts: Iterable[str], *, advance: Callable[[float], None] = lambda _: None) -> Any:
        """Vectors of documents, in the form of those of queries.

        Raises:
            DataError: these are no texts.
        """
        before = self.encoder.reading.document_instruction
        return self.encoder.encode(_checked(texts), instruction=before, advance=advance)

    @abstractmethod
    def before_query(self, instruction: str | None) -> str:
        """Text put before a query with this task instruction.

        Raises:
            ConfigError: there is no place for one.
        """


def _checked(texts: Iterable[str]) -> list[str]:
    """Texts as a list.

    Raises:
        DataError: it is one text, a table, a dictionary or a set, or something in it is no text.
    """
    other = isinstance(texts, str | bytes | Mapping | set | frozenset) or hasattr(texts, "columns")
    if other or not isinstance(texts, Iterable):
        raise DataError(f"expected a list of texts, and got {type(texts).__name__}. Give a list, also of one text.")
    found = list(texts)
    for number, text in enumerate(found, start=1):
        if not isinstance(text, str):
            raise DataError(f"text {number} is {text!r}, expected a str.")
        if not writable(text):
            raise DataError(f"text {number} has half of a surrogate pair, which is no character. Remove it.")
    return found
