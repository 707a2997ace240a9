"""suriyadeepan/practical_seq2seq eb2e44b77b0b4af52c8d1b6d41e19919873a7f4f

Chatbot, its Seq2Seq trained, saved, restored and answering.
"""

import os

import driver_stages as stages
import numpy as np
from seq2seq_wrapper import Seq2Seq

stages.reached("imported")
os.makedirs("answers", exist_ok=True)
net = Seq2Seq(xseq_len=4, yseq_len=4, xvocab_size=10, yvocab_size=10, emb_dim=6, num_layers=2, ckpt_path="answers/",
              epochs=100)  # fmt: skip
stages.reached("graph")


def batches():
    """Batches of noise, shaped [4, 2]."""
    random = np.random.RandomState(0)
    while True:
        yield random.randint(1, 10, (4, 2)), random.randint(1, 10, (4, 2))


session = net.train(batches(), batches())
stages.reached("step")
session = net.restore_last_session() or session
assert net.predict(session, np.ones((4, 2), int)).shape == (2, 4)
stages.save_and_restore(session) if session.graph is not None else None
