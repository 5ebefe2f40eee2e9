"""A report as files: the page, the tables and the figures that were asked for."""

from pathlib import Path
from typing import NamedTuple

from evalkit.errors import ConfigError
from evalkit.reports.figures import write_figures
from evalkit.reports.grid import markdown
from evalkit.reports.overview import Overview
from evalkit.reports.overview_grids import grids
from evalkit.reports.page import page
from evalkit.reports.sentences import markdown_list
from evalkit.system.files import write_output


class Outputs(NamedTuple):
    """Where to write; None for what nobody asked for.

    Attributes:
        html: file of the page.
        markdown: file of all tables.
        figures: folder of the charts.
    """

    html: Path | None
    markdown: Path | None
    figures: Path | None

    def require_possible(self) -> None:
        """Refuse what cannot be written, before anything is computed.

        Raises:
            ConfigError: a file is in no folder.
        """
        for path in filter(None, (self.html, self.markdown)):
            if not path.parent.is_dir() or path.is_dir():
                raise ConfigError(f"{path} cannot be written: give a file in a folder that exists.")

    def write(self, found: Overview) -> list[Path]:
        """Write everything; returns the files."""
        written = []
        for path, text_of in ((self.html, page), (self.markdown, as_markdown)):
            if path:
                write_output(path, text_of(found))
                written.append(path)
        return [*written, *(write_figures(found, self.figures) if self.figures else [])]


def as_markdown(found: Overview) -> str:
    """What was found, then every table."""
    sentences = markdown_list(found.findings)
    return f"{sentences}\n{markdown(grids(found))}" if sentences else markdown(grids(found))
