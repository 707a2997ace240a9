"""hunkim/DeepLearningZeroToAll 60c707e02af7bd950401faeadcc6c0e1b39b2978

A course, ten of its scripts.

From linear regression to batch normalization, recurrent networks and tf.layers, each for a few steps.
"""

import driver_stages as stages

stages.mnist("MNIST_data")
stages.text("data-01-test-score.csv", [f"{n + 70},{n + 80},{n + 75},{2 * n + 150}" for n in range(20)])
stages.text("data-04-zoo.csv", [",".join(str(n % 2) for _ in range(16)) + f",{n % 7}" for n in range(21)])
for path in (
    "lab-04-4-tf_reader_linear_regression.py", "lab-06-2-softmax_zoo_classifier.py", "lab-09-4-xor_tensorboard.py",
    "lab-10-3-mnist_nn_xavier.py", "lab-10-7-mnist_nn_higher_level_API.py", "lab-11-3-mnist_cnn_class.py",
    "lab-11-5-mnist_cnn_ensemble_layers.py", "lab-12-1-hello-rnn.py", "lab-12-4-rnn_long_char.py",
    "lab-13-3-mnist_save_restore.py",
):  # fmt: skip
    stages.begin(path)
    stages.script(path, runs=3)
