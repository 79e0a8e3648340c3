"""What the tags of a run mean: loss, validation, learning rate, epoch, duration, throughput, gradient norm, loss scale,
scores.

Every tag is first spelled in one way (`spell`): lower case, words joined by ``_``, path components by ``/``. The
rules below are patterns over whole words of that spelling, so ``interval`` holds no ``val`` and ``clr`` no ``lr``.
Where several tags fit a role, the order of the patterns and then the name decide; the number of points never does, so
a choice does not change while a run grows.

Source: the tags that the frameworks write (PyTorch SummaryWriter and tensorboardX examples, Lightning, Hugging Face
Trainer, Keras, TF1 Estimator, Stable-Baselines3, CleanRL, tianshou, ML-Agents, YOLO v5 and v8, detectron2, OpenPCDet,
MAE, simpletransformers, MeshCNN) and their false friends, as met in public event files.
"""

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from monitor.schema import Direction, Points, Role, Roles, RoleTag

Split = Literal["validation", "test", "unnamed", "train"]

MOST_SCORES = 12

# --- spelling ------------------------------------------------------------------------------------------------------

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z][a-z])")
_BETWEEN_WORDS = re.compile(r"(?:[^\w./]|_|(?<!\d)\.|\.(?!\d))+")
_BETWEEN_COMPONENTS = re.compile(r"_*/[_/]*")


def spell(tag: str) -> str:
    """Return the tag in the one spelling the rules are written for.

    ``Losses/Value Loss`` → ``losses/value_loss``, ``LearningRate`` → ``learning_rate``, ``lr-Adam`` → ``lr_adam``,
    ``metrics/mAP_0.5:0.95`` → ``metrics/map_0.5_0.95``.
    """
    words = _BETWEEN_WORDS.sub("_", _HUMP.sub("_", tag).lower())
    return _BETWEEN_COMPONENTS.sub("/", words).strip("_/")


def _words(alternatives: str) -> re.Pattern[str]:
    """Return a pattern that finds any of the alternatives as whole words of a spelled tag."""
    return re.compile(rf"(?:^|(?<=[/_]))(?:{alternatives})(?=$|[/_])")


# --- the rules: patterns over whole words of the spelling ----------------------------------------------------------

_VALIDATION = _words(r"val|valid|validation|validate|eval|evaluation|evaluate|held_out|holdout")
_DEVELOPMENT = re.compile(r"(?:^|/)dev(?=[/_])")  # the "dev" set of language corpora, not a standard deviation
_TEST = _words(r"test|testing")
_TRAIN = _words(r"train|training|trn")
_HIDDEN = _words(r"hparams?|hp_metric|_?hparams_?|hp")  # placeholders of the hparams plugin, no measurements

_LOSS = _words(r"loss|losses|nll|xent|cross_entropy|log_?loss|bce|cost")
_NO_LOSS = _words(
    r"scale|scaler|weights?|coeff?|coefficient|ratio|stddev|std|var|variance|explained|clipfrac|clip|fraction|"
    r"lr|learning_rate|grads?|gradients?|time|seconds|count|num|best|min|lowest"
)
_FREE = _words(  # parts of a game or a balance: neither smaller nor larger is better
    r"policy|actor|critic|adv|adversarial|advantage|(?<!cross_)entropy|ent|kl|aux|auxiliary|pi|pg|vf|qf?\d?|td|alpha|"
    r"temperature|curiosity|baseline|rnd|icm|v|value(?=[/_](?:fn_|function_)?loss)|(?<=/)value$|"
    r"discriminator|disc|dis|generator|gen|gan|d|g"
)
_GENERATOR = _words(r"generator|gen|g")
_DISCRIMINATOR = _words(r"discriminator|disc|dis|d")
_RL_PART = _words(r"policy|actor|critic|pg|vf|qf\d?|td|value(?=[/_](?:fn_|function_)?loss)")

