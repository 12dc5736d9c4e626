"""Objects by name of which other packages may bring more, by their entry points."""

from plug_ins._plug_ins import PlugIns

__all__ = ["PlugIns"]
