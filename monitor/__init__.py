"""A monitor for trainings that write TensorBoard event files.

The way of a scalar, from disk to screen: `sources.eventfile` continues at its byte offset and decodes a block into
columns; `sources.reader` joins the files of one run and places the point in its session; `watch` refreshes the run's
`status.RunStatus` with the help of `analysis` and `health`; `ui.cache` hands it to every browser session; `charts`
smooths, thins and draws it. The terminal (`cli`), the report and the tests take the same road without Streamlit.

Public names, for other programs::

    from monitor import RunReader
    RunReader("runs/a").refresh().frame
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.sources.reader import RunReader
    from monitor.status import RunStatus
    from monitor.watch import RunWatch

__all__ = ["RunReader", "RunStatus", "RunWatch"]

_HOMES = {"RunReader": "monitor.sources.reader", "RunStatus": "monitor.status", "RunWatch": "monitor.watch"}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for, so that `import monitor` stays fast."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
