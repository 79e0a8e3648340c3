"""Fixtures shared by the tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

_NOBODY = 65534


@pytest.fixture
def as_ordinary_user(tmp_path: Path) -> Iterator[None]:
    """Give up root for the test, where it runs as root: permissions do not bind root.

    The test's own directory, and those above it that the runner made, are opened to that user.
    """
    if os.geteuid() != 0:
        yield
        return
    for directory in (tmp_path, *tmp_path.parents):
        if directory.owner() == "root" and directory != Path("/") and "pytest" in directory.as_posix():
            directory.chmod(0o755)
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, _NOBODY, _NOBODY)
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
