"""The tags of the frameworks get the roles a person would give them, and false friends get none."""

import pytest

from monitor.analysis.roles import MOST_SCORES, choose_roles, direction_of, guess_framework, spell
from monitor.schema import Points, Roles

STABLE_BASELINES = [
    "rollout/ep_len_mean",
    "rollout/ep_rew_mean",
    "time/fps",
    "train/approx_kl",
    "train/clip_fraction",
    "train/clip_range",
    "train/entropy_loss",
    "train/explained_variance",
    "train/learning_rate",
    "train/loss",
    "train/policy_gradient_loss",
    "train/value_loss",
    "eval/mean_reward",
    "eval/mean_ep_length",
]
YOLO_5 = [
    "metrics/mAP_0.5",
    "metrics/mAP_0.5:0.95",
    "metrics/precision",
    "metrics/recall",
    "train/box_loss",
    "train/cls_loss",
    "train/obj_loss",
    "val/box_loss",
    "val/cls_loss",
    "val/obj_loss",
    "x/lr0",
    "x/lr1",
    "x/lr2",
]
HUGGING_FACE = [
    "train/loss",
    "train/grad_norm",
    "train/learning_rate",
    "train/epoch",
    "eval/loss",
    "eval/accuracy",
    "eval/runtime",
    "eval/samples_per_second",
    "eval/steps_per_second",
    "train/train_loss",
    "train/train_runtime",
    "train/total_flos",
]
ML_AGENTS = (
    "Environment/Cumulative Reward",
    "Environment/Episode Length",
    "Losses/Policy Loss",
    "Losses/Value Loss",
    "Policy/Entropy",
    "Policy/Extrinsic Value Estimate",
    "Policy/Learning Rate",
)


def roles_of(*tags: str, **overrides: str) -> Roles:
    return choose_roles(dict.fromkeys(tags, Points.empty()), overrides)


def tag_of(role):
    return None if role is None else role.tag


@pytest.mark.parametrize(
    ("tag", "spelling"),
    [
        ("Losses/Value Loss", "losses/value_loss"),
        ("LearningRate/train_lr", "learning_rate/train_lr"),
        ("lr-Adam", "lr_adam"),
        ("metrics/mAP_0.5:0.95", "metrics/map_0.5_0.95"),
        ("grad_2.0_norm_total", "grad_2.0_norm_total"),
        ("valLoss", "val_loss"),
        (" / ", ""),
    ],
)
def test_tags_are_spelled_in_one_way(tag, spelling):
    assert spell(tag) == spelling


@pytest.mark.parametrize(
    "tags",
    [
        ("train/loss",),
        ("train_loss", "val_loss", "test_loss"),
        ("Loss/train", "Loss/test"),
        ("data/train_loss", "data/test_acc"),
        ("Loss/train_step_loss", "LearningRate/train_lr"),
        ("total_loss", "loss_cls", "loss_box_reg", "validation_loss"),
        ("train/epoch_loss", "train/batch_loss", "validation/epoch_loss"),
        ("train_loss_step", "train_loss_epoch", "val_loss"),
        ("train/loss", "train/train_loss", "eval/loss"),
        ("train/loss", "train/rpn_loss", "train/rpn_loss_cls", "meta_data/learning_rate"),
        ("Loss_train/Loss", "Loss_val/Loss"),
        ("loss", "eval/loss", "global_step/sec"),
        ("cross_entropy", "accuracy"),
    ],
)
def test_the_total_training_loss_is_chosen(tags):
    loss = roles_of(*tags).loss
    assert (tag_of(loss), loss.direction) == (tags[0], "min")


@pytest.mark.parametrize(
    "tag",
    [
        "train/value_loss",
        "train/entropy_loss",
        "Losses/Value Loss",
        "Losses/Policy Loss",
        "train/policy_gradient_loss",
        "train/loss_scale",
        "loss_weight",
        "losses/explained_variance",
        "losses/approx_kl",
        "best_loss",
        "val_loss",
        "value",
        "interval",
        "hparam/loss",
    ],
)
def test_a_false_friend_is_no_training_loss(tag):
    assert roles_of(tag).loss is None


