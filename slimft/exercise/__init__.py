"""The POSTECH exercise and the tutorials around it: what to run, run within a time, told in one table and one page.

`catalogue` has the steps, each a command of ``bin/finetune``; `starts` finds out which checkpoint a step can have;
`plan` says what is done and what fits; `running` runs one; `rows`, `table` and `page` tell of all. It needs no
TensorFlow: each step is a process of its own.
"""
