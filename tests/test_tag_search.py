"""Searching among the names of series."""

import time

import pytest

from monitor.tag_search import find_tags, groups_of

TAGS = ("lr", "train/loss", "Train/Acc (%)", "validation/task1_loss", "validation/task2_loss")


def test_an_empty_search_finds_all() -> None:
    assert find_tags(TAGS, " ").tags == TAGS


def test_a_text_is_found_whatever_its_case() -> None:
    assert find_tags(TAGS, "LOSS").tags == ("train/loss", "validation/task1_loss", "validation/task2_loss")


def test_a_regular_expression_is_matched_anywhere() -> None:
    assert find_tags(TAGS, "^validation/task[12]_").tags == ("validation/task1_loss", "validation/task2_loss")


@pytest.mark.parametrize("text", ["(%)", "acc (", "task["])
def test_a_text_that_is_no_expression_is_searched_for_as_it_is(text: str) -> None:
    found = find_tags((*TAGS, "task[3]"), text)
    assert all(text.lower() in tag.lower() for tag in found.tags)


def test_that_it_was_searched_as_a_text_is_said() -> None:
    assert "no regular expression" in find_tags(TAGS, "acc (").note


def test_a_group_holds_the_series_below_its_first_word() -> None:
    assert find_tags(TAGS, "task2", "validation").tags == ("validation/task2_loss",)


def test_groups_are_the_words_before_the_first_slash() -> None:
    assert groups_of(TAGS) == ("Train", "train", "validation")


def test_no_expression_can_hang_the_page() -> None:
    before = time.perf_counter()
    find_tags(["a" * 5_000] * 20, "(a+)+$b")
    assert time.perf_counter() - before < 1
