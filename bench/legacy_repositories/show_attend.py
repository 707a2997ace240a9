"""yunjey/show-attend-and-tell 1b8ca3a0025f5c46b5153cc872dea9b198f276b6

Captions of images in Python 2, its CaptioningSolver trained on noise.

Flags: --python2
"""

import sys
import types

import driver_stages as stages
import numpy as np

# What reads the features, and the captions' scores, are other packages.
sys.modules["hickle"] = types.ModuleType("hickle")
for part, name in (("bleu", "Bleu"), ("rouge", "Rouge"), ("cider", "Cider"), ("meteor", "Meteor")):
    package = f"pycocoevalcap.{part}"
    for module in ("pycocoevalcap", package, f"{package}.{part}"):
        sys.modules.setdefault(module, types.ModuleType(module))
    setattr(sys.modules[f"{package}.{part}"], name, object)
from core import model, solver  # noqa: E402

stages.reached("imported")
words = {word: number for number, word in enumerate(["<NULL>", "<START>", "<END>", "a", "cat", "sits"])}
random = np.random.RandomState(0)
captions = random.randint(0, 6, (8, 17)).astype("int32")
data = {
    "features": random.rand(8, 4, 6).astype("float32"),
    "captions": captions,
    "image_idxs": np.arange(8),
}
net = model.CaptionGenerator(words, [4, 6], 8, 10, 16, True, True, 1.0, True, True)
trainer = solver.CaptioningSolver(
    net, data, data, n_epochs=2, batch_size=4, update_rule="adam", print_every=1, save_every=1,
    model_path="driver_model/", log_path="driver_log/", print_bleu=False,
)  # fmt: skip
trainer.train()
for stage in ("graph", "step"):
    stages.reached(stage)
stages.checkpoint_is_whole("driver_model/model-2")
stages.reached("restored")
