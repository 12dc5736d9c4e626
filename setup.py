"""The long description: README.md, whose links lead to the repository wherever it is shown."""

import re
import tomllib
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent
PROJECT = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)]+)\)")


def absolute(link: re.Match[str]) -> str:
    """A link of the README, with the repository's address before it."""
    picture, text, target = link.groups()
    kind = "raw" if picture else "blob"
    return f"{picture}[{text}]({PROJECT['urls']['Repository']}/{kind}/HEAD/{target})"


README = (HERE / "README.md").read_text(encoding="utf-8")
setup(
    long_description=LINK.sub(absolute, README),
    long_description_content_type="text/markdown",
)
