"""The blocks that pages are made of: each draws one part of a run's status, and what is missing in plain words."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import streamlit as st

from monitor import charts
from monitor.analysis.compare import Comparison, ComparisonRow, compare_runs, config_difference
from monitor.analysis.roles import direction_of
from monitor.analysis.series import axis_values, restart_rows, smooth_sessions, visible
from monitor.charts import Curve, Style
from monitor.figures import BAND_WORDS, VERDICT_WORDS, moment, saved_text, sum_text
from monitor.report import prose
from monitor.schema import (
    Checkpoint,
    Finding,
    GpuSample,
    Metric,
    Points,
    Progress,
    ReadProblem,
    RoleTag,
    Run,
    Sample,
    Severity,
)
from monitor.status import RunStatus
from monitor.text import (
    MINUS,
    UNKNOWN,
    code_span,
    format_age,
    format_bytes,
    format_change,
    format_duration,
    format_learning_rate,
    format_number,
    format_percent,
    format_step,
    format_time,
    plain,
)
from monitor.ui import cache, frame
from monitor.ui.frame import ChartView
from monitor.watch import LogWatch, RunList
