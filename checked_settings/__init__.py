"""Settings: one way to check them, and one root of all errors with one way to word them.

A settings class is a frozen dataclass whose annotations say what each field may be:

    steps: Annotated[int, AtLeast(1)] = 1000
    schedule: Literal["constant", "linear"] = "constant"

and whose `__post_init__` calls `check(self)`.

Convention:
    In messages the names of settings are those of Python, in backticks: "`steps` is 0: it must be
    at least 1". `worded` puts what the reader knows them by in their place.
"""

from checked_settings._check import check, fit, fitted_to, known_as
from checked_settings._errors import (
    MissingDependency,
    RenderAdaptError,
    SettingError,
    WrongValue,
    worded,
)
from checked_settings._rules import (
    Above,
    Ascending,
    AtLeast,
    AtMost,
    Below,
    Between,
    Matching,
    NotEmpty,
    OneOf,
    Rule,
    alternatives,
)

__all__ = [
    "Above",
    "Ascending",
    "AtLeast",
    "AtMost",
    "Below",
    "Between",
    "Matching",
    "MissingDependency",
    "NotEmpty",
    "OneOf",
    "RenderAdaptError",
    "Rule",
    "SettingError",
    "WrongValue",
    "alternatives",
    "check",
    "fit",
    "fitted_to",
    "known_as",
    "worded",
]
