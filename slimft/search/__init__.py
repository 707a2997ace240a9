"""Several runs that differ in chosen flags, and the best of them: ``bin/finetune --sweep``.

`space` says what varies, `record` is what the directory keeps of the trials, `study` asks Optuna, `conduct` trains
one trial after the other, and `page` shows them. Importing this package imports no TensorFlow.
"""
