"""The only reader of the environment in this room; `settings.py` makes settings of it. Imported before the child starts."""

import os
from collections.abc import Mapping

ENVIRON: Mapping[str, str] = os.environ
PREFIX = "RUNBELL_"


def variable(name: str) -> str:
    """The environment variable of a setting: `RUNBELL_URL` for `url`."""
    return PREFIX + name.upper()
