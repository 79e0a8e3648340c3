"""The joint of sources and computing: what is new is read, judged, and handed out as a RunStatus.

`RunWatch` keeps one run up to date, `LogWatch` all runs below the log directories. Both are shared by all browser
sessions; a lock guards one run at a time, so a slow run never holds up another.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from monitor.analysis.configurations import merged
from monitor.analysis.progress import SeriesMemory, progress_of, state_of
from monitor.analysis.roles import choose_roles
from monitor.analysis.series import loss_trend
from monitor.digest import RunDigest, digest_of, unreadable
from monitor.errors import NotAllowed, NotReadable, RunNotFound
from monitor.health import RULES, Assessment, Assessor, Evidence
from monitor.schema import (
    Checkpoints,
    Configuration,
    ConfigValue,
    Metric,
    Points,
    Progress,
    ReadProblem,
    Roles,
    RoleTag,
    Run,
    RunList,
    RunState,
    Sample,
    Scalars,
)
from monitor.settings import Settings
from monitor.sources.checkpoints import find_checkpoints
from monitor.sources.config import ConfigurationShelf, read_configuration
from monitor.sources.extras import Extras, read_extras
from monitor.sources.glance import Glancer
from monitor.sources.hparams import read_first_hparams
from monitor.sources.reader import RunReader
from monitor.sources.resources import ResourceSampler as ResourceSampler  # for those that may not ask a source
from monitor.sources.runs import RunFinder
from monitor.status import ConfiguredRuns, RunGlance, RunStatus, is_judged

MOST_RUNS_HELD = 512  # runs whose points stay in memory; the one not asked for longest makes room
SEARCH_SECONDS = 1.0  # the log directories are searched at most this often
CHECKPOINT_SECONDS = 5.0
CONFIGURATION_SECONDS = 30.0
DIGEST_SECONDS = 30.0  # a run that goes on is not told anew in the list before
LARGEST_DIGESTED = 64_000_000  # bytes of a run; a larger one is read when it is asked for
MOST_JUDGED = 100  # runs, the newest, that are judged without being asked for
LARGEST_JUDGED = 16_000_000  # bytes of each of them
CHECK_KINDS = tuple(rule.kind for rule in RULES)  # what the settings may switch off


@dataclass(slots=True)
class _Beside:
    """What lies beside the events, and when it was looked at."""

    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    checkpoints_at: float = -math.inf
    configuration: Configuration = field(default_factory=Configuration)
    configuration_at: float = -math.inf


class RunWatch:
    """One run, kept up to date.

    Args:
        path: The run directory.
        settings: Thresholds and roles.
        name: What the run is called; the directory's name by default.
        sampler: The machine's figures; shared by all runs of a process.
        log_directory: Configuration above it is not read.
    """

    def __init__(
        self,
        path: str | Path,
        settings: Settings | None = None,
        *,
        name: str | None = None,
        sampler: ResourceSampler | None = None,
        log_directory: Path | None = None,
    ) -> None:
        self.path = Path(path)
        self.name = name or self.path.resolve().name
        self._settings = settings or Settings()
        self._sampler = sampler or ResourceSampler(self._settings.refresh.resources_seconds)
        self._log_directory = log_directory
        self._reader = RunReader(self.path)
        self._lock = threading.Lock()
        self._beside = _Beside()
        self._chosen: tuple[frozenset[str], Mapping[str, str], Roles] | None = None
        self._assessors: OrderedDict[Roles, Assessor] = OrderedDict()
        self._memory = SeriesMemory()
        self._extras: tuple[int, Extras] = (-1, Extras())

    def scalars(self) -> Scalars:
        """Read what is new in the event files and return all scalars."""
        return self._reader.refresh()

    def refresh(self, now: float, roles: Mapping[str, str] | None = None, *, begin_judging: bool = True) -> RunStatus:
        """Read what is new and return the status of the run.

        Args:
            now: The moment, seconds UTC.
            roles: Role → tag, over the settings and the automatic choice.
            begin_judging: False to leave the health open while it was never judged: to judge a long history takes
                several times as long as to read it.

        Raises:
            RunNotFound: There is no such directory, and nothing was read of it before.
            NotReadable: The directory may not be listed, and nothing was read of it before.
        """
        with self._lock:  # reading included: a snapshot judged after a newer one would start the judgement anew
            scalars = self._reader.refresh()
            if not scalars.series:
                self._require_directory()
            return self._status(scalars, now, roles or {}, begin_judging or bool(self._assessors))

    def configuration(self, now: float) -> Configuration:
        """Return the configuration beside the run."""
        with self._lock:
            return self._configured(now)

    def state(self, now: float) -> RunState:
        """Read what is new and return whether the run is alive; its health is not judged."""
        with self._lock:
            scalars = self._reader.refresh()
            roles = self._choose_roles(frozenset(scalars.series), self._settings.roles, scalars)
            return self._progress(scalars, roles, self._configured(now), now)[1]

    def extras(self) -> Extras:
        """Return the text and hyper-parameters logged in the run."""
        version = self._reader.refresh().version
        with self._lock:
            if self._extras[0] != version:
                self._extras = (version, read_extras(self._reader.kept()))
            return self._extras[1]

    def _status(self, scalars: Scalars, now: float, named_roles: Mapping[str, str], is_judged: bool) -> RunStatus:
        beside = self._look_beside(now)
        roles = self._choose_roles(frozenset(scalars.series), {**self._settings.roles, **named_roles}, scalars)
        shown = {role.tag: self._memory.visible(role.tag, scalars.points(role.tag)) for role in _all_roles(roles)}
        progress, state = self._progress(scalars, roles, beside.configuration, now)
        sample = self._sampler.sample(now, self.path)
        evidence = Evidence(
            roles=roles,
            series=shown,
            state=state,
            sessions=scalars.sessions,
            samples=(*self._sampler.history()[:-1], sample),  # the newest with the disk of this run
            checkpoints=beside.checkpoints,
            progress=progress,
        )
        assessment = self._assessor(roles).assess(evidence, self._settings, now) if is_judged else Assessment()
        return RunStatus(
            run=Run(self.name, str(self.path), scalars.last_event or 0.0, scalars.size_bytes),
            now=now,
            scalars=scalars,
            roles=roles,
            state=state,
            progress=progress,
            loss=self._metric(shown, roles.loss),
            learning_rate=self._metric(shown, roles.learning_rate),
            epoch_duration=self._metric(shown, roles.duration),
            validation=self._metrics(shown, roles.validation),
            scores=self._metrics(shown, roles.scores),
            trend=loss_trend(shown[roles.loss.tag], self._settings.progress.trend_epochs) if roles.loss else (),
            health=assessment.health,
            health_history=assessment.history,
            checkpoints=beside.checkpoints,
            configuration=beside.configuration,
            sample=sample,
            problems=_told(scalars.problems, state) + beside.configuration.problems,
        )

    def _progress(
        self, scalars: Scalars, roles: Roles, configuration: Configuration, now: float
    ) -> tuple[Progress, RunState]:
        """Return how far the run is and whether it is alive; time left is told of a living run only."""
        progress = progress_of(scalars, roles, configuration, self._settings, now, self._memory)
        state = state_of(scalars, progress, self._settings, now)
        return progress if state.state == "running" else replace(progress, eta_seconds=None), state

    def _metric(self, shown: Mapping[str, Points], role: RoleTag | None) -> Metric | None:
        return self._memory.metric(shown[role.tag], role) if role else None

    def _metrics(self, shown: Mapping[str, Points], roles: Sequence[RoleTag]) -> tuple[Metric, ...]:
        return tuple(metric for role in roles if (metric := self._metric(shown, role)))

    def _choose_roles(self, tags: frozenset[str], named: Mapping[str, str], scalars: Scalars) -> Roles:
        """Return the roles; chosen anew only when tags were added or other ones are named."""
        if self._chosen is None or self._chosen[:2] != (tags, named):
            self._chosen = (tags, named, choose_roles(scalars.series, named))
        return self._chosen[2]

    def _assessor(self, roles: Roles) -> Assessor:
        """Return the assessor that keeps its place in the history, one per choice of roles."""
        assessor = self._assessors.pop(roles, None) or Assessor()
        self._assessors[roles] = assessor
        while len(self._assessors) > 4:
            self._assessors.popitem(last=False)
        return assessor

    def _look_beside(self, now: float) -> _Beside:
        """Return checkpoints and configuration, looked at again when the last look is old."""
        beside = self._beside
        if not 0 <= now - beside.checkpoints_at < CHECKPOINT_SECONDS:
            beside.checkpoints, beside.checkpoints_at = find_checkpoints(self.path, self._log_directory), now
        self._configured(now)
        return beside

    def _configured(self, now: float) -> Configuration:
        """Return the configuration, looked at again when the last look is old."""
        beside = self._beside
        if not 0 <= now - beside.configuration_at < CONFIGURATION_SECONDS:
            beside.configuration, beside.configuration_at = read_configuration(self.path, self._log_directory), now
        return beside.configuration

    def _require_directory(self) -> None:
        try:
            next(self.path.iterdir(), None)
        except PermissionError as error:
            raise NotReadable(
                f'The run directory "{self.path}" may not be read by this user.',
                hint=f'Allow it with: chmod u+rx "{self.path}" (as its owner), or start the monitor as a user who may.',
            ) from error
        except OSError as error:
            raise RunNotFound(
                f'The run directory "{self.path}" does not exist or is not a directory.',
                hint="Check the path, or leave --run-dir out to take the newest run below the log directory.",
            ) from error


def start_sampler(settings: Settings) -> ResourceSampler:
    """Return a sampler of this machine that takes readings by itself from now on, for several watches to share."""
    sampler = _new_sampler(settings)
    sampler.start()
    return sampler


def _new_sampler(settings: Settings) -> ResourceSampler:
    refresh = settings.refresh
    record = None if refresh.resources_file is None else Path(refresh.resources_file)
    return ResourceSampler(refresh.resources_seconds, record=record)


class LogWatch:
    """All runs below the log directories, each read when it is first asked for and kept up to date from then on.

    Args:
        directories: The log directories, resolved; nothing outside them is opened.
        settings: Thresholds and roles.
        run_directory: Watch this one run instead of searching.
        sampler: The machine's figures; a sampler of its own by default, which takes readings when asked.
    """

    def __init__(
        self,
        directories: Sequence[Path],
        settings: Settings | None = None,
        *,
        run_directory: Path | None = None,
        sampler: ResourceSampler | None = None,
    ) -> None:
        self.directories = tuple(directories)
        self.settings = settings or Settings()
        self.run_directory = run_directory
        self._sampler = sampler or _new_sampler(self.settings)
        self._finder = RunFinder(self.directories)
        self._lock = threading.Lock()
        self._found: tuple[float, RunList] | None = None
        self._watches: OrderedDict[str, RunWatch] = OrderedDict()
        self._overview_lock = threading.Lock()
        self._glancer = Glancer()
        self._glances: dict[str, RunGlance] = {}
        self._shelf = ConfigurationShelf()
        self._hparams: dict[str, tuple[tuple[str, ...], Mapping[str, ConfigValue]]] = {}
        self._configured = (-math.inf, ConfiguredRuns(0, {}))
        self._digest_lock = threading.Lock()
        self._digests: dict[str, RunDigest] = {}

    def find_runs(self, now: float) -> RunList:
        """Return the runs that are there, newest first; nothing of their events is read."""
        with self._lock:
            if self._found is None or not 0 <= now - self._found[0] < SEARCH_SECONDS:
                found = RunList((self._named_run(),)) if self.run_directory else self._finder.find()
                self._found = (now, found)
            return self._found[1]

    def status(
        self, name: str, now: float, roles: Mapping[str, str] | None = None, *, begin_judging: bool = True
    ) -> RunStatus:
        """Return the status of one run; only that run is read. Arguments as those of `RunWatch.refresh`.

        Raises:
            RunNotFound: No run of that name lies below the log directories.
            NotAllowed: The run's directory leads out of the log directories.
            NotReadable: The run's directory may not be listed.
        """
        return self._watch(name, now).refresh(now, roles, begin_judging=begin_judging)

    def scalars(self, name: str, now: float) -> Scalars:
        """Return all scalars of one run. Raises as `status` does."""
        return self._watch(name, now).scalars()

    def configuration(self, name: str, now: float) -> Configuration:
        """Return the configuration beside one run. Raises as `status` does."""
        return self._watch(name, now).configuration(now)

    def extras(self, name: str, now: float) -> Extras:
        """Return the text and hyper-parameters logged in one run. Raises as `status` does."""
        return self._watch(name, now).extras()

    def samples(self) -> tuple[Sample, ...]:
        """Return the readings of this machine, oldest first."""
        return self._sampler.history()

    def overview(self, now: float) -> tuple[RunGlance, ...]:
        """Return where every run stands, newest first: of old runs only the ends of their files are read.

        A run that has not changed is not looked at again until its state may be another. Runs that may not be opened
        are left out; asking for one of them by name says why.
        """
        runs = self.find_runs(now).runs
        with self._overview_lock:  # one look at a time: the others take what it found
            seen = {run.name: self._glance(run, now) for run in runs}
            self._glancer.keep_only({run.path for run in runs})
            for gone in self._digests.keys() - {run.name for run in runs}:
                self._digests.pop(gone, None)
            self._glances = {name: glance for name, glance in seen.items() if glance is not None}
            return tuple(self._glances.values())

    def digests(self) -> Mapping[str, RunDigest]:
        """Return the runs in short, as far as `digest` has read them."""
        return dict(self._digests)

    def undigested(self, now: float, *, judged: bool = False) -> list[str]:
        """Return the runs that `digest` is to read, newest first; with `judged` those that were read and not judged."""
        runs = self.find_runs(now).runs
        if judged:
            return [run.name for run in runs[:MOST_JUDGED] if self._is_unjudged(run)]
        return [run.name for run in runs if self._is_unread(run, now)]

    def digest(self, name: str, now: float, *, judged: bool = False) -> None:
        """Read a run for the list of all runs, unless somebody has by now; of an old one the points are not kept.

        Of a run that cannot be read nothing is told: who asks for it by name hears why.

        Args:
            name: The run.
            now: The moment, seconds UTC.
            judged: True to judge it too, which takes many times as long.
        """
        run = self.find_runs(now).find(name)
        with self._digest_lock:  # one at a time: the others find what it made
            if run is None or not (self._is_unjudged(run) if judged else self._is_unread(run, now)):
                return
            watch = self._watches.get(name)
            try:
                status = (watch or self._new_watch(run)).refresh(now, begin_judging=judged)
                self._digests[name] = digest_of(run, status, is_judged=judged or is_judged(status))
            except (RunNotFound, NotAllowed, NotReadable):
                self._digests[name] = unreadable(run, now)

    def _is_unread(self, run: Run, now: float) -> bool:
        known = self._digests.get(run.name)
        if known is None:
            return run.size_bytes <= LARGEST_DIGESTED
        return known.run != run and now - known.made_at >= DIGEST_SECONDS

    def _is_unjudged(self, run: Run) -> bool:
        known = self._digests.get(run.name)
        return known is not None and not known.is_judged and run.size_bytes <= LARGEST_JUDGED

    def configurations(self, now: float) -> ConfiguredRuns:
        """Return how every run is configured; no points are read, and what has not changed is not read again.

        Of runs that may not be opened nothing is told.
        """
        runs = self.find_runs(now).runs
        with self._overview_lock:
            looked_at, known = self._configured
            if known.configurations.keys() != {run.name for run in runs} or now - looked_at >= CONFIGURATION_SECONDS:
                seen = {run.name: self._configuration_of(run) for run in runs}
                if seen != known.configurations:
                    known = ConfiguredRuns(_version_of(seen), seen)
                self._configured = (now, known)
            return known

    def _configuration_of(self, run: Run) -> Configuration:
        path = Path(run.path).resolve()
        above = self._log_directory_of(path)
        if above is None and not self.run_directory:
            return Configuration()
        return merged(self._shelf.read(path, above), self._first_hparams(run))

    def _first_hparams(self, run: Run) -> Mapping[str, ConfigValue]:
        """Return the hyper-parameters at the beginning of a run's files; looked at again when there are other files."""
        files = tuple(file.path for file in reversed(run.event_files))
        known = self._hparams.get(run.name)
        if known is None or known[0] != files:
            known = self._hparams[run.name] = (files, read_first_hparams(files))
        return known[1]

    def _log_directory_of(self, path: Path) -> Path | None:
        return next((directory for directory in self.directories if path.is_relative_to(directory)), None)

    def _glance(self, run: Run, now: float) -> RunGlance | None:
        known = self._glances.get(run.name)
        if known is not None and known.run == run and not _may_change(known, self.settings, now):
            return known
        try:
            newest = self._newest(run, now)
            state = self._state_at(run, newest, now)
        except (RunNotFound, NotAllowed):  # gone since the search, or a link that leads out
            return None
        return RunGlance(
            run=run,
            state=state,
            first_event=newest.first_event,
            last_event=newest.last_event,
            step=max((int(points.step[-1]) for points in newest.series.values()), default=None),
            last={tag: float(points.value[-1]) for tag, points in newest.series.items()},
        )

    def _newest(self, run: Run, now: float) -> Scalars:
        """Return the points at the ends of a run's files, all of them where the ends hold none: a picture is larger.

        Of the run that was named at the start nobody knows the files before it is read.
        """
        ends = self._glancer.glance(run) if run.event_files else Scalars()
        return ends if ends.count else self.scalars(run.name, now)

    def _state_at(self, run: Run, newest: Scalars, now: float) -> RunState:
        """Return the state of a run: from its newest points where it is long over, else from all of it."""
        if newest.count:
            state = state_of(newest, Progress(), self.settings, now)
            if state.state == "finished" and now - (newest.last_event or now) > self.settings.progress.inactive_seconds:
                return state
        return self._watch(run.name, now).state(now)

    def _named_run(self) -> Run:
        path = self.run_directory or Path()
        above = self._log_directory_of(path)
        name = path.relative_to(above).as_posix() if above else path.name
        return Run(name, str(path), 0.0, 0)

    def _watch(self, name: str, now: float) -> RunWatch:
        run = self.find_runs(now).find(name)
        with self._lock:
            watch = self._watches.pop(name, None)
            if watch is None and run is not None:
                watch = self._new_watch(run)
            if watch is None:
                raise RunNotFound(
                    f'There is no run "{name}" below {_listed(self.directories)}.',
                    hint="Choose one of the runs listed, or start the monitor with the log directory that holds it.",
                )
            self._watches[name] = watch
            while len(self._watches) > MOST_RUNS_HELD:
                self._watches.popitem(last=False)
        return watch

    def _new_watch(self, run: Run) -> RunWatch:
        path = Path(run.path).resolve()
        if self.run_directory:
            return RunWatch(path, self.settings, name=run.name, sampler=self._sampler)
        above = self._log_directory_of(path)
        if above is None:
            raise NotAllowed(
                f'The run "{run.name}" leads out of the log directories.',
                hint="Start the monitor with the directory it leads to as a log directory of its own.",
            )
        return RunWatch(path, self.settings, name=run.name, sampler=self._sampler, log_directory=above)