_REWARD = _words(r"rewards?|rew|returns?")
_MAXIMISED = _words(
    r"acc\d*|accuracy|top_?[15]|map\d*|ap(?:\d+|s|m|l)?|precision|recall|f1|f_?score|score|auc|auroc|bleu\d*|"
    r"rouge\w?\d?|meteor|cider|m?iou|dice|r2|success|successes|pc_success|win_rate|psnr|ssim|elo|ndcg|mrr|hits?|kappa|"
    r"mcc|spearman\w*|pearson\w*|correlation|(?:easy|moderate|hard)_r(?:40|11)|rewards?|rew|returns?"
)
_MINIMISED = _words(
    r"wer|cer|ter|fid|kid|ppl|perplexity|rmse|mse|mae|mape|smape|nmse|errors?|err|bpb|bpc|bpd|lpips|crps|ece|brier|"
    r"chamfer|epe|ade|fde|hausdorff|regret|kl_div|kl_divergence"
)
_NO_SCORE = _words(
    r"std|stddev|var|variance|length|len|count|num|number|size|time|seconds|scale|threshold|weight|coeff?|min|"
    r"interval|lr|estimate|bonus|td|hist|speed|mapping"
)
_TRAINING_ERROR = _words(r"rmse|mse|mae|nmse|errors?|err|ppl|perplexity|bpb|bpc|bpd")
_LATENCY = _words(r"latency|runtime|(?:step|iter|iteration|batch|data)_time")

_LEARNING_RATE = (
    re.compile(r"(?:(?:train|training|opt|optim|optimizer|meta_data|policy)/)?(?:epoch_)?(?:lr|learning_?rate)"),
    re.compile(r"(?:.*[/_])?(?:lr|learning_?rate)(?:[/_].*)?"),
    re.compile(r"(?:.*[/_])?(?:lr\d+|learning_?rate_?\d+)(?:[/_].*)?"),
)
_NO_LEARNING_RATE = _words(
    r"decay|scale|clip|ratio|mult|multiplier|factor|momentum|loss|find|finder|min|max|warmup|scheduler"
)
_EPOCH = (
    re.compile(
        r"(?:(?:train|training|progress|meta_data|global|general|trainer|charts?|counters?)/)?"
        r"(?:current_|global_|train_)?epochs?(?:_(?:num|number|id|idx))?"
    ),
)
_EPOCH_WORD = _words(r"epochs?")
_DURATION_WORD = _words(
    r"time|duration|runtime|elapsed|s|secs?|seconds|mins?|minutes|hours?|hrs?|ms|milliseconds|time_s|time_ms"
)
_NO_DURATION = _words(r"loss|eta|remaining|left|since|total|lr|rewards?|per_s|per_sec|per_second|best")
_UNITS = (
    (_words(r"minutes?|mins?"), 60.0),
    (_words(r"hours?|hrs?"), 3600.0),
    (_words(r"ms|milliseconds"), 1e-3),
)
_PER_SECOND = r"(?:_per_|/|_)(?:s|secs?|seconds?)"
_THROUGHPUT = (
    re.compile(rf"(?:.*[/_])?(?P<counted>samples|images|imgs|tokens|examples|sequences|frames){_PER_SECOND}"),
    re.compile(r"(?:.*[/_])?(?P<counted>fps|sps|throughput)"),
    re.compile(rf"(?:.*[/_])?(?P<counted>steps?|it|its|iters?|iterations?|batches|updates){_PER_SECOND}"),
)
_GRADIENT = _words(r"grads?|gradients?")
_NORM = _words(r"norms?")
_ONE_WORD_NORM = _words(r"gnorm|gradnorm|grad_?norm")
_LOSS_SCALE = (
    re.compile(
        r"(?:.*/)?(?:train_|training_|amp_|fp16_|dynamic_|current_)?(?:loss|grad)_?scaler?(?:_value|_vs_samples)?"
        r"(?:/scale)?"
    ),
    re.compile(r"(?:.*/)?(?:amp|fp16|scaler|amp_scaler)[/_](?:get_)?scale(?:_value)?"),
)
_GRADIENT_NORM_ONLY = re.compile(  # so that the norm of a layer is not taken for the norm of the model
    r"(?:(?:train|training|grads?|gradients?|norms?|gnorm|gradnorm|total|global|l2|2|2\.0|inf|all|mean|avg|before|after|"
    r"pre|post|clip|clipping|clipped|unclipped|raw|optim|optimizer|opt|stats|perf|misc|debug|general|metrics|step|epoch|"
    r"model)(?:[/_]|$))+"
)

