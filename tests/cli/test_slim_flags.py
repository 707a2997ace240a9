"""Flags of research/slim's scripts: taken where slimft has the like, else answered with what to use instead."""

import pytest

from slimft.cli import evaluate, finetune, predict
from slimft.cli.slim_flags import SLIM_FLAGS

# All flags of train_image_classifier.py (2016 to 2021), and of eval_image_classifier.py.
TRAIN = """
    master train_dir num_clones clone_on_cpu worker_replicas num_ps_tasks num_readers num_preprocessing_threads
    log_every_n_steps save_summaries_secs save_interval_secs task weight_decay optimizer adadelta_rho
    adagrad_initial_accumulator_value adam_beta1 adam_beta2 opt_epsilon ftrl_learning_rate_power
    ftrl_initial_accumulator_value ftrl_l1 ftrl_l2 momentum rmsprop_momentum rmsprop_decay quantize_delay
    learning_rate_decay_type learning_rate end_learning_rate label_smoothing learning_rate_decay_factor
    num_epochs_per_decay sync_replicas replicas_to_aggregate moving_average_decay dataset_name dataset_split_name
    dataset_dir labels_offset model_name preprocessing_name batch_size train_image_size max_number_of_steps
    use_grayscale checkpoint_path checkpoint_exclude_scopes trainable_scopes ignore_missing_vars
""".split()
EVALUATE = """
    batch_size max_num_batches master checkpoint_path eval_dir num_preprocessing_threads dataset_name
    dataset_split_name dataset_dir labels_offset model_name preprocessing_name moving_average_decay eval_image_size
    quantize use_grayscale
""".split()


def said(capsys, command, *arguments):
    status = command.main(["the_command", *arguments])
    captured = capsys.readouterr()
    assert status == 2 and captured.out == "" and captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize("command, names", [(finetune, TRAIN), (evaluate, EVALUATE)])
def test_no_flag_of_slims_is_unknown(command, names, capsys):
    for name in names:
        command.main(["the_command", f"--{name}=certainly nothing", "--model=there_is_none"])
        assert "Unknown command line flag" not in capsys.readouterr().err, name


@pytest.mark.parametrize("name, told", SLIM_FLAGS.items())
def test_what_has_no_equivalent_is_answered(name, told, capsys):
    command = evaluate if name in ("moving_average_decay", "final_endpoint") else finetune
    message = said(capsys, command, f"--{name}=17.5")
    assert message.startswith(f"the_command: flag --{name}=17.5: {told.instead}") and len(message) < 250


def test_what_slimft_does_anyway_is_accepted(capsys):
    accepted = [f"--{name}={value}" for name, told in SLIM_FLAGS.items() for value in told.accepted[:1]]
    assert "--dataset_split_name=train" in accepted and "--num_clones=1" in accepted
    assert finetune.main(["finetune", *accepted, "--noclone_on_cpu", "--list_models"]) == 0
    assert "vgg_16" in capsys.readouterr().out
    assert "leave it out: CUDA_VISIBLE_DEVICES=" in said(capsys, finetune, "--clone_on_cpu", "--list_models")


def test_a_command_of_slims_readme(tmp_path, capsys):
    """That on fine-tuning, with a name of a network that does not exist, so that it ends there."""
    status = finetune.main(
        ["finetune", f"--train_dir={tmp_path}/run", f"--dataset_dir={tmp_path}", "--dataset_name=tfrecord",
         "--dataset_split_name=train", "--model_name=inception_v33", "--checkpoint_path=x.ckpt",
         "--checkpoint_exclude_scopes=InceptionV3/Logits,InceptionV3/AuxLogits", "--max_number_of_steps=1000",
         "--trainable_scopes=InceptionV3/Logits,InceptionV3/AuxLogits", "--batch_size=32", "--learning_rate=0.01",
         "--learning_rate_decay_type=fixed", "--save_interval_secs=60", "--optimizer=rmsprop",
         "--rmsprop_momentum=0.9", "--rmsprop_decay=0.9", "--weight_decay=0.00004", "--labels_offset=1"]
    )  # fmt: skip
    assert status == 2 and "did you mean inception_v3?" in capsys.readouterr().err


def test_the_help_tells_of_what_is_there_only(capsys):
    for command in (finetune, evaluate, predict):
        assert command.main(["the_command", "--help"]) == 0
        text = capsys.readouterr().out
        assert "--preprocessing_name" not in text and "--num_clones" not in text and "--grey_bits" in text


def test_a_dataset_of_slims(capsys):
    message = said(capsys, finetune, "--dataset_name=flowers", "--model=vgg_16")
    assert "--dataset=tfrecord reads the files that slim's download_and_convert_data.py makes of it" in message
