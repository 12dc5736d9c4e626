"""The command line: `render-adapt`, and its commands `verify`, `train`, `align`, `fit`,
`crop-target`, `adapt`, `crop`, `merge`, `models`, `adapters`, `presets`, `completion`, `reproduce`
and `doctor`.

Exit codes: 0 done; 1 the input, the folder or the machine does not allow it; 2 the command line is
wrong, or a setting in a file that it names (1 and 2 with one sentence on standard error); 130
interrupted; 141 nobody reads its output any more.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version

from cyclopts import App, CycloptsError, Parameter

from checked_settings import RenderAdaptError, SettingError
from render_adapt._cli.completion import completion_command
from render_adapt._cli.consoles import errors
from render_adapt._cli.examples import EXAMPLES
from render_adapt._cli.later import COMMANDS, register_later
from render_adapt._cli.mistakes import as_typed, sentence
from render_adapt._cli.plain_help import PlainHelp
from render_adapt._cli.run import run
from render_adapt._cli.settings import in_flags, refuse_fractions
from render_adapt._cli.streams import (
    InterruptedCommand,
    ReaderGoneError,
    interrupt_on_termination,
    kept_streams,
)

app = App(
    name="render-adapt",
    help="Make labelled crops that look like your camera's: render CAD models, adapt, write.",
    version=lambda: version("render-adapt"),
    default_parameter=Parameter(negative_iterable=()),
    usage="Usage: render-adapt [COMMAND] [OPTIONS]",
    help_format="plaintext",
    help_formatter=PlainHelp(),
    help_epilogue=EXAMPLES["render-adapt"],
    suppress_keyboard_interrupt=False,
    config=refuse_fractions,
)
app.default(run)
completion_command(app)
register_later(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, `sys.argv` by default.

    What the user can mend is one sentence, never a traceback.
    """
    interrupt_on_termination()
    for name in app:
        if not name.startswith("-") and name not in COMMANDS:
            # Else a command without examples would show those of the whole.
            app[name].help_epilogue = EXAMPLES.get(name, "")
    try:
        with kept_streams():
            app(
                sys.argv[1:] if arguments is None else list(arguments),
                exit_on_error=False,
                print_error=False,
            )
    except ReaderGoneError:
        sys.exit(141)
    except CycloptsError as error:
        _refuse(sentence(error), 2)
    except SettingError as error:
        _refuse(as_typed(error), 2)
    except RenderAdaptError as error:
        _refuse(str(error), 1)
    except KeyboardInterrupt as interrupt:
        hint = f"; {interrupt}" if isinstance(interrupt, InterruptedCommand) else ""
        errors.print(f"render-adapt: interrupted{hint}", soft_wrap=True)
        sys.exit(130)


def _refuse(message: str, code: int) -> None:
    errors.print(in_flags(f"render-adapt: {message}"), style="red", soft_wrap=True)
    sys.exit(code)
