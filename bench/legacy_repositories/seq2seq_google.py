"""google/seq2seq 7f485894d412e8d81ce0e07977831865e44309ce

Translation, bin/train.py with attention on made-up sentences, and bin/infer.py from its checkpoint.
"""

import driver_stages as stages
import tensorflow as tf

words = ["the", "cat", "dog", "sees", "a"]
for language in ("xx", "yy"):
    stages.text(f"data/vocab.{language}", words)
    stages.text(f"data/{language}", ["the cat sees a dog", "a dog sees the cat", "the dog sees"] * 4)
data = "{source_files: [data/xx], target_files: [data/yy]}"
params = (
    "{vocab_source: data/vocab.xx, vocab_target: data/vocab.yy, embedding.dim: 4, encoder.params: {rnn_cell: "
    "{cell_class: GRUCell, cell_params: {num_units: 4}}}, decoder.params: {rnn_cell: {cell_class: GRUCell, "
    "cell_params: {num_units: 4}}}, attention.params: {num_units: 4}, "
    "bridge.class: seq2seq.models.bridges.ZeroBridge}"
)
stages.script(
    "bin/train.py", "--model=AttentionSeq2Seq", f"--model_params={params}", "--batch_size=2", "--train_steps=3",
    f"--input_pipeline_train={{class: ParallelTextInputPipeline, params: {data}}}",
    f"--input_pipeline_dev={{class: ParallelTextInputPipeline, params: {data}}}",
    "--output_dir=trained", "--eval_every_n_steps=2", "--buckets=4,6", "--save_checkpoints_steps=2",
)  # fmt: skip
stages.checkpoint_is_whole("trained/model.ckpt*")
tf.reset_default_graph()
stages.script(
    "bin/infer.py", "--tasks=[{class: DecodeText}]", "--model_dir=trained",
    f"--input_pipeline={{class: ParallelTextInputPipeline, params: {data}}}", "--batch_size=2",
    "--model_params={inference.beam_search.beam_width: 2}",
)  # fmt: skip
stages.reached("restored")
