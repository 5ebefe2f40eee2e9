"""What may be an id of a query or document: anything that a run file can hold and give back."""


def fault(text: str) -> str | None:
    """What is wrong with an id, or None if nothing is.

    TREC files separate fields by blanks or tabs and rows by line ends, so an id can hold none of these at its ends, and
    no tab, line break or NUL at all. A single blank inside is fine: such runs are written with tabs.
    """
    if not text:
        return "is empty"
    if any(character in text for character in "\t\n\r\0") or text != text.strip():
        return "holds a tab, a line break, a NUL or outer blanks, which no run file can hold"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which is no character"
    return None
