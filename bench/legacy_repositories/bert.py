"""google-research/bert eedf5716ce1268e56f0a50264a88cafad334ac61

Language model, create_pretraining_data.py, run_pretraining.py and run_classifier.py.

Makes examples of its sample_text.txt, trains a tiny BERT by TPUEstimator on the processor, and fine-tunes that.
"""

import json
import subprocess
import sys

import driver_stages as stages

words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "of", "and", "a", "to", "in", "was", "he", "it", "."]
stages.text("vocab.txt", words)
settings = {
    "vocab_size": 15, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
    "max_position_embeddings": 32, "type_vocab_size": 2,
}  # fmt: skip
stages.text("bert.json", [json.dumps(settings)])
stages.text("glue/train.tsv", [f"in{n}\t{n % 2}\t*\tthe sample of {n}" for n in range(8)])
stages.text("glue/dev.tsv", [f"in{n}\t{n % 2}\t*\tthe sample of {n}" for n in range(8)])
common = ["--bert_config_file=bert.json", "--max_seq_length=32", "--train_batch_size=4", "--do_train", "--do_eval"]
scripts = (
    (
        "create_pretraining_data.py", "--input_file=sample_text.txt", "--output_file=examples.tfrecord",
        "--vocab_file=vocab.txt", "--max_seq_length=32", "--max_predictions_per_seq=5", "--dupe_factor=2",
    ),
    (
        "run_pretraining.py", "--input_file=examples.tfrecord", "--output_dir=pretrained", *common,
        "--num_train_steps=2", "--num_warmup_steps=1", "--max_predictions_per_seq=5", "--max_eval_steps=2",
        "--eval_batch_size=4",
    ),
    (
        "run_classifier.py", "--task_name=cola", "--data_dir=glue", "--vocab_file=vocab.txt", *common,
        "--init_checkpoint=pretrained/model.ckpt-2", "--num_train_epochs=1.0", "--output_dir=tuned",
        "--eval_batch_size=4",
    ),
)  # fmt: skip
for script in scripts:  # Each in a process: their flags have the same names.
    subprocess.run([sys.executable, sys.orig_argv[1], *script], check=True)
for folder in ("pretrained", "tuned"):
    stages.checkpoint_is_whole(f"{folder}/model.ckpt-2")
    stages.reached("step")
stages.reached("restored")