def test_a_loss_logged_in_parts_is_represented_by_one_labelled_as_a_part():
    loss = roles_of(*YOLO_5).loss
    assert (loss.tag, loss.label) == ("train/box_loss", "box loss")


def test_an_adversarial_training_shows_its_generator_without_direction():
    loss = roles_of("d_loss", "g_loss", "fid").loss
    assert (loss.tag, loss.direction) == ("g_loss", None)


def test_an_error_measure_stands_in_where_no_loss_is_logged():
    assert tag_of(roles_of("train/mse", "lr").loss) == "train/mse"


def test_the_loss_of_a_run_trained_on_a_reward_has_no_direction():
    loss = roles_of(*STABLE_BASELINES).loss
    assert (loss.tag, loss.direction) == ("train/loss", None)


def test_the_loss_of_an_imitated_policy_keeps_its_direction_beside_an_evaluated_reward():
    assert roles_of("train/loss", "eval/avg_sum_reward", "eval/pc_success").loss.direction == "min"


@pytest.mark.parametrize(
    ("tag", "label"),
    [
        ("validation/task3_loss", "task 3"),
        ("val_loss", "validation"),
        ("eval/loss", "validation"),
        ("validation/epoch_loss", "validation"),
        ("loss/val", "validation"),
        ("loss_val", "validation"),
        ("Loss_val/Loss", "validation"),
        ("val/box_loss", "box"),
        ("eval/squad_loss", "squad"),
        ("dev_loss", "validation"),
    ],
)
def test_a_validation_loss_is_found_and_named_by_its_task(tag, label):
    validation = roles_of("train/loss", tag).validation
    assert [(role.tag, role.label) for role in validation] == [(tag, label)]


def test_tasks_are_ordered_by_number():
    tags = [f"validation/task{number}_loss" for number in (10, 2, 1)]
    assert [role.label for role in roles_of(*tags).validation] == ["task 1", "task 2", "task 10"]


def test_a_test_loss_is_validation_only_where_there_is_no_other():
    assert [role.tag for role in roles_of("train_loss", "val_loss", "test_loss").validation] == ["val_loss"]
    assert [role.tag for role in roles_of("train_loss", "test_loss").validation] == ["test_loss"]


def test_of_two_spellings_of_one_validation_loss_the_one_per_epoch_is_taken():
    tags = ("validation/epoch_loss", "validation/evaluation_loss_vs_iterations")
    assert [role.tag for role in roles_of(*tags).validation] == ["validation/epoch_loss"]


@pytest.mark.parametrize("tag", ["interval_loss", "value_loss", "evaluation_time", "val/value_loss", "std_dev_loss"])
def test_val_inside_a_word_is_no_validation(tag):
    assert roles_of("train/loss", tag).validation == ()


@pytest.mark.parametrize(
    "tag",
    [
        "lr",
        "train/learning_rate",
        "lr-AdamW",
        "lr-Adam/pg1",
        "x/lr0",
        "lr/pg0",
        "meta_data/learning_rate",
        "opt/lr",
        "LearningRate/train_lr",
        "Policy/Learning Rate",
        "train/epoch_learning_rate",
        "charts/learning_rate",
    ],
)
def test_a_learning_rate_is_found(tag):
    assert tag_of(roles_of("loss", tag).learning_rate) == tag


@pytest.mark.parametrize("tag", ["clr", "flr", "hparam/lr", "lr_decay", "lr-Adam-momentum", "lr_loss", "slr/x"])
def test_lr_inside_a_word_or_beside_another_quantity_is_no_learning_rate(tag):
    assert roles_of("loss", tag).learning_rate is None


def test_of_several_groups_the_first_learning_rate_is_taken():
    assert tag_of(roles_of("x/lr2", "x/lr0", "x/lr1").learning_rate) == "x/lr0"


@pytest.mark.parametrize("tag", ["epoch", "train/epoch", "Epoch", "current_epoch", "meta_data/epoch_id"])
def test_an_epoch_series_is_found(tag):
    assert tag_of(roles_of("loss", tag).epoch) == tag


