"""Cross-validation: a run for each fold, and what all of them say of the examples that each did not train on.

`conduct` trains the folds one after the other; `out_of_fold` evaluates each on its own test part, and pools that;
`slimft.runs.folds` knows the directory, and `slimft.report` draws its page.
"""
