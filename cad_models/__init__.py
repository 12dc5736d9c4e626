"""CAD models: the built-in ones, BOP models folders and mesh files, ready to be rendered."""

from cad_models._declared import declare_symmetries
from cad_models._files.bop_folder import write_models
from cad_models._files.registry import SOURCES, Source
from cad_models._files.source import SourceFiles
from cad_models._mesh.checked import RawMesh, largest_distance
from cad_models._mesh.closed import is_closed
from cad_models._model import CadModel, ContinuousSymmetry, Mesh, ModelError, Symmetries
from cad_models._registry import ModelSummary, available_models, load_models, model_from_arrays

__all__ = [
    "SOURCES",
    "CadModel",
    "ContinuousSymmetry",
    "Mesh",
    "ModelError",
    "ModelSummary",
    "RawMesh",
    "Source",
    "SourceFiles",
    "Symmetries",
    "available_models",
    "declare_symmetries",
    "is_closed",
    "largest_distance",
    "load_models",
    "model_from_arrays",
    "write_models",
]
