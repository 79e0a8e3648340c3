"""All scalars of several runs in one table, as CSV or Parquet. Pure: bytes, no files."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from monitor.status import RunStatus

if TYPE_CHECKING:
    import pandas as pd


def all_scalars(statuses: Sequence[RunStatus]) -> "pd.DataFrame":
    """Return every point of some runs, superseded ones included: ``run, tag, step, wall_time, value, session``."""
    import pandas as pd  # slow to import; a page without a download does without

    frames = [status.scalars.frame for status in statuses]
    names = pd.Index([status.run.name for status in statuses], dtype="str")
    codes = np.repeat(np.arange(len(frames), dtype=np.int32), [len(frame) for frame in frames])
    points = pd.concat(frames, ignore_index=True)
    points["tag"] = points["tag"].astype("category")  # frames with different tags lose it
    run = pd.Categorical.from_codes(codes, categories=names)
    return pd.DataFrame({"run": run, **{name: points[name].array for name in points.columns}})


def render_scalars_csv(statuses: Sequence[RunStatus]) -> bytes:
    """Return every point as CSV in UTF-8; NaN and infinities stand by name."""
    text: str = all_scalars(statuses).to_csv(index=False, na_rep="NaN", lineterminator="\n")
    return text.encode()


def render_scalars_parquet(statuses: Sequence[RunStatus]) -> bytes:
    """Return every point as Parquet."""
    into = io.BytesIO()
    all_scalars(statuses).to_parquet(into, index=False)
    return into.getvalue()