_PLAIN_LOSS = (  # the total, most usual name first
    re.compile(r"train(?:ing)?[/_]loss|loss(?:es)?/train(?:ing)?"),
    re.compile(r"(?:train(?:ing)?[/_])?(?:total_loss|loss_total)|loss(?:es)?/total(?:_loss)?"),
    re.compile(r"(?:train/)?epoch_loss"),
    re.compile(r"train(?:ing)?[/_]loss_step"),
    re.compile(r"loss"),
    re.compile(r"(?!.*train.*train)(?!.*batch).*"),  # Hugging Face repeats its mean as train/train_loss at the end
)
_COMPONENTS = tuple(  # which part speaks for a loss that is logged in parts only
    _words(part)
    for part in ("box|bbox", "recon|reconstruction|rec", "diffusion|action|lm|mlm", "mse|l1|l2", "cls|class|ce")
)
_SAYS_NOTHING = re.compile(  # words of a tag that tell nothing about which loss or metric it is
    r"train|training|trn|val|valid|validation|validate|eval|evaluation|evaluate|test|testing|dev|held|out|holdout|loss|"
    r"losses|epoch|step|iter|iters|iteration|iterations|batch|total|avg|average|mean|running|overall|sum|smoothed|data|"
    r"metrics?|scalars?|value|vs|global|summary|idx"
)
_SCORE_ORDER = (
    re.compile(r"rollout/ep_rew_mean|environment/cumulative_reward|(?:charts/)?episod(?:ic|e)_(?:return|reward)"),
    _REWARD,
    _words(r"success|successes|pc_success"),
    re.compile(r"(?:^|[/_])m?ap(?:50|_0\.5)_(?:0\.)?95(?=$|[/_])"),
    _words(r"map\d*"),
    _words(r"moderate_r(?:40|11)"),
    _words(r"acc\d*|accuracy|f1"),
)
_SPLIT_ORDER: tuple[Split, ...] = ("validation", "test", "unnamed", "train")

_FRAMEWORKS: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
    # name, alternatives; all patterns of one alternative must match whole tags
    ("YOLO", ((r"x/lr0", r"(?:train|val)/box_loss"), (r"lr/pg0", r"(?:train|val)/\w+_loss"), (r"metrics/mAP.*",))),
    ("Stable-Baselines3", ((r"rollout/ep_(?:rew|len)_mean",), (r"time/fps", r"train/(?:n_updates|approx_kl)"))),
    ("ML-Agents", ((r"Environment/(?:Cumulative Reward|Episode Length)",), (r"Losses/Value Loss", r"Policy/.*"))),
    ("CleanRL", ((r"charts/episodic_return",), (r"charts/SPS",))),
    ("tianshou", ((r"train/n/ep",), (r"update/gradient_step",), (r"(?:train|test)/rew_std",))),
    ("OpenPCDet", ((r"meta_data/(?:learning_rate|epoch_id)",), (r"recall/rcnn_0\.\d",))),
    ("detectron2", ((r"total_loss", r"(?:rank_)?data_time|loss_box_reg|eta_seconds"), (r"bbox/AP",))),
    (
        "Hugging Face Trainer",
        ((r"train/(?:train_runtime|total_flos)|eval/runtime",), (r"train/epoch", r"train/grad_norm", r"train/loss")),
    ),
    ("Lightning", ((r"hp_metric",), (r"lr-[A-Z]\w+.*",), (r"epoch", r".+_(?:step|epoch)|(?:train|val|test)[_/].+"))),
    ("Keras", ((r"(?:.*/)?epoch_(?:loss|learning_rate|\w*acc\w*)",), (r".*evaluation_\w+_vs_iterations",))),
    ("TensorFlow Estimator", ((r"global_step/sec",),)),
    ("MAE", ((r"perf/test_(?:acc1|loss)",),)),
)


