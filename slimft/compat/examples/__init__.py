"""What tensorflow.examples had and scripts import: the MNIST tutorial."""
