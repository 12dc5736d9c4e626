"""`render-adapt report`: one page about a dataset."""

from __future__ import annotations

from pathlib import Path

from render_adapt._cli.consoles import errors, output
from render_adapt._report.page import write_report


def report(
    dataset: Path,
    *,
    out: Path | None = None,
    target: Path | None = None,
    adapter: Path | None = None,
) -> None:
    """Write one HTML page about a dataset: counts, views, fidelity, examples.

    Parameters
    ----------
    dataset
        The folder that --out made.
    out
        The file to write [default: report.html in the dataset's folder].
    target
        Real crops, as for train: the nearest one is shown beside each crop.
    adapter
        The adapter's folder, for its card, where it is not the one that comes with the package.
    """
    with errors.status("drawing the report"):
        page = write_report(dataset, out, target=target, adapter=adapter)
    output.print(f"report: {page}", soft_wrap=True)
