"""The rules, in the order they are replayed: a rule may ask what rules before it had open.

A new rule is one entry in the ``RULES`` of its family's file, with its reading, its texts and its causes beside it;
a new family is one more line here.
"""

from monitor.health.rules import generalisation, learning_rate, log, machine, numbers, spikes, trend
from monitor.health.rules.rule import Rule

RULES: tuple[Rule, ...] = (
    *numbers.RULES,
    *trend.RULES,
    *spikes.RULES,
    *generalisation.RULES,
    *learning_rate.RULES,
    *log.RULES,
    *machine.RULES,
)
