"""Adapters by name: those that come with the package, and those that other packages bring."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from adapter._errors import AdapterError
from adapter._runtime.description import DESCRIPTION
from plug_ins import PlugIns

_SHIPPED = Path(__file__).parents[1] / "shipped"

SHIPPED_ADAPTER = _SHIPPED / "linemod-rgbd"
"""The adapter that is used where none is named."""

ADAPTERS: Mapping[str, Path] = PlugIns(
    group="adapter.adapters",
    word="adapter",
    kind=Path,
    shipped={file.parent.name: file.parent for file in sorted(_SHIPPED.glob(f"*/{DESCRIPTION}"))},
    names_of=lambda folder: (folder.name,),
    error=AdapterError,
)
"""The folders of all adapters that have a name here, those that come with the package first.

A package of your own may bring one: an entry point of the group `adapter.adapters`, called as the
folder is, that names the folder's `pathlib.Path` (docs/extending.md).
"""


def adapter_folder(adapter: Path | str) -> Path:
    """The folder of an adapter, whichever way it is named.

    Args:
        adapter: "shipped" for the one that is used by default, a folder, or, where there is no
            adapter in a folder of that name, a name in `ADAPTERS`.

    Raises:
        AdapterError: it is another package's, which cannot be used, or no folder and nearly a name.
    """
    if adapter == "shipped":
        return SHIPPED_ADAPTER
    folder = Path(adapter)
    if not (folder / DESCRIPTION).is_file() and str(adapter) in ADAPTERS:
        return ADAPTERS[str(adapter)]
    meant = difflib.get_close_matches(str(adapter), ["shipped", *ADAPTERS], n=1)
    if meant and not folder.exists():
        raise AdapterError(f"{folder} is not an adapter: did you mean {meant[0]}?")
    return folder