def _version_of(configurations: Mapping[str, Configuration]) -> int:
    return hash(tuple((name, *one.values.items(), *one.sources.items()) for name, one in configurations.items()))


def _may_change(glance: RunGlance, settings: Settings, now: float) -> bool:
    """Return whether a run may stand elsewhere by now although no change of its files was seen.

    A run that runs or waits may stall, one that stalled counts as finished after a day, and the run that was named at
    the start is not searched for.
    """
    if not glance.run.event_files or glance.state.state in ("running", "waiting"):
        return True
    if glance.state.state == "finished":
        return False
    return now - (glance.last_event or now) > settings.progress.inactive_seconds


def _told(problems: tuple[ReadProblem, ...], state: RunState) -> tuple[ReadProblem, ...]:
    """Return the problems a person should hear of: while a run is running its last record may well be incomplete."""
    if state.state != "running":
        return problems
    return tuple(problem for problem in problems if problem.kind != "incomplete_record")


def _all_roles(roles: Roles) -> tuple[RoleTag, ...]:
    single = (
        roles.loss,
        roles.learning_rate,
        roles.epoch,
        roles.duration,
        roles.throughput,
        roles.gradient_norm,
        roles.loss_scale,
    )
    return tuple(role for role in single if role) + roles.validation + roles.scores


def _listed(directories: Sequence[Path]) -> str:
    return " or ".join(f'"{directory}"' for directory in directories)
