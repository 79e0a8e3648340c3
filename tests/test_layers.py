"""The edges of the house as data, and a check of every import in it.

Lint rules that ban imports cannot express these: lifting one ban for a file lifts all of them there.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent

# foreign library → the modules that may import it: its one door
DOORS: dict[str, tuple[str, ...]] = {
    "streamlit": ("monitor.ui", "pages", "streamlit_app"),
    "tensorboard": ("monitor.sources.eventfile", "monitor.demo"),
    "tbparse": ("monitor.sources.extras",),
    "psutil": ("monitor.sources.resources",),
    "GPUtil": ("monitor.sources.resources",),
    "pynvml": ("monitor.sources.resources",),
    "yaml": ("monitor.sources.config",),
    "altair": ("monitor.chart_spec", "monitor.relation_spec"),
    "vl_convert": ("monitor.pictures",),
    "rich": ("monitor.dashboard",),
    "scipy": ("monitor.analysis.difference",),
    "torch": (),
    "pickle": (),
    "tensorflow": (),
}

# module → what it never imports
NEVER: dict[str, tuple[str, ...]] = {
    "monitor.errors": ("monitor",),
    "monitor.schema": ("monitor",),
    "monitor.text": ("monitor",),
    "monitor.number_style": ("monitor",),
    "monitor.sources": (
        "monitor.analysis",
        "monitor.health",
        "monitor.status",
        "monitor.watch",
        "monitor.charts",
        "monitor.report",
        "monitor.figures",
        "monitor.cli",
    ),
    "monitor.analysis": ("monitor.sources", "monitor.health", "monitor.status", "monitor.watch"),
    "monitor.health": ("monitor.sources", "monitor.status", "monitor.watch"),
    "monitor.status": ("monitor.sources", "monitor.watch"),
    "monitor.digest": ("monitor.sources", "monitor.watch", "monitor.figures", "monitor.cli"),
    "monitor.watch": ("monitor.charts", "monitor.run_charts", "monitor.report", "monitor.figures", "monitor.cli"),
    "monitor.charts": ("monitor.sources", "monitor.watch", "monitor.run_charts", "monitor.pictures", "monitor.cli"),
    "monitor.run_charts": ("monitor.sources", "monitor.watch", "monitor.pictures", "monitor.cli"),
    "monitor.machine_charts": ("monitor.sources", "monitor.watch", "monitor.pictures", "monitor.cli"),
    "monitor.live_figures": ("monitor.sources", "monitor.watch", "monitor.pictures", "monitor.report", "monitor.cli"),
    "monitor.tag_search": ("monitor",),
    "monitor.pictures": ("monitor.sources", "monitor.watch", "monitor.cli"),
    "monitor.figures": ("monitor.sources", "monitor.watch", "monitor.cli"),
    "monitor.comparison": ("monitor.sources", "monitor.watch", "monitor.figures", "monitor.report", "monitor.cli"),
    "monitor.plots": ("monitor.sources", "monitor.watch", "monitor.report", "monitor.cli"),
    "monitor.comparison_charts": ("monitor.sources", "monitor.watch", "monitor.cli"),
    "monitor.comparison_export": ("monitor.sources", "monitor.watch", "monitor.cli"),
    "monitor.comparison_relations": ("monitor.sources", "monitor.watch", "monitor.cli"),
    "monitor.comparison_tables": ("monitor.sources", "monitor.watch", "monitor.cli"),
    "monitor.report": ("monitor.sources", "monitor.watch", "monitor.cli"),
    "monitor.comparison_report": ("monitor.sources", "monitor.watch", "monitor.cli"),
    "monitor.report_charts": ("monitor.sources", "monitor.watch", "monitor.cli"),
    "monitor.report_files": ("monitor.sources", "monitor.watch", "monitor.report", "monitor.cli"),
    "monitor.document": ("monitor.sources", "monitor.watch", "monitor.report", "monitor.cli"),
    "monitor.markdown": ("monitor.sources", "monitor.watch", "monitor.report", "monitor.cli"),
    "monitor.html": ("monitor.sources", "monitor.watch", "monitor.report", "monitor.cli"),
    "monitor.dashboard": ("monitor.sources", "monitor.watch", "monitor.cli"),
    # A front end asks watch and status, so that all of them show the same findings.
    "monitor.cli": ("monitor.sources", "monitor.health"),
    "monitor.ui": ("monitor.sources", "monitor.health", "monitor.cli"),
    "pages": ("monitor.sources", "monitor.health", "monitor.cli", "pandas", "numpy", "altair"),
    "streamlit_app": ("monitor.sources", "monitor.health", "monitor.cli", "pandas", "numpy", "altair"),
}

# source → the other sources it may import; every other pair is forbidden
SOURCE_EDGES: dict[str, tuple[str, ...]] = {
    "columns": ("framing", "wire"),
    "periods": ("columns", "framing", "wire"),
    "records": ("columns", "framing", "periods", "wire"),
    "sessions": ("columns",),
    "eventfile": ("columns", "framing", "records", "sessions", "wire"),
    "layout": ("eventfile",),
    "glance": ("columns", "framing", "records"),
    "reader": ("columns", "eventfile", "records", "sessions"),
    "extras": ("framing", "records"),
    "hparams": ("framing", "wire"),
    "runs": ("eventfile",),
}
ANY_SOURCE: tuple[str, ...] = ("layout",)

# part of the house that is a leaf → who may import it
LEAVES: dict[str, tuple[str, ...]] = {"monitor.ui": ("monitor.ui", "pages", "streamlit_app")}

PURE = (
    "monitor.analysis",
    "monitor.health",
    "monitor.status",
    "monitor.digest",
    "monitor.figures",
    "monitor.plots",
    "monitor.schema",
    "monitor.errors",
)
IMPURE_IMPORTS = (
    *("asyncio", "datetime", "glob", "io", "logging", "multiprocessing", "os", "pathlib", "random", "shutil", "socket"),
    *("subprocess", "sys", "tempfile", "threading", "time", "urllib", "warnings"),
)
IMPURE_CALLS = ("open", "print", "input", "eval", "exec", "compile", "__import__")

# attribute → the only modules that may use it
ATTRIBUTE_DOORS: dict[str, tuple[str, ...]] = {
    "cache_data": ("monitor.ui.cache",),
    "cache_resource": ("monitor.ui.cache",),
    "session_state": ("monitor.ui.frame",),
    "query_params": ("monitor.ui.frame",),
}
# MonitorError itself is caught where it is shown to a person; a leaf may be translated elsewhere.
CATCHERS = ("monitor.cli", "monitor.ui.frame")
MUTATORS = {"append", "extend", "insert", "add", "update", "setdefault", "pop", "popitem", "remove", "discard", "clear"}


@dataclass(frozen=True)
class Module:
    """One file of the project: its dotted name and its syntax tree."""

    name: str
    tree: ast.Module


@dataclass(frozen=True)
class Breach:
    """A place where an edge is broken."""

    module: str
    line: int
    what: str


Check = Callable[[Module], Iterator[Breach]]


def within(name: str, *parts: str) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in parts)


def imports(module: Module) -> Iterator[tuple[str, int]]:
    """Yield every imported name, dotted and absolute; ``from a import b`` gives ``a.b``, as b may be a module."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = module.name.split(".")[: -node.level] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)