# --- one tag -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Name:
    """A tag with its spelling and the part of the data it was measured on."""

    tag: str
    text: str
    split: Split

    @staticmethod
    def of(tag: str) -> "_Name":
        text = spell(tag)
        return _Name(tag, text, _split(text))

    @property
    def held_out(self) -> bool:
        return self.split in ("validation", "test")

    @property
    def telling_words(self) -> tuple[str, ...]:
        """The words that say which loss or metric it is; none for the plain total."""
        return tuple(word for word in re.split("[/_]", self.text) if not _SAYS_NOTHING.fullmatch(word))

    @property
    def is_loss(self) -> bool:
        return _has(_LOSS, self.text) and not _has(_NO_LOSS, self.text)

    @property
    def is_free(self) -> bool:
        return _has(_FREE, self.text)

    @property
    def is_reward(self) -> bool:
        return _has(_REWARD, self.text) and self.is_score

    @property
    def is_score(self) -> bool:
        if _has(_LOSS, self.text) or _has(_NO_SCORE, self.text):
            return False
        return _has(_MAXIMISED, self.text) or _has(_MINIMISED, self.text)

    @property
    def is_duration(self) -> bool:
        found = _has(_EPOCH_WORD, self.text) and _has(_DURATION_WORD, self.text)
        return found and not _has(_NO_DURATION, self.text)

    @property
    def is_gradient_norm(self) -> bool:
        named = _has(_GRADIENT, self.text) and _has(_NORM, self.text)
        whole = _GRADIENT_NORM_ONLY.fullmatch(self.text) is not None
        return whole and (named or _has(_ONE_WORD_NORM, self.text))


def _has(pattern: re.Pattern[str], text: str) -> bool:
    return pattern.search(text) is not None


def _split(text: str) -> Split:
    if _has(_VALIDATION, text) or _has(_DEVELOPMENT, text):
        return "validation"
    if _has(_TEST, text):
        return "test"
    return "train" if _has(_TRAIN, text) else "unnamed"


def _first_match(patterns: tuple[re.Pattern[str], ...], text: str) -> int | None:
    """Return the position of the first pattern that matches the whole text, None when none does."""
    return next((rank for rank, pattern in enumerate(patterns) if pattern.fullmatch(text)), None)


def _first_found(patterns: tuple[re.Pattern[str], ...], text: str) -> int:
    """Return the position of the first pattern found in the text, one past the last when none is."""
    return next((rank for rank, pattern in enumerate(patterns) if _has(pattern, text)), len(patterns))


def direction_of(tag: str) -> Direction | None:
    """Return whether a smaller (``min``) or larger (``max``) value of a tag is better, None when neither is known.

    Losses, errors and durations are minimised, scores, rewards and throughput maximised. The parts of an
    actor-critic or adversarial training have no direction, and neither have learning rates, epochs and norms.
    """
    name = _Name.of(tag)
    if _has(_HIDDEN, name.text):
        return None
    if name.is_loss:
        return None if name.is_free else "min"
    if name.is_score:
        return "max" if _has(_MAXIMISED, name.text) else "min"
    if _first_match(_THROUGHPUT, name.text) is not None:
        return "max"
    return "min" if name.is_duration or _has(_LATENCY, name.text) else None


# --- all tags of a run ---------------------------------------------------------------------------------------------


def choose_roles(series: Mapping[str, Points], overrides: Mapping[str, str] | None = None) -> Roles:
    """Return which tag of a run means what.

    Args:
        series: tag → points of one run; only the names are looked at.
        overrides: role → tag, as `Settings.roles` or the page says; they win. A tag the run does not have is ignored.

    Returns:
        The roles. A run that is trained on a reward has a loss without direction: in reinforcement learning the loss
        says little about success. A loss logged in parts only is represented by one part, labelled as such. Of scores
        there are at most `MOST_SCORES`, the most telling first.

    Raises:
        ValueError: An override names a role there is not.
    """
    roles, rewarded = _automatic(frozenset(series))
    wanted = {role: tag for role, tag in (overrides or {}).items() if tag in series}
    return _override(roles, wanted, rewarded)


@functools.lru_cache(maxsize=64)  # the runs of a log directory have the same few sets of tags
def _automatic(tags: frozenset[str]) -> tuple[Roles, bool]:
    """Return the roles by name alone, and whether the training is about a reward."""
    names = [_Name.of(tag) for tag in sorted(tags)]
    names = [name for name in names if not _has(_HIDDEN, name.text)]
    rewarded = _is_reinforcement(names)
    roles = Roles(
        loss=_loss(names, rewarded),
        validation=_validation(names),
        learning_rate=_learning_rate(names),
        epoch=_pick(names, lambda name: _first_match(_EPOCH, name.text), "epoch", None),
        duration=_duration(names),
        throughput=_throughput(names),
        gradient_norm=_gradient_norm(names),
        loss_scale=_pick(names, lambda name: _first_match(_LOSS_SCALE, name.text), "loss scale", None),
        scores=_scores(names),
        framework=guess_framework(sorted(tags)),
    )
    return roles, rewarded