@pytest.mark.parametrize("tag", ["epoch_loss", "time/epoch", "loss/epoch", "epoch_time", "val/epoch"])
def test_epoch_beside_another_quantity_is_no_epoch_series(tag):
    assert roles_of(tag).epoch is None


@pytest.mark.parametrize(
    ("tag", "scale"),
    [
        ("train/epoch_duration_minutes", 60.0),
        ("epoch_duration_seconds", 1.0),
        ("epoch_time", 1.0),
        ("time/epoch", 1.0),
        ("epoch_time_ms", 1e-3),
        ("epoch_hours", 3600.0),
        ("seconds_per_epoch", 1.0),
    ],
)
def test_an_epoch_duration_is_scaled_to_seconds(tag, scale):
    duration = roles_of("loss", tag).duration
    assert (duration.tag, duration.scale) == (tag, scale)


@pytest.mark.parametrize("tag", ["time/fps", "epochs_per_second", "eval/epoch_time", "eta/epoch_time", "time"])
def test_another_time_is_no_epoch_duration(tag):
    assert roles_of("loss", tag).duration is None


@pytest.mark.parametrize(
    ("tag", "label"),
    [
        ("time/fps", "fps"),
        ("train/samples_per_second", "samples per second"),
        ("steps_per_second", "steps per second"),
        ("global_step/sec", "steps per second"),
        ("perf/tokens_per_sec", "tokens per second"),
        ("charts/SPS", "sps"),
    ],
)
def test_a_throughput_is_found(tag, label):
    throughput = roles_of("loss", tag).throughput
    assert (throughput.tag, throughput.label, throughput.direction) == (tag, label, "max")


def test_the_throughput_of_an_evaluation_is_not_that_of_the_training():
    assert roles_of("eval/samples_per_second").throughput is None


@pytest.mark.parametrize(
    "tag", ["train/grad_norm", "grad_norm", "grad_2.0_norm_total", "gradients/global_norm", "train/gnorm"]
)
def test_a_gradient_norm_is_found(tag):
    assert tag_of(roles_of("loss", tag).gradient_norm) == tag


@pytest.mark.parametrize(
    "tag", ["train/policy_gradient_loss", "max_grad_norm", "grad_2.0_norm/conv1.weight", "weight_norm", "gradient"]
)
def test_a_false_friend_is_no_gradient_norm(tag):
    assert roles_of("loss", tag).gradient_norm is None


@pytest.mark.parametrize(
    "tag",
    [
        "train/loss_scale",
        "loss_scale",
        "loss-scale vs samples",
        "Train/Samples/loss_scale",
        "grad_scale",
        "train/grad_scaler",
        "GradScaler/scale",
        "scaler/scale",
        "amp/scale",
        "amp_scale",
        "fp16/loss_scale",
    ],
)
def test_a_loss_scale_is_found(tag):
    roles = roles_of("loss", tag)
    assert tag_of(roles.loss_scale) == tag
    assert tag_of(roles.loss) == "loss"


@pytest.mark.parametrize("tag", ["logit_scale", "kl_loss_scale", "scale", "train/scale", "reward_scale", "loss"])
def test_a_false_friend_is_no_loss_scale(tag):
    assert roles_of("train/loss", tag).loss_scale is None


def test_a_loss_scale_can_be_named():
    assert roles_of("loss", "s/factor", loss_scale="s/factor").loss_scale.label == "loss scale"


@pytest.mark.parametrize(
    ("tag", "direction"),
    [
        ("train/loss", "min"),
        ("val/nll", "min"),
        ("eval/wer", "min"),
        ("perplexity", "min"),
        ("FID", "min"),
        ("val_rmse", "min"),
        ("metrics/mAP50-95(B)", "max"),
        ("x/map", "max"),
        ("bbox/AP50", "max"),
        ("rollout/ep_rew_mean", "max"),
        ("Environment/Cumulative Reward", "max"),
        ("eval/pc_success", "max"),
        ("val/mIoU", "max"),
        ("r2", "max"),
        ("perf/test_acc1", "max"),
        ("Car_3d/moderate_R40", "max"),
        ("BLEU-4", "max"),
        ("time/fps", "max"),
        ("epoch_time", "min"),
        ("train/value_loss", None),
        ("d_loss", None),
        ("train/reward_std", None),
        ("Reward/Best Cell Length", None),
        ("mapping", None),
        ("train/learning_rate", None),
        ("hp_metric", None),
        ("hparam/accuracy", None),
        ("train/explained_variance", None),
        ("", None),
    ],
)
def test_every_tag_has_the_direction_of_its_quantity(tag, direction):
    assert direction_of(tag) == direction


