"""Which texts may be ids of a query or document: those that a run file can hold and give back."""


def fault(text: str) -> str | None:
    """The reason why a text cannot be an id; None if it can.

    TREC files separate fields by blanks or tabs and rows by line ends, so an id can hold none of these at its ends, and
    no tab, line break or NUL at all. A single blank inside is fine: such runs are written with tabs.
    """
    if not text:
        return "is empty"
    if text != text.strip() or (not text.isprintable() and any(character in text for character in "\t\n\r\0")):
        return "holds a tab, a line break, a NUL or outer blanks, which no run file can hold"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which is not a character"
    return None


def are_ids(query_id: str, doc_id: str) -> bool:
    """Whether neither is empty, nor holds a NUL, which would end it early in trec_eval's C."""
    return bool(query_id and doc_id) and "\0" not in query_id and "\0" not in doc_id


def plain_text(value: object) -> str:
    """An id or a grade as text; a whole float, as pandas makes of integers, as its digits."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
