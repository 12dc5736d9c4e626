"""Which pictures of a folder are crops, which are their depth, and what else lies there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from adapter._target.files import Listing, natural
from adapter._target.names import (
    Key,
    Role,
    in_colour_folder,
    is_aligned,
    is_preview,
    key_of,
    role_of,
)
from adapter._target.pictures import Stored, Unreadable, has_mask_colours, read_stored
from adapter._target.report import ELSEWHERE, MASKS, PREVIEWS, VIEWS, Tally


def sort_pictures(listing: Listing, tally: Tally) -> tuple[list[Path], list[Path]]:
    """Tell crops and depth from what lies beside them, by names, and by content where in doubt.

    Nothing is left out for its name alone where it may be a photograph of a mask or of a label.

    Returns:
        The paths of crops, and those of depth, in natural order.
    """
    crops, depth, doubtful = [], [], []
    for file in listing.images():
        role, is_certain = role_of(file)
        if is_preview(file):
            tally.add(PREVIEWS, file)
        elif role in (None, Role.COLOUR):
            crops.append(file)
        elif role is Role.DEPTH and is_certain:
            depth.append(file)
        else:
            doubtful.append((file, role, is_certain))
    keys = {key_of(file) for file in crops}
    for file, role, is_certain in doubtful:
        belongs = key_of(file) in keys
        if role is Role.DEPTH and (belongs or _is(file, listing.folder, _is_wide)):
            depth.append(file)
        elif role is Role.MASK and (belongs or _is(file, listing.folder, _is_mask)):
            tally.add(MASKS, file)
        elif (role is Role.CHANNEL and belongs) or (
            role is Role.VIEW and (belongs or (is_certain and keys))
        ):
            tally.add(VIEWS, file)
        else:
            crops.append(file)
    return _from_colour_folders(sorted(crops, key=natural), tally), sorted(depth, key=natural)


def _from_colour_folders(crops: list[Path], tally: Tally) -> list[Path]:
    """Crops of the folders that are called after colour, where there are any.

    Of what is by its name no colour picture, `images/` is enough.
    """
    clear, faint = (
        {file for file in crops if in_colour_folder(file, clearly=clearly)}
        for clearly in (True, False)
    )
    of_other_roles = {file for file in crops if role_of(file)[0] not in (None, Role.COLOUR)}
    elsewhere = (set(crops) - clear if clear else set()) | (
        of_other_roles - faint if faint else set()
    )
    for file in crops:
        if file in elsewhere:
            tally.add(ELSEWHERE, file)
    return [file for file in crops if file not in elsewhere]


def _is(file: Path, folder: Path, of_kind: Callable[[Stored], bool]) -> bool:
    try:
        return of_kind(read_stored(file, folder))
    except Unreadable:
        return False


def _is_wide(stored: Stored) -> bool:
    return stored.is_wide


def _is_mask(stored: Stored) -> bool:
    return has_mask_colours(stored.pixels)


class DepthFiles:
    """Depth by the names of the crops that it belongs to."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._by_name: dict[bool, dict[Key, list[Path]]] = {
            exact: _grouped(files, exact=exact) for exact in (True, False)
        }
        self.files = files

    def of(self, crop: Path) -> list[Path]:
        """Those of a crop, the one brought into its view first; 7 is 007 where there is no 7."""
        for exact, groups in self._by_name.items():
            if files := groups.get(key_of(crop, exact=exact)):
                return sorted(files, key=lambda file: not is_aligned(file))
        return []


def _grouped(files: Sequence[Path], *, exact: bool) -> dict[Key, list[Path]]:
    groups = defaultdict(list)
    for file in files:
        groups[key_of(file, exact=exact)].append(file)
    return dict(groups)
