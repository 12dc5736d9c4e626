"""Help as text: docstrings' lines are joined and their backticks dropped."""

from __future__ import annotations

from typing import Any

from cyclopts.help import DefaultFormatter, HelpPanel
from rich.console import Console, ConsoleOptions
from rich.text import Text


class PlainHelp(DefaultFormatter):
    """Panels of help whose texts are plain.

    A reader of Markdown takes as long to import as half of the command.
    """

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Show a panel."""
        for entry in panel.entries:
            _in_plain_words(entry.description)
        super().__call__(console, options, panel)

    def render_description(
        self, console: Console, options: ConsoleOptions, description: Any
    ) -> None:
        """Show what a command is for."""
        _in_plain_words(description)
        super().render_description(console, options, description)


def _in_plain_words(shown: Any) -> None:
    """Join a text's lines, paragraph by paragraph."""
    text = getattr(shown, "primary_renderable", None)
    if isinstance(text, Text):
        paragraphs = text.plain.replace("`", "").split("\n\n")
        shown.primary_renderable = Text("\n\n".join(" ".join(p.split()) for p in paragraphs))