def foreign_doors(module: Module) -> Iterator[Breach]:
    for name, line in imports(module):
        library = name.split(".")[0]
        if library in DOORS and not within(module.name, *DOORS[library]):
            yield Breach(module.name, line, f"{library} has another door")


def forbidden_imports(module: Module) -> Iterator[Breach]:
    for part, forbidden in NEVER.items():
        if within(module.name, part):
            for name, line in imports(module):
                if within(name, *forbidden) and not within(name, part):
                    yield Breach(module.name, line, f"{part} never imports {name}")


def leaf_imports(module: Module) -> Iterator[Breach]:
    for leaf, importers in LEAVES.items():
        for name, line in imports(module):
            if within(name, leaf) and not within(module.name, *importers):
                yield Breach(module.name, line, f"{leaf} is a leaf")


def source_edges(module: Module) -> Iterator[Breach]:
    if not within(module.name, "monitor.sources"):
        return
    own = module.name.split(".")[2:3]
    allowed = {*own, *ANY_SOURCE, *(SOURCE_EDGES.get(own[0], ()) if own else ())}
    for name, line in imports(module):
        parts = name.split(".")
        if parts[:2] == ["monitor", "sources"] and len(parts) > 2 and parts[2] not in allowed:
            yield Breach(module.name, line, f"a source does not import {name}")


