"""What a person reads instead of the kind of a finding or of a check, the same in every place that names one."""

from typing import Final

from monitor.health.rules import RULES
from monitor.health.scene import is_reward
from monitor.schema import Finding

_LABELS: Final = {rule.kind: rule.label for rule in RULES}


def label_of(finding: Finding) -> str:
    """Return what a finding says in a few words: ``loss rising``; of a series that should grow, ``reward falling``."""
    if finding.kind == "rising" and is_reward(finding.tag or ""):
        return "reward falling"
    return label_of_check(finding.kind)


def label_of_check(kind: str) -> str:
    """Return what a check looks for in a few words; of a kind that no rule has, its name."""
    return _LABELS.get(kind, kind.replace("_", " "))
