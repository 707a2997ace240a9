"""abisee/pointer-generator b29e986f24fdd01a6b6d6008187c5c887f0be282

Summaries of text, its model with attention and coverage.

Flags: --python2
"""

import collections

import driver_stages as stages
import numpy as np
import tensorflow as tf

flags = {"pointer_gen": True, "coverage": True}
for name, value in flags.items():
    tf.app.flags.DEFINE_boolean(name, value, "")
tf.app.flags.DEFINE_string("log_root", "log", "")
import model as models  # noqa: E402

stages.reached("imported")
settings = {
    "mode": "train", "lr": 0.15, "adagrad_init_acc": 0.1, "rand_unif_init_mag": 0.02, "trunc_norm_init_std": 1e-4,
    "max_grad_norm": 2.0, "hidden_dim": 4, "emb_dim": 4, "batch_size": 2, "max_dec_steps": 3, "max_enc_steps": 5,
    "coverage": True, "cov_loss_wt": 1.0, "pointer_gen": True,
}  # fmt: skip


class Words:
    """Thirty words."""

    def size(self):
        """Their number."""
        return 30

    def write_metadata(self, path):
        """Writes them."""
        stages.text(path, [str(number) for number in range(30)])


tf.app.flags.FLAGS(["driver"])
net = models.SummarizationModel(collections.namedtuple("HParams", settings)(**settings), Words())
net.build_graph()
batch = collections.namedtuple(
    "Batch",
    "enc_batch enc_lens enc_padding_mask enc_batch_extend_vocab max_art_oovs "
    "dec_batch target_batch dec_padding_mask",
)
random = np.random.RandomState(0)
article, summary = random.randint(1, 30, (2, 5)), random.randint(1, 30, (2, 3))
data = batch(article, [5, 5], np.ones((2, 5)), article, 1, summary, summary, np.ones((2, 3)))
with tf.Session(config=tf.ConfigProto(allow_soft_placement=True)) as session:
    session.run(tf.global_variables_initializer())
    stages.step(session, net._train_op, net._make_feed_dict(data))
    net.run_train_step(session, data)
    stages.save_and_restore(session)
