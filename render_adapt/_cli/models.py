"""`render-adapt models`: which objects can be rendered."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App
from rich.table import Table

from cad_models import available_models
from render_adapt._cli.consoles import output
from render_adapt._config import Units

models_app = App(name="models", help="The objects that can be rendered.", help_epilogue="")


@models_app.command(name="list")
def list_models(*, models: Path | None = None, units: Units | None = None) -> None:
    """List the objects that --objects can name.

    Parameters
    ----------
    models
        A BOP models folder in place of the built-in models.
    units
        Unit of the folder, where it is not millimetres.
    """
    table = Table("name", "id", "diameter (mm)", "faces", "symmetric", box=None)
    for model in available_models(models, units):
        symmetric = "yes" if model.symmetric else ""
        table.add_row(
            model.name, str(model.object_id), f"{model.diameter:.1f}", str(model.faces), symmetric
        )
    output.print(table)
