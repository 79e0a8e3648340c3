"""A fixed number of damaged files; `python -m tests.fuzz` tries as many as you like."""

from pathlib import Path

import pytest

from tests.fuzz import build_case, check_case

CASES = 240
CASES_PER_TEST = 20
ONCE_FAILED = (1_003_024,)  # seeds that showed a fault, which was mended


@pytest.mark.parametrize("first", range(0, CASES, CASES_PER_TEST))
def test_damaged_files_are_read_as_far_as_they_are_sound(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + CASES_PER_TEST):
        check_case(build_case(seed), tmp_path)


@pytest.mark.parametrize("seed", ONCE_FAILED)
def test_what_once_failed_holds(seed: int, tmp_path: Path) -> None:
    check_case(build_case(seed), tmp_path)