def _is_reinforcement(names: list[_Name]) -> bool:
    """Return whether a reward is what the training is about, not only what its evaluation measures.

    A policy learned from demonstrations is evaluated by its reward, but its loss is an ordinary loss.
    """
    rewards = [name for name in names if name.is_reward]
    if any(not name.held_out for name in rewards):
        return True
    return bool(rewards) and any(name.is_loss and _has(_RL_PART, name.text) for name in names)


def guess_framework(tags: Iterable[str]) -> str | None:
    """Return the framework whose usual tags are among these, None when nothing speaks for one."""
    lines = "\n".join(tags)
    for framework, alternatives in _FRAMEWORKS:
        for patterns in alternatives:
            if all(re.search(rf"^(?:{pattern})$", lines, re.MULTILINE) for pattern in patterns):
                return framework
    return None


def _pick(
    names: Iterable[_Name], rank: Callable[[_Name], int | None], label: str, direction: Direction | None
) -> RoleTag | None:
    """Return the tag with the lowest rank (then the first by name); None where every rank is None."""
    ranked = [(found, name.tag) for name in names if not name.held_out and (found := rank(name)) is not None]
    return RoleTag(min(ranked)[1], label, direction) if ranked else None


def _loss(names: list[_Name], rewarded: bool) -> RoleTag | None:
    """Return the training loss: the total, else a part of it, else one of two players, else an error measure."""
    trained = [name for name in names if not name.held_out]
    losses = [name for name in trained if name.is_loss]
    plain = [name for name in losses if not name.is_free and not name.telling_words]
    parts = [name for name in losses if not name.is_free and name.telling_words]
    players = [name for name in losses if _has(_GENERATOR, name.text)]
    players += [name for name in losses if _has(_DISCRIMINATOR, name.text)]
    errors = [name for name in trained if name.is_score and _has(_TRAINING_ERROR, name.text)]
    ordered = sorted(plain, key=_plain_rank) or sorted(parts, key=_part_rank) or players or errors
    return _loss_tag(ordered[0], rewarded) if ordered else None


def _plain_rank(name: _Name) -> tuple[int, str]:
    rank = _first_match(_PLAIN_LOSS, name.text)
    return len(_PLAIN_LOSS) if rank is None else rank, name.tag


def _part_rank(name: _Name) -> tuple[int, bool, int, str]:
    words = name.telling_words
    return _first_found(_COMPONENTS, name.text), name.split != "train", len(words), name.tag


def _loss_tag(name: _Name, rewarded: bool) -> RoleTag:
    label = _label(name) if name.telling_words else "loss"
    free = name.is_loss and (rewarded or name.is_free)
    return RoleTag(name.tag, label, None if free else direction_of(name.tag) or "min")


def _validation(names: list[_Name]) -> tuple[RoleTag, ...]:
    """Return one validation loss per task, the plain one first; test losses only where there is no other."""
    losses = [name for name in names if name.is_loss and name.held_out and not name.is_free]
    chosen = [name for name in losses if name.split == "validation"] or losses
    per_task: dict[tuple[str, ...], _Name] = {}
    for name in sorted(chosen, key=lambda name: ("iter" in name.text or "step" in name.text, name.tag)):
        per_task.setdefault(name.telling_words, name)
    tasks = sorted(per_task.items(), key=lambda item: _natural(" ".join(item[0])))
    return _unique(RoleTag(name.tag, _task_label(words), "min") for words, name in tasks)