def test_scores_of_a_detector_begin_with_its_main_metric():
    assert [role.tag for role in roles_of(*YOLO_5).scores][:2] == ["metrics/mAP_0.5:0.95", "metrics/mAP_0.5"]


def test_scores_of_reinforcement_learning_begin_with_the_rollouts():
    assert [role.tag for role in roles_of(*STABLE_BASELINES).scores] == ["rollout/ep_rew_mean", "eval/mean_reward"]


def test_of_one_metric_on_two_splits_the_validation_is_shown():
    assert [role.tag for role in roles_of("train_acc", "val_acc").scores] == ["val_acc"]
    assert [role.label for role in roles_of("train_acc").scores] == ["training acc"]


def test_scores_with_the_same_last_part_are_labelled_by_their_tags():
    tags = ("Bus_3d/easy_R40", "Car_3d/easy_R40")
    assert [role.label for role in roles_of(*tags).scores] == list(tags)


def test_scores_are_limited_to_the_most_telling():
    tags = [f"class{number}/precision" for number in range(40)]
    chosen = roles_of("metrics/mAP", *tags).scores
    assert (len(chosen), chosen[0].tag) == (MOST_SCORES, "metrics/mAP")


@pytest.mark.parametrize(
    ("tags", "framework"),
    [
        (STABLE_BASELINES, "Stable-Baselines3"),
        (YOLO_5, "YOLO"),
        (("lr/pg0", "train/box_loss", "metrics/mAP50(B)"), "YOLO"),
        (HUGGING_FACE, "Hugging Face Trainer"),
        (ML_AGENTS, "ML-Agents"),
        (("epoch", "hp_metric", "train_loss"), "Lightning"),
        (("train/epoch_loss", "validation/epoch_loss"), "Keras"),
        (("total_loss", "data_time", "loss_cls"), "detectron2"),
        (("meta_data/learning_rate", "train/loss"), "OpenPCDet"),
        (("loss", "train/rew", "train/rew_std"), "tianshou"),
        (("train/loss", "train/learning_rate"), None),
        ((), None),
    ],
)
def test_the_framework_is_guessed_from_its_tags(tags, framework):
    assert guess_framework(tags) == framework


def test_all_roles_of_a_trainer_that_logs_tasks_are_found():
    roles = roles_of(
        "train/loss", "train/learning_rate", "train/epoch_duration_minutes", "validation/task1_loss", "train/grad_norm"
    )
    found = (roles.loss, roles.learning_rate, roles.duration, roles.gradient_norm, *roles.validation)
    assert None not in found and roles.scores == () and roles.epoch is None


def test_a_run_without_series_has_no_roles():
    assert roles_of() == Roles()


def test_the_choice_does_not_depend_on_the_order_of_the_series():
    assert roles_of(*YOLO_5) == roles_of(*reversed(YOLO_5))


def test_an_override_wins():
    roles = roles_of("train/loss", "train/action_mse", "x", loss="train/action_mse", score="x", epoch="x")
    assert (roles.loss.tag, roles.scores[0].tag, roles.epoch.tag) == ("train/action_mse", "x", "x")


def test_an_overridden_duration_keeps_the_unit_of_its_name():
    assert roles_of("loop_minutes", duration="loop_minutes").duration.scale == 60.0


def test_an_override_of_a_tag_that_is_not_there_is_ignored():
    assert roles_of("train/loss", loss="train/total") == roles_of("train/loss")


def test_an_override_of_an_unknown_role_is_refused():
    with pytest.raises(ValueError, match="colour"):
        roles_of("train/loss", colour="train/loss")
