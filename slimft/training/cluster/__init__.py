"""Several processes that train together, on one machine or several, on TensorFlow's own runtime.

Each process has a `tf.train.Server`. There is no parameter server: each has all variables, and collective ops
average gradients. `members` reads ``TF_CONFIG``, `joining` finds who is there, and these are a `group.Group`;
`peers` watches them, `exchange` carries small messages, `agreement` finds what is not alike. `workers` are the
`Replicas`.
"""
