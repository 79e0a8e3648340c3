"""The version of the monitor, as its reports name it."""

from typing import Final

VERSION: Final = "0.1.0"