def _natural(text: str) -> list[tuple[int, str]]:
    """Return a sorting key under which ``task 10`` follows ``task 9``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]


def _task_label(words: tuple[str, ...]) -> str:
    return re.sub(r"\b(task|fold|dataset)(\d+)\b", r"\1 \2", " ".join(words)) or "validation"


def _learning_rate(names: list[_Name]) -> RoleTag | None:
    def rank(name: _Name) -> int | None:
        return None if _has(_NO_LEARNING_RATE, name.text) else _first_match(_LEARNING_RATE, name.text)

    return _pick(names, rank, "learning rate", None)


def _duration(names: list[_Name]) -> RoleTag | None:
    def rank(name: _Name) -> int | None:
        return None if not name.is_duration else int(name.split != "train")

    found = _pick(names, rank, "epoch duration", "min")
    return found and replace(found, scale=_seconds_per_unit(found.tag))


def _seconds_per_unit(tag: str) -> float:
    return next((scale for pattern, scale in _UNITS if _has(pattern, spell(tag))), 1.0)


def _throughput(names: list[_Name]) -> RoleTag | None:
    found = _pick(names, lambda name: _first_match(_THROUGHPUT, name.text), "", "max")
    return found and replace(found, label=_speed_label(found.tag))


def _speed_label(tag: str) -> str:
    text = spell(tag)
    found = next((match for pattern in _THROUGHPUT if (match := pattern.fullmatch(text))), None)
    if found is None:
        return _label(_Name.of(tag))
    counted = found["counted"]
    return counted if counted in ("fps", "sps", "throughput") else f"{counted.removesuffix('s')}s per second"


def _gradient_norm(names: list[_Name]) -> RoleTag | None:
    def rank(name: _Name) -> int | None:
        return len(name.text) if name.is_gradient_norm else None

    return _pick(names, rank, "gradient norm", None)


def _scores(names: list[_Name]) -> tuple[RoleTag, ...]:
    """Return metrics with a direction; of one metric measured on several splits the validation's."""
    per_metric: dict[tuple[str, ...], _Name] = {}
    scores = [name for name in names if name.is_score]
    for name in sorted(scores, key=lambda name: (_SPLIT_ORDER.index(name.split), name.text.endswith("step"))):
        key = (name.tag,) if name.is_reward else name.telling_words
        per_metric.setdefault(key, name)
    ordered = sorted(per_metric.values(), key=_score_rank)[:MOST_SCORES]
    return _unique(RoleTag(name.tag, _score_label(name), direction_of(name.tag)) for name in ordered)


def _score_rank(name: _Name) -> tuple[int, int, str]:
    """Return the place of a score: rewards first, those of the training before the rarer ones of evaluations."""
    place = _SPLIT_ORDER.index(name.split)
    return _first_found(_SCORE_ORDER, name.text), -place if name.is_reward else place, name.tag


def _score_label(name: _Name) -> str:
    prefix = {"train": "training ", "test": "test "}.get(name.split, "")
    return prefix + _label(name)


def _label(name: _Name) -> str:
    """Return the last part of the tag that says something, as words: ``train/box_loss`` → ``box loss``."""
    for component in reversed(name.tag.split("/")):
        words = re.split(r"[_\s]+", component)
        kept = [word for word in words if word.lower() == "loss" or not _SAYS_NOTHING.fullmatch(word.lower())]
        if kept:
            return " ".join(kept)
    return name.tag


def _unique(chosen: Iterable[RoleTag]) -> tuple[RoleTag, ...]:
    """Return the tags with labels that differ: where two would share one, the tag itself is the label."""
    tags = tuple(chosen)
    uses = Counter(role.label for role in tags)
    return tuple(role if uses[role.label] == 1 else replace(role, label=role.tag) for role in tags)


def _override(roles: Roles, wanted: Mapping[str, str], rewarded: bool) -> Roles:
    for key, tag in wanted.items():
        name = _Name.of(tag)
        match Role(key):
            case Role.LOSS:
                roles = replace(roles, loss=_loss_tag(name, rewarded))
            case Role.VALIDATION:
                label = _task_label(name.telling_words)
                roles = replace(roles, validation=(RoleTag(tag, label, direction_of(tag) or "min"),))
            case Role.LEARNING_RATE:
                roles = replace(roles, learning_rate=RoleTag(tag, "learning rate", None))
            case Role.EPOCH:
                roles = replace(roles, epoch=RoleTag(tag, "epoch", None))
            case Role.DURATION:
                scale = _seconds_per_unit(tag)
                roles = replace(roles, duration=RoleTag(tag, "epoch duration", "min", scale))
            case Role.THROUGHPUT:
                roles = replace(roles, throughput=RoleTag(tag, _speed_label(tag), "max"))
            case Role.GRADIENT_NORM:
                roles = replace(roles, gradient_norm=RoleTag(tag, "gradient norm", None))
            case Role.LOSS_SCALE:
                roles = replace(roles, loss_scale=RoleTag(tag, "loss scale", None))
            case Role.SCORE:
                roles = replace(roles, scores=(RoleTag(tag, _score_label(name), direction_of(tag) or "max"),))
    return roles
