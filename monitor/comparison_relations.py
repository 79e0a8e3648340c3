"""A comparison → the charts of how its results go with the settings. Pure."""

from collections.abc import Sequence

import pyarrow as pa

from monitor.analysis.configurations import config_text
from monitor.charts.relations import (
    MOST_AXES,
    Level,
    Parallel,
    Scatter,
    Setting,
    axis_titles,
    parallel_tables,
    scatter_rows,
)
from monitor.comparison import RunComparison
from monitor.comparison_charts import group_styles, number_of
from monitor.schema import ConfigValue
from monitor.text import plain, shorten_middle

NAME_CHARACTERS = 44


def scatter_of(found: RunComparison, key: str) -> tuple[Scatter, pa.Table] | None:
    """Return one key against the result of every run, coloured by group; None with fewer than two runs to draw."""
    values = found.difference.settings.get(key, {})
    told = [row for row in found.comparison.rows if row.value is not None]
    if len(told) < 2 or not values:
        return None
    styles = group_styles([row.group for row in found.comparison.groups])
    short = {name: shorten_middle(plain(name), NAME_CHARACTERS) for name in styles}
    setting = Setting(key, _levels([values.get(row.run) for row in told]))
    scatter = Scatter(
        x_title=shorten_middle(plain(key), NAME_CHARACTERS),
        y_title=shorten_middle(found.comparison.reading, NAME_CHARACTERS),
        is_number=setting.is_number,
        is_log=setting.is_log,
        names=tuple(short.values()),
        colors=tuple(style.color for style in styles.values()),
    )
    groups = [short[found.comparison.label_of(row.run) or row.run] for row in told]
    results = [row.value for row in told if row.value is not None]
    return scatter, scatter_rows(setting, results, groups, [row.run for row in told])


def parallel_of(found: RunComparison) -> tuple[Parallel, dict[str, pa.Table]] | None:
    """Return every configuration as a line through its settings to its mean result.

    Returns:
        None with fewer than two configurations, or where nothing differs.
    """
    told = [row for row in found.comparison.groups if row.mean is not None]
    strongest = [item.keys[0] for item in found.associations]
    keys = list(dict.fromkeys([*strongest, *found.difference.settings]))[:MOST_AXES]
    if len(told) < 2 or not keys:
        return None
    settings = [
        Setting(key, _levels([found.difference.settings[key].get(row.group.runs[0]) for row in told])) for key in keys
    ]
    axes = axis_titles(keys, found.comparison.tag)
    means = [row.mean for row in told if row.mean is not None]
    tables = parallel_tables(settings, means, [row.group.name for row in told], axes)
    return Parallel(axes), tables


def _levels(values: Sequence[ConfigValue]) -> tuple[Level, ...]:
    """Return configured values as numbers where all are, else as words."""
    numbers = [number for value in values if (number := number_of(value)) is not None]
    return tuple(numbers) if len(numbers) == len(values) else tuple(config_text(value) for value in values)
