"""aymericdamien/TensorFlow-Examples 6dcbe14649163814e72a22a999f20c5e247ce988

Tutorials, 14 of its TF1 scripts.
"""

import os

import driver_stages as stages

stages.mnist("/tmp/data")
os.chdir("tensorflow_v1/examples")
stages.mnist("MNIST_data")
for path in (
    "2_BasicModels/linear_regression.py", "2_BasicModels/logistic_regression.py", "3_NeuralNetworks/autoencoder.py",
    "3_NeuralNetworks/bidirectional_rnn.py", "3_NeuralNetworks/convolutional_network_raw.py",
    "3_NeuralNetworks/dcgan.py", "3_NeuralNetworks/dynamic_rnn.py", "3_NeuralNetworks/gan.py",
    "3_NeuralNetworks/neural_network_raw.py", "3_NeuralNetworks/recurrent_network.py",
    "3_NeuralNetworks/variational_autoencoder.py", "4_Utils/save_restore_model.py",
    "4_Utils/tensorboard_advanced.py", "5_DataManagement/tensorflow_dataset_api.py",
):  # fmt: skip
    stages.begin(path)
    stages.script(path, runs=3)
