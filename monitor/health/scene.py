"""The scene the rules look at: the judged series of one run, and what was open when."""

import re
from collections.abc import Iterable
from functools import cached_property

from monitor.health.episodes import Episode, Place
from monitor.health.evidence import Evidence
from monitor.health.track import Track, Tracks
from monitor.schema import Direction, RoleTag
from monitor.settings import Settings
from monitor.text import format_moment

REWARD = re.compile(r"(^|[^a-z])(rew|rewards?|returns?)([^a-z]|$)", re.IGNORECASE)
TRAINING = re.compile(r"(^|[/_ .-])train(ing)?([/_ .-]|$)", re.IGNORECASE)

SCHEDULE_RATIO = 1.5
"""A learning rate this much higher than at the best point explains a rise: warm-up, one-cycle, warm restart."""


class Scene:
    """The judged series of one run at one moment.

    Args:
        evidence: What is judged.
        settings: The user's bands.
        now: The moment, seconds UTC.
        tracks: The series as they were judged before, which are extended by what is new.
    """

    def __init__(self, evidence: Evidence, settings: Settings, now: float, tracks: Tracks | None = None) -> None:
        self.evidence = evidence
        self.settings = settings
        self.now = now
        self.episodes: list[Episode] = []
        self._tracks = tracks or Tracks()

    @cached_property
    def loss(self) -> Track | None:
        """The training loss; without a direction in reinforcement learning, where its level means nothing."""
        role = self.evidence.roles.loss
        return self._track("loss", role, role.direction) if role is not None else None

    @cached_property
    def reward(self) -> Track | None:
        """The reward of a run that learns by it; a reward beside an ordinary loss is a metric."""
        ordinary = self.loss is not None and self.loss.direction is not None
        return self._track("reward", self._rewards[0], "max") if self._rewards and not ordinary else None

    @cached_property
    def judged(self) -> Track | None:
        """The series whose rise means trouble: the loss, or the reward where the loss is free."""
        return self.loss if self.loss is not None and self.loss.direction is not None else self.reward

    @cached_property
    def validations(self) -> tuple[Track, ...]:
        """Validation losses with a direction."""
        directed = (role for role in self.evidence.roles.validation if role.direction)
        found = (self._track("validation", role, role.direction) for role in directed)
        return tuple(track for track in found if track is not None)

    @cached_property
    def scores(self) -> tuple[Track, ...]:
        """Task metrics on held-out samples, such as accuracies; rewards and training metrics left out."""
        named = (role for role in self.evidence.roles.scores if role.direction and not TRAINING.search(role.tag))
        found = (self._track("score", role, role.direction) for role in named if role not in self._rewards)
        return tuple(track for track in found if track is not None)

    @cached_property
    def learning_rate(self) -> Track | None:
        """The learning rate."""
        return self._optional("learning_rate", self.evidence.roles.learning_rate)

    @cached_property
    def gradient_norm(self) -> Track | None:
        """The norm of the gradient."""
        return self._optional("gradient_norm", self.evidence.roles.gradient_norm)

    @cached_property
    def loss_scale(self) -> Track | None:
        """The factor of mixed-precision training."""
        return self._optional("loss_scale", self.evidence.roles.loss_scale)

    @cached_property
    def duration(self) -> Track | None:
        """The time of one epoch or step, as logged."""
        return self._optional("duration", self.evidence.roles.duration)

    @cached_property
    def clock(self) -> Track | None:
        """The series whose points count as the length of the run: the training loss, else the longest judged one."""
        if self.loss is not None:
            return self.loss
        others = [track for track in (self.reward, *self.validations, *self.scores, self.learning_rate) if track]
        return max(others, key=lambda track: len(track.points), default=None)

    @cached_property
    def tracks(self) -> tuple[Track, ...]:
        """Every series a rule looks at."""
        single = (self.loss, self.reward, self.learning_rate, self.gradient_norm, self.loss_scale, self.duration)
        return (*(track for track in single if track is not None), *self.validations, *self.scores)

    def learning_rate_at(self, time: float) -> float | None:
        """Return the learning rate that was known at `time`, None without one."""
        rates = self.learning_rate
        known = rates.known_at(time) if rates is not None else 0
        return float(rates.value[known - 1]) if rates is not None and known else None

    def raised_by_schedule(self, then: float, time: float) -> bool:
        """Tell whether the learning rate at `time` is so much above that at `then` that a rise needs no other cause."""
        before, after = self.learning_rate_at(then), self.learning_rate_at(time)
        return before is not None and after is not None and after >= SCHEDULE_RATIO * before and after > 0

    def was_open(self, kinds: Iterable[str], time: float) -> bool:
        """Tell whether a finding of one of these kinds was open at `time`; only rules replayed before count."""
        wanted = set(kinds)
        states = (episode.at(time) for episode in self.episodes if episode.kind in wanted)
        return any(state is not None and state.open for state in states)

    def place(self, track: Track, index: int) -> Place:
        """Return where and when finite point `index` of a series was logged."""
        return Place(int(track.step[index]), float(track.time[index]), int(track.session[index]))

    def named(self, step: int | None) -> str:
        """Return a step as people call it: ``epoch 18``, counted from 1, or ``step 6,200``."""
        return format_moment(step, self.evidence.first_epoch_step)

    @cached_property
    def _rewards(self) -> tuple[RoleTag, ...]:
        return tuple(role for role in self.evidence.roles.scores if is_reward(role.tag) and role.direction == "max")

    def _optional(self, use: str, role: RoleTag | None) -> Track | None:
        return self._track(use, role, None) if role is not None else None

    def _track(self, use: str, role: RoleTag, direction: Direction | None) -> Track | None:
        points = self.evidence.series.get(role.tag)
        if points is None or not len(points):
            return None
        return self._tracks.track(use, role.tag, points, direction)


def is_reward(tag: str) -> bool:
    """Tell whether a tag names the reward of episodes."""
    return REWARD.search(tag) is not None
