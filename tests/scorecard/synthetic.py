"""Layer A: runs drawn from formulas, labelled by what was put into them.

Length varies from ×0.3 to ×3 of what is usual, noise from ×0.5 to ×2, a fault begins after 20–80 % of the run, and its
size is drawn from a range that begins where a careful person would just see it. The recipes know nothing of the rules.
"""

from collections.abc import Iterator, Mapping

from tests.scorecard import controls_open, faults_open, kept_apart
from tests.scorecard.drafting import Recipe, draw_run
from tests.scorecard.runs import LabelledRun, Part

FAULTS: Mapping[Part, Mapping[str, Recipe]] = {"open": faults_open.FAULTS, "apart": kept_apart.FAULTS}
CONTROLS: Mapping[Part, Mapping[str, Recipe]] = {"open": controls_open.CONTROLS, "apart": kept_apart.CONTROLS}


def draw_runs(part: Part, seeds: range) -> Iterator[LabelledRun]:
    """Yield the faulty and the healthy runs of a part, recipe by recipe, each with every seed."""
    for recipes in (FAULTS[part], CONTROLS[part]):
        for name, recipe in recipes.items():
            yield from (draw_run(name, recipe, part, seed) for seed in seeds)
