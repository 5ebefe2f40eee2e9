"""Code blocks of the project's pages, so that tests run what the pages show."""

import re
from pathlib import Path


def block(page: str, part: str) -> str:
    """The one Python block of a page that holds this text."""
    text = (Path(__file__).parents[1] / page).read_text(encoding="utf-8")
    (found,) = [code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if part in code]
    return found
