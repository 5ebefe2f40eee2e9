"""The console that results are printed on: harmless to a terminal, wide where there is none, deaf to a closed pipe."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook
from rich.segment import Segment
from rich.text import Text

from evalkit.system.terminal import harmless, measurable, naming_stdout, stop_telling

# Into a file or a pipe rich assumes 80 columns and would cut words; a table is better too wide than cut.
_WIDTH_WITHOUT_TERMINAL = 200


class _Console(Console):
    """Continues when the reader of a pipe stops early: the outcome of a command does not depend on it."""

    def print(self, *objects: Any, **options: Any) -> None:
        """See `rich.console.Console`."""
        with naming_stdout():
            super().print(*objects, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """See `rich.console.Console`. Escapes are inserted before anything is measured, as they are wider."""
        return super().render_str(measurable(text), **options)

    def on_broken_pipe(self) -> None:
        """See `rich.console.Console`, which would leave with exit code 1."""
        self.quiet = True
        stop_telling()


class _Harmless(RenderHook):
    """Escapes control characters in everything printed, so that an id cannot drive the terminal."""

    class _One(NamedTuple):
        renderable: ConsoleRenderable

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
            for segment in console.render(self.renderable, options):
                yield segment if segment.control else segment._replace(text=harmless(segment.text))

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """See `rich.console.RenderHook`."""
        return [self._One(one) for one in renderables]


def console() -> Console:
    """A console on stdout, where results go."""
    plain = _Console(emoji=False)  # an id such as :dog: stays text
    made = plain if plain.is_terminal else _Console(emoji=False, width=_WIDTH_WITHOUT_TERMINAL)
    made.push_render_hook(_Harmless())
    return made
