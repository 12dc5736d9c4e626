"""`render-adapt` itself: a labelled dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from checked_settings import SettingError, WrongValue, alternatives
from render_adapt._cli.config_files import PRESET, read_config, write_config
from render_adapt._cli.settings import Flag, given_settings, optional_fields
from render_adapt._config import PRESETS, RunConfig

_RunSettings: Any = optional_fields(RunConfig)


def run(
    *,
    preset: str | None = None,
    config: Path | None = None,
    save_config: Path | None = None,
    dry_run: Flag = False,
    only: int | None = None,
    quiet: Flag = False,
    json: Flag = False,
    settings: Annotated[_RunSettings, Parameter(name="*")] = None,
) -> None:
    """Make a labelled dataset of rendered and adapted crops.

    Parameters
    ----------
    preset
        Settings to start from: default; linemod, crops cut as LINEMOD's camera crops are and as far
        off the camera's axis; or linemod-paper, the 109,208 renders of 11 objects by
        Wohlhart & Lepetit's recipe (301 viewpoints in place of 1241 with --subdivisions 3).
    config
        A TOML file of settings, named as here with _ for -, as in off_axis = 5.0; what is given
        beside it counts. `preset` may stand in it.
    save_config
        Write all settings that were given to such a file before anything is made.
    dry_run
        Say what would be made, its size and how long it takes, by making a few crops, and stop.
    only
        Make this crop of the run alone, in this process and beside the dataset; where --out holds
        a run, its settings need not be given again.
    quiet
        Print nothing but what goes wrong.
    json
        Print what was made, or would be, as one line of JSON.
    """
    # Whoever asks for help does not wait for what makes crops.
    from render_adapt._cli.making import make_dataset, make_one_crop, say_what_would_be_made

    run_settings = _all_settings(preset, config, given_settings(settings))
    if save_config is not None:
        write_config(save_config, run_settings)
    if only is not None:
        if dry_run:
            raise SettingError("`dry_run` is for the whole run: leave it out, or leave out `only`")
        make_one_crop(only, run_settings)
        return
    run_config = RunConfig(**{"objects": (), **run_settings})
    act = say_what_would_be_made if dry_run else make_dataset
    act(run_config, quiet, json)


def _all_settings(preset: str | None, config: Path | None, given: dict[str, Any]) -> dict[str, Any]:
    """Settings of a run: a preset's, those of a file before these, what is given before all.

    Raises:
        SettingError: the file cannot be used, or a value is wrong that no `RunConfig` refuses.
    """
    from_file = {} if config is None else read_config(config)
    chosen = from_file.pop(PRESET, "default") if preset is None else preset
    from_file.pop(PRESET, None)
    if chosen not in PRESETS:
        raise WrongValue("preset", chosen, alternatives(PRESETS))
    settings = {**PRESETS[chosen], **from_file, **given}
    if settings.get("n") == 0:
        raise WrongValue("n", 0, "at least 1")
    return settings
