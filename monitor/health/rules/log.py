"""What the log itself tells: the run was restarted, its steps are in disorder, or it has gone silent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from monitor.health.episodes import OFF, Change, Episode, Lifecycle, Place, Reading
from monitor.health.rules.rule import AtOnce, Rule, Text, covered, present
from monitor.health.scene import Scene
from monitor.health.stats import difference_sigma, median
from monitor.health.track import Course, Track, tick_counts
from monitor.schema import Session, Sessions
from monitor.text import format_number, format_percent, format_step, format_time, plain

MOST_RESTARTS = 50
"""A log whose steps go back all the time is told once, as steps in disorder."""

LEAST_BEFORE = 12
LEAST_AFTER = 5
"""Points of the loss before and after a restart that are needed to compare them."""

LOST_SIGMAS = 5.0
"""A loss that is higher after a restart by no more than this many times its noise is as it was."""

ALL_LOST_SHARE = 0.75
"""A loss thrown back this far is never explained by a higher learning rate alone."""

REPEATED = 3
INTERLEAVED = 5
"""Steps that go back within one file: so often it is no accident; so often, and onwards, two counters write to it."""

ONWARDS_SHARE = 0.8

LEAST_STEPS = 20
REPEATED_SHARE = 0.05
UNEVEN = 2.0


# --- restarts ------------------------------------------------------------------------------------------------------


def _find_restarts(scene: Scene) -> list[Episode]:
    """Return the newest restarts, and beside them, in the series of the loss, that it did not go on where it was."""
    found = []
    for before, session in pairwise(scene.evidence.sessions[-MOST_RESTARTS - 1 :]):
        place = Place(session.first_step, session.wall_time, session.number)
        change = Change(place.time, "info", False)
        found.append(Episode("restart", None, place, place, [change], session.first_step, part=str(session.number)))
        track = scene.judged
        if track is not None and (before.path != session.path or _is_rewound(track, session)):
            found.extend(_lost_state(scene, track, session.number))
    return found


@dataclass(frozen=True, slots=True)
class _Seam:
    """A series around a restart, on its judged scale.

    Args:
        first: Its first finite point after the restart.
        end: One behind its last point before the next restart.
        course: Where it stood before.
        before: Median of the last points before.
        after: Median of the first points after.
        limit: How much higher the first points after may be.
    """

    first: int
    end: int
    course: Course
    before: float
    after: float
    limit: float

    @property
    def lost(self) -> float:
        """Share of the progress that is gone."""
        return (self.after - self.before) / self.course.progress


def _seam(track: Track, number: int, lost_share: float) -> _Seam | None:
    """Return the series around the start of a session; None where it has too few points or had not learnt yet.

    Args:
        track: The series.
        number: The session.
        lost_share: Share of the progress whose loss tells that the state was not restored.
    """
    first, end = _rows(track.session, number)
    if first < LEAST_BEFORE or end - first < LEAST_AFTER:
        return None
    course = track.course(first)
    if course.progress <= 8 * course.noise or (course.log and not track.is_positive(first + LEAST_AFTER)):
        return None
    earlier, later = track.value[max(first - 65, 0) : first], track.value[first : first + LEAST_AFTER]
    if course.log:
        earlier, later = np.log10(earlier), np.log10(later)
    noise = max(LOST_SIGMAS * difference_sigma(np.diff(earlier)), 8 * course.noise)
    limit = max(noise, lost_share * course.progress)
    return _Seam(first, end, course, median(earlier[-LEAST_AFTER:]), median(later), limit)


def _lost_state(scene: Scene, track: Track, number: int) -> list[Episode]:
    """Return the restart after which the series is not where it was; it ends when the series is back there.

    Compares the medians of the last and the first five points, of the points that count: those that a restart wrote
    again are the later ones. A run that began anew on purpose wrote all its points again, so nothing is compared.
    """
    seam = _seam(track, number, scene.settings.health.restart_lost_percent / 100)
    if seam is None or seam.after - seam.before <= seam.limit:
        return []
    known = scene.place(track, seam.first + LEAST_AFTER - 1)
    last = scene.place(track, seam.first - 1)
    if seam.lost < ALL_LOST_SHARE and scene.raised_by_schedule(last.time, known.time):
        return []
    episode = Episode(
        kind="restart",
        tag=track.tag,
        onset=scene.place(track, seam.first),
        detected=known,
        changes=[Change(known.time, "error", True)],
        value=track.shown(seam.course.level(seam.after)),
        reference=track.shown(seam.course.level(seam.before)),
        facts={"lost": seam.lost},
    )
    regained = _regained(scene, track, seam)
    if regained is not None:
        episode.close(regained)
    return [episode]


def _regained(scene: Scene, track: Track, seam: _Seam) -> Place | None:
    """Return where the series was back at its old level, or where the next restart made an end of the question."""
    level = seam.course.level(seam.before + seam.limit / 2)
    back = np.flatnonzero(track.medians_of_three[seam.first + LEAST_AFTER : max(seam.end - 2, 0)] <= level)
    if len(back):
        return scene.place(track, seam.first + LEAST_AFTER + int(back[0]) + 2)
    return scene.place(track, seam.end) if seam.end < len(track) else None


def _restart_text(episode: Episode, scene: Scene) -> Text:
    where = "without a step yet" if episode.onset.step is None else f"at {scene.named(episode.onset.step)}"
    if episode.tag is not None:
        return _lost_text(episode, where)
    return Text(
        f"The run was restarted {where} on {format_time(episode.onset.time)} UTC; points it wrote again replace the "
        f"earlier ones.",
        "Nothing to do if you meant it; otherwise look at the job's own log around that time.",
    )


def _lost_text(episode: Episode, where: str) -> Text:
    lost = format_percent(100 * min(episode.facts["lost"], 1.0))
    return Text(
        f'"{plain(episode.tag or "")}" went on at {format_number(episode.value)} after the restart {where}; it stood '
        f"at {format_number(episode.reference)} before, so {lost} of its progress is gone.",
        "The restart did not restore the state: check that model, optimizer and schedule are loaded, from the right "
        "checkpoint; where loss or data were changed on purpose, start a run of its own.",
    )


# --- the order of the steps ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _DisorderReplay:
    """Judges the order of the steps of the clock series; what was looked at once is not looked at again."""

    orders: dict[str, "_Order"] = field(default_factory=dict)

    def advance(self, scene: Scene) -> Sequence[Episode]:
        """Return what is wrong with the steps: rewinds within a file, two writers, repeated steps, gaps."""
        clock = scene.clock
        if clock is None:
            return []
        order = self.orders.setdefault(clock.tag, _Order(Lifecycle("step_integrity", clock.tag, part="repeated")))
        order.extend(clock, scene.settings.health.step_gap_factor)
        return [*_rewinds(scene, clock), *_two_writers(scene, clock), *order.repeated.episodes, *order.gaps]


@dataclass(slots=True)
class _Order:
    """The order of the steps of one series, as far as it was looked at.

    Args:
        repeated: The finding that steps are written more than once, with different values.
        gaps: The findings that steps are missing.
        count: Points looked at for repeated steps.
        repeats: How many of them repeat a step.
        first: Row of the first that does.
        strides: Strides looked at for gaps.
    """

    repeated: Lifecycle
    gaps: list[Episode] = field(default_factory=list)
    count: int = 0
    repeats: int = 0
    first: int = -1
    strides: int = LEAST_STEPS

    def extend(self, clock: Track, gap_factor: float) -> None:
        """Take in the points that are new."""
        for count in tick_counts(len(clock.points), self.count):
            self._count_repeats(clock, count)
            share = self.repeats / count
            if count >= LEAST_STEPS:
                self.repeated.feed(_repeated_reading(clock, self.first, share), _point(clock, count - 1))
        self._find_gaps(clock, gap_factor)

    def _count_repeats(self, clock: Track, count: int) -> None:
        begin = max(self.count - 1, 0)
        points = clock.points.take(slice(begin, count))
        same = np.flatnonzero((np.diff(points.step) == 0) & (np.diff(points.session) == 0))
        if len(same) and self.first < 0:
            self.first = begin + int(same[0])
        self.repeats += len(same)
        self.count = count

    def _find_gaps(self, clock: Track, factor: float) -> None:
        """Find each stride that is `factor` times as wide as the one after and the twenty before, which are alike."""
        begin = self.strides - LEAST_STEPS
        strides = np.diff(clock.points.step[begin:])
        if len(strides) <= LEAST_STEPS + 1:
            return
        inner = strides[LEAST_STEPS:-1]
        neighbours = np.maximum(strides[LEAST_STEPS - 1 : -2], strides[LEAST_STEPS + 1 :])
        for row in (np.flatnonzero(inner > factor * np.maximum(neighbours, 1)) + LEAST_STEPS).tolist():
            before = strides[row - LEAST_STEPS : row]
            if before.max() <= UNEVEN * np.median(before) and strides[row] > factor * before.max():
                self.gaps.append(_gap(clock, begin + row))
        self.strides = begin + len(strides) - 1


def _repeated_reading(clock: Track, first: int, share: float) -> Reading:
    if share <= REPEATED_SHARE:
        return OFF
    return Reading("on", "notice", _point(clock, first), facts={"repeated": share})


def _gap(clock: Track, row: int) -> Episode:
    onset, known = _point(clock, row), _point(clock, row + 2)
    facts = {"gap": float(clock.points.step[row + 1])}
    change = Change(known.time, "notice", False)
    return Episode("step_integrity", clock.tag, onset, known, [change], known.step, facts=facts, part="gap")


def _point(track: Track, row: int) -> Place:
    points = track.points
    return Place(int(points.step[row]), float(track.arrival[row]), int(points.session[row]))


def _rewinds(scene: Scene, clock: Track) -> Iterator[Episode]:
    """Yield the rewinds of the loss within one file, one finding per file.

    A warning only where they prove a mistake: a counter that is set back again and again while other series go on, or
    two counters that take turns. Several trainings in one process write one file as well, and set back everything;
    series of evaluations begin anew at each evaluation.
    """
    by_file: dict[str, list[Session]] = {}
    for before, session in pairwise(scene.evidence.sessions):
        if before.path == session.path:
            by_file.setdefault(session.path, []).append(session)
    for place, backs in enumerate(by_file.values()):
        if _is_rewound(clock, backs[-1]):
            yield _rewind(scene, clock, backs, place)


def _is_rewound(clock: Track, session: Session) -> bool:
    """Tell whether the series itself went back at the start of a session: it then begins with the step named."""
    first, end = _rows(clock.points.session, session.number)
    return end > first and int(clock.points.step[first]) == session.first_step


def _rewind(scene: Scene, clock: Track, backs: Sequence[Session], place: int) -> Episode:
    taking_turns = len(backs) >= INTERLEAVED and _take_turns(clock, backs)
    again_and_again = len(backs) >= REPEATED and any(_goes_on(track, clock, backs) for track in _others(scene, clock))
    wrong = taking_turns or again_and_again
    here = [Place(session.first_step, session.wall_time, session.number) for session in backs]
    changes = [Change(here[0].time, "notice", False)]
    if wrong:
        changes.append(Change(here[(INTERLEAVED if taking_turns else REPEATED) - 1].time, "warning", True))
    facts = {"rewinds": float(len(backs)), "taking_turns": float(taking_turns)}
    recovered = None if wrong else here[0].step
    return Episode(
        "step_integrity", clock.tag, here[0], here[0], changes, recovered, facts=facts, part=f"rewind {place}"
    )


def _others(scene: Scene, clock: Track) -> Sequence[Track]:
    """Return the series that the training itself writes beside the loss."""
    beside = present(scene.learning_rate, scene.gradient_norm, scene.loss_scale, scene.duration)
    return tuple(track for track in (*beside, *scene.validations, *scene.scores) if track.tag != clock.tag)


def _take_turns(clock: Track, backs: Sequence[Session]) -> bool:
    """Tell whether the steps go back every few points, and onwards all the same; a rollback lasts longer."""
    first, end = _rows(clock.points.session, backs[0].number)[0], _rows(clock.points.session, backs[-1].number)[1]
    onwards = np.diff([session.first_step or 0 for session in backs]) > 0
    often = end - first <= INTERLEAVED * len(backs)
    return bool(often and onwards.mean() >= ONWARDS_SHARE)


def _goes_on(track: Track, clock: Track, backs: Sequence[Session]) -> bool:
    """Tell whether a series goes on where the clock is set back: it keeps points of sessions that the clock lost."""
    numbers = [session.number for session in backs]
    return sum(_holds(track, number) and not _holds(clock, number) for number in numbers) >= REPEATED - 1


def _holds(track: Track, number: int) -> bool:
    first, end = _rows(track.points.session, number)
    return end > first


def _rows(sessions: Sessions, number: int) -> tuple[int, int]:
    """Return the first row of a session among the sessions of a series, and the one behind its last.

    The numbers sought are of the column's own type: NumPy would turn the whole column into theirs otherwise.
    """
    first, end = np.searchsorted(sessions, np.array([number, number + 1], dtype=sessions.dtype))
    return int(first), int(end)


def _two_writers(scene: Scene, clock: Track) -> Iterator[Episode]:
    """Yield where a file went on growing after another one had taken over the loss: both are being written.

    Only what the training itself writes is compared with the loss, and only where both names begin alike: a process
    of its own that evaluates may write beside the training, and sub-directories are counted on their own.
    """
    beside = present(scene.learning_rate, scene.gradient_norm, scene.loss_scale, scene.duration)
    same_part = [track for track in beside if _scope(track.tag) == _scope(clock.tag)]
    for before, session in pairwise(scene.evidence.sessions):
        first, end = _rows(clock.points.session, session.number)
        if before.path == session.path or end - first < LEAST_AFTER:
            continue
        taken_over = float(clock.arrival[first + LEAST_AFTER - 1])
        for track in same_part:
            older = track.arrival[: _rows(track.points.session, session.number)[0]]
            late = older[int(np.searchsorted(older, taken_over, side="right")) :]
            if len(late) >= LEAST_AFTER:
                yield _writers(scene, clock, session, float(late[LEAST_AFTER - 1]))
                return


def _scope(tag: str) -> str:
    return tag.partition("/")[0] if "/" in tag else ""


def _writers(scene: Scene, clock: Track, session: Session, time: float) -> Episode:
    onset = Place(session.first_step, session.wall_time, session.number)
    known = scene.place(clock, max(clock.known_at(time) - 1, 0))
    return Episode(
        "step_integrity", clock.tag, onset, known, [Change(time, "error", True)], facts={"writers": 2.0}, part="writers"
    )


def _disorder_text(episode: Episode, scene: Scene) -> Text:
    facts, tag, where = episode.facts, plain(episode.tag or ""), scene.named(episode.onset.step)
    if "writers" in facts:
        return Text(
            f'Since {where} a second process writes "{tag}" into this run while the first one goes on.',
            "Stop one of them, or give each a directory of its own; in a distributed training only one process should "
            "write events.",
        )
    if "repeated" in facts:
        return Text(
            f'{format_percent(100 * facts["repeated"])} of the points of "{tag}" repeat a step written before.',
            "Log with a step that counts every update over the whole training, and from one place only.",
        )
    if "gap" in facts:
        return Text(
            f'"{tag}" has no points between {where} and {scene.named(int(facts["gap"]))}, far more steps than usual.',
            "Nothing to do if the logging was changed there; otherwise events were lost or written elsewhere.",
        )
    return _rewind_text(episode, where)


def _rewind_text(episode: Episode, where: str) -> Text:
    tag, times = plain(episode.tag or ""), format_step(int(episode.facts["rewinds"]))
    if episode.facts["taking_turns"]:
        return Text(
            f'The steps of "{tag}" go back and forth within one file, {times} times since {where}.',
            "Two counters write under one name: give each process, thread or data set a tag of its own.",
        )
    if episode.now.severity == "notice":
        return Text(
            f'The steps of "{tag}" went back within one file, first to {where}; times: {times}.',
            "Nothing to do if the training began anew there; otherwise log with a step that only grows.",
        )
    return Text(
        f'The steps of "{tag}" went back {times} times within one file, first to {where}, while other series went on.',
        "Its counter is set back, mostly at each epoch, so that only the newest points are seen: log it with a step "
        "that counts over the whole training.",
    )


def _disorder_coverage(scene: Scene) -> str | None:
    return covered(present(scene.clock), LEAST_STEPS, "There is no training series.")


# --- silence -------------------------------------------------------------------------------------------------------


def _find_stall(scene: Scene) -> list[Episode]:
    """Return the stall that lasts, as the run state has found it; a warning, an error after three times its limit."""
    if scene.evidence.state.state != "stalled":
        return []
    clock = max((track for track in scene.tracks), key=lambda track: len(track.points), default=None)
    if clock is None or not len(clock.points):
        return []
    last = Place(int(clock.points.step[-1]), float(clock.arrival[-1]), int(clock.points.session[-1]))
    silent, limit = scene.now - last.time, _silence_limit(scene, clock.arrival)
    change = Change(scene.now, "error" if silent > 3 * limit else "warning", True)
    here = Place(last.step, scene.now, last.session)
    return [Episode("stalled", None, last, here, [change], None, silent, limit, part="run")]


def _silence_limit(scene: Scene, arrival: np.ndarray) -> float:
    """Return the silence, in seconds, that no longer is a usual gap; the same limits as those of the run state."""
    limits = scene.settings.progress
    gaps = np.diff(arrival[-201:])
    if len(gaps) < 5:
        return limits.stalled_unknown_seconds
    typical, long = np.percentile(gaps, (50, 99))
    return max(limits.stalled_seconds, limits.stalled_gap_factor * float(typical), 3 * float(long))


def _stall_text(episode: Episode, scene: Scene) -> Text:
    return Text(
        scene.evidence.state.reason,
        "Look whether the training process still lives and what it waits for: a full disk, a dead data loader worker, "
        "another process on the GPU, or a hanging collective operation.",
    )


def _stall_coverage(scene: Scene) -> str | None:
    if scene.evidence.state.state in ("running", "stalled"):
        return None
    return f"Does not apply: the run is {scene.evidence.state.state}."


RULES = (
    Rule(
        kind="restart",
        group="log",
        label="restart",
        coverage=lambda scene: None,
        text=_restart_text,
        replay=lambda: AtOnce(_find_restarts),
    ),
    Rule(
        kind="step_integrity",
        group="log",
        label="steps in disorder",
        coverage=_disorder_coverage,
        text=_disorder_text,
        replay=_DisorderReplay,
    ),
    Rule(
        kind="stalled",
        group="log",
        label="no new points",
        coverage=_stall_coverage,
        text=_stall_text,
        replay=lambda: AtOnce(_find_stall),
        of_series=False,
    ),
)
