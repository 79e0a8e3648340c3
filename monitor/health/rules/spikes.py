"""Sudden rises of the training loss: spikes that recover, and shifts to a new level that do not.

The screen compares every point with the points before it alone. Its thresholds are computed for aligned stretches of
points at once, so a million points cost a fraction of a second and a continued screen sees the same as a new one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from monitor.health.episodes import Change, Episode, Place
from monitor.health.rules.rule import Rule, SeriesReplay, Text, covered, present  # noqa: F401
from monitor.health.scene import Scene
from monitor.health.stats import MAD_TO_SIGMA
from monitor.health.track import Track, tick_counts
from monitor.schema import Floats, Severity
from monitor.text import format_number, format_step, plain
