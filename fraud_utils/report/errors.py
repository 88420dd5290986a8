"""What can go wrong with a run: a ReportError of one of three kinds, or a signal."""

from __future__ import annotations

import textwrap
from pathlib import Path

SHOWN_LINES = 5  # of a failing cell on the terminal


class ReportError(Exception):
    """An error with a message for whoever typed the command, without a traceback."""


class UsageError(ReportError):
    """Something was asked for wrongly; nothing has been executed or written."""


class ExampleError(ReportError):
    """The run cannot be the example; the message says what to do. Nothing was written."""


class NotebookError(ReportError):
    """A notebook that did not reach its end.

    Attributes
    ----------
    notebook : str
        Its stem.
    cell : int
        Position of the cell in the executed notebook, from 1; 0 when no cell had begun.
    source : str
        The cell's code.
    name : str
        Of the exception, "" when there was none to see.
    """

    def __init__(self, notebook: str, cell: int, source: str, name: str, message: str) -> None:
        super().__init__(message)
        self.notebook, self.cell, self.source, self.name = notebook, cell, source, name

    @property
    def summary(self) -> str:
        """The exception in one line; a DataError's message is written to stand alone."""
        return f"{self.name}: {self}" if self.name and self.name != "DataError" else str(self)

    def explanation(self, page: Path) -> str:
        """What to print: which cell of which notebook, its first lines, what it raised, and where to read on."""
        if self.name == "DataError":
            return f"error: {self}\n({self.notebook}, cell {self.cell}; everything before it is in {page.as_posix()})"
        lines = self.source.strip().splitlines()
        shown = "\n".join(lines[:SHOWN_LINES] + ["..."] * (len(lines) > SHOWN_LINES))
        return (
            f"error: {self.notebook}, cell {self.cell}\n{textwrap.indent(shown, '    ')}\n{self.summary}\n"
            f"(everything before it is in {page.as_posix()})"
        )


class Stopped(KeyboardInterrupt):
    """A signal ended the run. A KeyboardInterrupt, because asyncio lets nothing else through its event loop."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
