"""`render-adapt adapters`: which adapters have a name here, and what each is."""

from __future__ import annotations

from cyclopts import App

from adapter import (
    ADAPTERS,
    SHIPPED_ADAPTER,
    AdapterError,
    AdapterInfo,
    adapter_folder,
    read_info,
)
from render_adapt._cli.consoles import output
from render_adapt._printable import printable
from render_adapt._report.adapter import (
    NOT_SAID,
    adapter_rows,
    channels_text,
    hash_rows,
    read_card,
)
from render_adapt._verdict.words import headline

adapters_app = App(
    name="adapters", help="What makes renders look like a camera's crops.", help_epilogue=""
)


@adapters_app.command(name="list")
def list_adapters() -> None:
    """List the adapters that --adapter can name: those of render-adapt and of other packages."""
    for name in ADAPTERS:
        try:
            folder = ADAPTERS[name]
            lines = _in_short(read_info(folder))
        except AdapterError as error:
            folder, lines = None, [f"cannot be used: {error}"]
        default = " (default)" if folder == SHIPPED_ADAPTER else ""
        output.print(printable(f"{name}{default}"), style="bold", soft_wrap=True)
        for line in lines:
            output.print(printable(f"  {line}"), soft_wrap=True)


def _in_short(info: AdapterInfo) -> list[str]:
    verdict = headline(info)
    return [
        *([] if verdict is None else [f"verdict: {verdict}"]),
        f"takes: {channels_text(info)}, {info.size} x {info.size} px",
        f"objects: {', '.join(info.class_names) or NOT_SAID}",
        f"data and licence: {info.provenance or NOT_SAID}",
    ]


@adapters_app.command(name="show")
def show_adapter(adapter: str, /) -> None:
    """Say all that is known of an adapter: what it takes, its training, data, figures and card.

    Parameters
    ----------
    adapter
        A name of `adapters list`, or an adapter's folder.
    """
    folder = adapter_folder(adapter)
    info = read_info(folder)
    card = read_card(folder)
    for name, value in (["folder", str(folder)], *adapter_rows(info), *hash_rows(info.sha256)):
        output.print(printable(f"{name}: {value}"), soft_wrap=True)
    for line in ("", *card.splitlines()) if card else ():
        output.print(printable(line), soft_wrap=True)
