"""What is going well in a run and what is not: findings with evidence and advice, a score, the loss in a word.

Pure: a judgement is a function of the points so far, the settings and the moment. Rules look at *ticks* that depend on
the points alone, so watching live, refreshing at any interval and reading the files later give the same findings. They
measure in noise and in progress (`track`), open and close with two thresholds (`episodes`), and every deduction of the
score names its findings (`score`). A check that cannot run says why.

The way of a judgement: `assessor.Assessor` makes a `scene.Scene` of the evidence, lets each rule's replay continue over
the new ticks, joins causes and effects, and turns the episodes into `schema.Health`.

To add a rule, write its reading, texts and one entry in ``RULES`` of its family's file in `rules`; nothing else needs
to know it: scoring, coverage, history and the test over all rules read that list.

Public names::

    assess(evidence, settings, now) -> Health
    assess_history(evidence, settings) -> tuple[HealthPoint, ...]
    Assessor().assess(evidence, settings, now) -> Assessment(health, history)    # continues while a run grows
    score_sum(health) -> "100 − 38 (loss rising since step 6,200) = 62"
    label_of(finding) -> "loss rising"; label_of_check(kind)    # what every face calls them
"""

from monitor.health.assessor import Assessment, Assessor, HealthPoint, assess, assess_history
from monitor.health.evidence import Evidence
from monitor.health.labels import label_of, label_of_check
from monitor.health.rules import RULES
from monitor.health.rules.rule import Rule
from monitor.health.score import score_sum

__all__ = [
    "RULES",
    "Assessment",
    "Assessor",
    "Evidence",
    "HealthPoint",
    "Rule",
    "assess",
    "assess_history",
    "label_of",
    "label_of_check",
    "score_sum",
]
