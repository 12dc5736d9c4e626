"""`render-adapt completion`: what makes a shell complete commands and options."""

from __future__ import annotations

from typing import Literal

from cyclopts import App

from render_adapt._cli.consoles import output

Shell = Literal["bash", "zsh", "fish", "powershell"]


def completion_command(app: App) -> None:
    """Give an application the command that prints its completion."""

    @app.command
    def completion(shell: Shell, /) -> None:
        """Print what makes a shell complete commands, options and choices.

        In bash: source <(render-adapt completion bash), at best in ~/.bashrc.

        Parameters
        ----------
        shell
            For which.
        """
        output.print(app.generate_completion(shell=shell), soft_wrap=True)
