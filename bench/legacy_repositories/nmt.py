"""tensorflow/nmt 0be864257a76c151eef20ea689755f08bc1faf4e

Translation, nmt.nmt trained on six sentences, with attention and beam search.

Then it translates from its checkpoint.
"""

import driver_stages as stages
import tensorflow as tf

words = ["the", "cat", "dog", "sees", "a"]
for language in ("xx", "yy"):
    stages.text(f"data/vocab.{language}", ["<unk>", "<s>", "</s>", *words])
    for part in ("train", "dev", "test"):
        stages.text(f"data/{part}.{language}", ["the cat sees a dog", "a dog sees the cat", "the dog"] * 2)
flags = (
    "--src=xx", "--tgt=yy", "--vocab_prefix=data/vocab", "--train_prefix=data/train", "--dev_prefix=data/dev",
    "--test_prefix=data/test", "--out_dir=trained", "--num_units=4", "--batch_size=2", "--steps_per_stats=1",
    "--num_train_steps=2", "--attention=scaled_luong", "--encoder_type=bi", "--num_layers=2", "--beam_width=2",
    "--infer_mode=beam_search", "--num_gpus=0", "--num_buckets=1",
)  # fmt: skip
from nmt import nmt  # noqa: E402

stages.reached("imported")


def run(*more):
    """Runs nmt's main."""
    parser = nmt.argparse.ArgumentParser()
    nmt.add_arguments(parser)
    nmt.FLAGS, _ = parser.parse_known_args([*flags, *more])
    nmt.run_main(nmt.FLAGS, nmt.create_hparams(nmt.FLAGS), nmt.train.train, nmt.inference.inference)


run()
stages.reached("step")
stages.checkpoint_is_whole("trained/translate.ckpt*")
tf.reset_default_graph()
run("--inference_input_file=data/test.xx", "--inference_output_file=translated")
assert len(open("translated").readlines()) == 6
stages.reached("restored")
