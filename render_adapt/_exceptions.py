"""What can go wrong, as one tree.

RenderAdaptError           one sentence for the person who gave the command
├── SettingError           settings cannot be used
│   └── WrongValue         one of them breaks its rule
├── MissingDependency      a package is not installed
├── cad_models.ModelError  a CAD model cannot be used, or (a SettingError too) is not there
├── renderer.RenderError   a crop cannot be rendered as asked
├── adapter.AdapterError   an adapter cannot be trained, read, written or applied
│   ├── TrainingDiverged   a loss is no longer a finite number
│   ├── TrainingCollapsed  adapted crops have become alike
│   └── OtherTraining      a folder holds the training of other settings or crops
├── blenderproc.SceneError what BlenderProc has or gave cannot be worked with as it is
├── DatasetError           the output folder cannot be written, read or continued
└── WorkerError            worker processes keep dying
"""

from __future__ import annotations

from checked_settings import RenderAdaptError


class DatasetError(RenderAdaptError):
    """The output folder cannot be written, read or continued."""


class WorkerError(RenderAdaptError):
    """Worker processes keep dying before they have finished a shard."""

    def __init__(self, message: str, shard: int | None = None) -> None:
        super().__init__(message)
        self.shard = shard
        """Where they die; None where it is as they start."""
