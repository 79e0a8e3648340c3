"""The rules, in the order they are replayed: a rule may ask what rules before it had open.

A new rule is one entry in the ``RULES`` of its family's file, with its reading, its texts and its causes beside it;
a new family is one more line here.
"""

from monitor.health.rules import (
    checkpoints,
    gap,
    generalisation,
    gradient,
    learning,
    learning_rate,
    log,
    machine,
    numbers,
    oscillation,
    precision,
    schedule,
    speed,
    spikes,
    trend,
)
from monitor.health.rules.rule import Rule

RULES: tuple[Rule, ...] = (
    *numbers.RULES,
    *spikes.RULES,
    *trend.RULES,
    *oscillation.RULES,
    *learning.RULES,
    *generalisation.RULES,
    *gap.RULES,
    *learning_rate.RULES,
    *schedule.RULES,
    *gradient.RULES,
    *precision.RULES,
    *log.RULES,
    *speed.RULES,
    *machine.RULES,
    *checkpoints.RULES,
)
