import json

from monitor.schema import Scalars
from monitor.status import status_json, strict_json
from tests.json_contract import missing_keys
from tests.statuses import example_status, metric


def test_every_key_of_the_contract_is_there() -> None:
    assert not list(missing_keys(status_json(example_status())))


def test_a_nan_becomes_its_name() -> None:
    status = example_status(loss=metric("train/loss", "loss", value=float("nan")))
    assert status_json(status)["metrics"]["loss"]["value"] == "NaN"


def test_infinities_become_their_names_at_any_depth() -> None:
    assert strict_json({"a": [float("inf"), {"b": -float("inf")}]}) == {"a": ["Infinity", {"b": "-Infinity"}]}


def test_the_result_is_json_without_extensions() -> None:
    values = status_json(example_status(loss=metric("train/loss", "loss", value=float("inf"))))
    assert json.loads(json.dumps(values, allow_nan=False)) == values


def test_an_absent_metric_is_null() -> None:
    assert status_json(example_status())["metrics"]["epoch_duration"] is None


def test_a_score_tells_its_direction() -> None:
    assert status_json(example_status())["metrics"]["scores"][0]["direction"] == "max"


def test_times_are_iso_8601_with_offset() -> None:
    assert status_json(example_status())["run"]["first_event"] == "2023-11-14T22:13:20.000+00:00"


def test_a_time_beyond_the_calendar_is_null() -> None:
    status = example_status(scalars=Scalars(last_event=1e300))
    assert status_json(status)["run"]["last_event"] is None
