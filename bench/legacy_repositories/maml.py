"""cbfinn/maml a7f45f1bcd7457fe97b227a21e89b8a82cc5fa49

Meta-learning, main.py on sinusoids, and its evaluation from the checkpoint.
"""

import driver_stages as stages
import tensorflow as tf

flags = ("--datasource=sinusoid", "--logdir=logs", "--norm=None", "--update_batch_size=5")
stages.text("logs/readme", [""])
stages.script("main.py", *flags, "--metatrain_iterations=1001")
stages.checkpoint_is_whole("logs/*/model*")
tf.reset_default_graph()
stages.script("main.py", *flags, "--train=False", "--test_set=True")
stages.reached("restored")