def impurities(module: Module) -> Iterator[Breach]:
    if not within(module.name, *PURE):
        return
    for name, line in imports(module):
        if name.split(".")[0] in IMPURE_IMPORTS:
            yield Breach(module.name, line, f"a pure module does not import {name}")
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
            yield Breach(module.name, node.lineno, f"a pure module does not call {node.func.id}")


def attribute_doors(module: Module) -> Iterator[Breach]:
    for node in ast.walk(module.tree):
        names = [node.attr] if isinstance(node, ast.Attribute) else []
        if isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
        for name in names:
            if name in ATTRIBUTE_DOORS and not within(module.name, *ATTRIBUTE_DOORS[name]):
                yield Breach(module.name, node.lineno, f"{name} has another door")


def blanket_handlers(module: Module) -> Iterator[Breach]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler):
            caught = {part.id for part in ast.walk(node.type) if isinstance(part, ast.Name)} if node.type else {"all"}
            for name in sorted(caught & {"all", "Exception", "BaseException"}):
                yield Breach(module.name, node.lineno, f"a handler catches {name}")
            if "MonitorError" in caught and not within(module.name, *CATCHERS):
                yield Breach(module.name, node.lineno, "MonitorError is caught where it is shown only")


def mutable_state(module: Module) -> Iterator[Breach]:
    """Yield lower-case module-level containers, ``global``, and functions that change a module-level container."""
    names = set()
    for node in module.tree.body:
        for target in _targets(node):
            names.add(target.id)
            if _is_container(node.value) and not (target.id.isupper() or target.id.startswith("__")):
                yield Breach(module.name, node.lineno, f"{target.id} is mutable and no constant")
    for function in ast.walk(module.tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            local = _local_names(function)
            for node in ast.walk(function):
                if isinstance(node, ast.Global):
                    yield Breach(module.name, node.lineno, "a function changes a global")
                elif (name := _changed(node)) in names - local:
                    yield Breach(module.name, node.lineno, f"a function changes {name}")


def _targets(node: ast.stmt) -> list[ast.Name]:
    if isinstance(node, ast.Assign):
        return [target for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and node.value is not None and isinstance(node.target, ast.Name):
        return [node.target]
    return []


def _is_container(value: ast.expr) -> bool:
    makers = {"list", "dict", "set", "defaultdict", "deque", "Counter", "OrderedDict"}
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id in makers
    return isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)


def _local_names(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    arguments = {argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)}
    stored = {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return arguments | stored


def _changed(node: ast.AST) -> str | None:
    """Return the name of the container that a node changes in place, if it does."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
        changed = node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
        changed = node.func.value
    else:
        return None
    return changed.id if isinstance(changed, ast.Name) else None


CHECKS: tuple[Check, ...] = (
    foreign_doors,
    forbidden_imports,
    leaf_imports,
    source_edges,
    impurities,
    attribute_doors,
    blanket_handlers,
    mutable_state,
)


def project_modules() -> list[Module]:
    files = sorted([*PROJECT.glob("monitor/**/*.py"), *PROJECT.glob("pages/*.py"), *PROJECT.glob("streamlit_app.py")])
    return [parse(_dotted(path), path.read_text(encoding="utf-8")) for path in files]


def _dotted(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def parse(name: str, source: str) -> Module:
    return Module(name, ast.parse(source))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_no_module_breaks_the_edge(check: Check) -> None:
    breaches = [breach for module in project_modules() for breach in check(module)]
    assert not breaches, "\n".join(f"{item.module}, line {item.line}: {item.what}" for item in breaches)


def test_the_whole_house_is_looked_at() -> None:
    names = {module.name for module in project_modules()}
    assert {"streamlit_app", "pages.live_run", "monitor.cli", "monitor.ui.frame", "monitor.sources.reader"} <= names


@pytest.mark.parametrize(
    ("check", "name", "source"),
    [
        (foreign_doors, "monitor.report", "import streamlit as st"),
        (foreign_doors, "monitor.watch", "from psutil import cpu_percent"),
        (foreign_doors, "monitor.sources.reader", "def read():\n    import tbparse"),
        (foreign_doors, "monitor.sources.checkpoints", "import torch.serialization"),
        (forbidden_imports, "monitor.sources.runs", "from monitor.analysis import roles"),
        (forbidden_imports, "monitor.schema", "from monitor.text import plain"),
        (forbidden_imports, "monitor.cli", "from monitor import sources"),
        (forbidden_imports, "pages.live_run", "import pandas as pd"),
        (forbidden_imports, "pages.report", "from monitor.sources.reader import RunReader"),
        (leaf_imports, "monitor.report", "from monitor.ui import frame"),
        (source_edges, "monitor.sources.config", "from monitor.sources.reader import RunReader"),
        (source_edges, "monitor.sources.config", "from .reader import RunReader"),
        (impurities, "monitor.analysis.series", "from pathlib import Path"),
        (impurities, "monitor.health.score", "import time"),
        (impurities, "monitor.analysis.roles", "def f(p):\n    return open(p).read()"),
        (attribute_doors, "pages.live_run", "import streamlit as st\n@st.cache_data\ndef f(): ..."),
        (attribute_doors, "monitor.ui.panels", "from streamlit import session_state"),
        (blanket_handlers, "monitor.watch", "try:\n    f()\nexcept Exception:\n    pass"),
        (blanket_handlers, "monitor.watch", "try:\n    f()\nexcept (OSError, BaseException):\n    pass"),
        (blanket_handlers, "monitor.watch", "try:\n    f()\nexcept:\n    pass"),
        (blanket_handlers, "monitor.watch", "try:\n    f()\nexcept MonitorError:\n    pass"),
        (mutable_state, "monitor.watch", "seen = {}"),
        (mutable_state, "monitor.watch", "SEEN = {}\ndef f(x):\n    SEEN[x] = 1"),
        (mutable_state, "monitor.watch", "SEEN = []\ndef f(x):\n    SEEN.append(x)"),
        (mutable_state, "monitor.watch", "N = 0\ndef f():\n    global N\n    N += 1"),
    ],
)
def test_a_broken_edge_is_found(check: Check, name: str, source: str) -> None:
    assert list(check(parse(name, source)))


@pytest.mark.parametrize(
    ("check", "name", "source"),
    [
        (foreign_doors, "monitor.ui.frame", "import streamlit as st"),
        (foreign_doors, "monitor.chart_spec", "import altair as alt"),
        (forbidden_imports, "monitor.watch", "from monitor.sources.reader import RunReader"),
        (source_edges, "monitor.sources.reader", "from monitor.sources.eventfile import EventFile"),
        (source_edges, "monitor.sources.checkpoints", "from monitor.sources.layout import run_files"),
        (blanket_handlers, "monitor.cli", "try:\n    f()\nexcept MonitorError:\n    pass"),
        (mutable_state, "monitor.watch", "NAMES = {}\ndef f():\n    NAMES = {}\n    NAMES['a'] = 1\n    return NAMES"),
    ],
)
def test_an_allowed_edge_passes(check: Check, name: str, source: str) -> None:
    assert not list(check(parse(name, source)))
