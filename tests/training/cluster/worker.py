"""One of several processes: runs what the first argument says, of what `slimft` has; not a test itself.

Usage: worker.py CASES.json FOLDER. For each case, a file FOLDER/CASE-INDEX.npz or .json is left by each process, or
FOLDER/CASE-INDEX.error.
"""

import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

import numpy as np
from conftest import register_tiny

from slimft.compat import tf
from slimft.errors import SlimftError
from slimft.runs.settings import Settings
from slimft.training import finetune
from slimft.training.run import prepare


def steps_of(settings, steps):
    """What each of the first steps measures, and the variables after them."""
    run = prepare(Settings(**settings))
    with run.training.graph.as_default(), run.new_session() as session:
        run.restore(session)
        run.start_batches(session, 0)
        measured = [run.take_step(session).values for _ in range(steps)]
        run.training.parts.put_back(session)
        values = {variable.op.name: session.run(variable) for variable in tf.global_variables()}
    run.group.leave()
    return measured, values


def main(file, folder):
    register_tiny()
    index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    for name, case in json.loads(pathlib.Path(file).read_text()).items():
        settings = {key: tuple(one) if isinstance(one, list) else one for key, one in case["settings"].items()}
        # A flag of one process alone.
        settings |= case.get("of", {}).get(str(index), {})
        target = pathlib.Path(folder, f"{name}-{index}")
        try:
            if "steps" in case:
                measured, values = steps_of(settings, case["steps"])
                target.with_suffix(".json").write_text(json.dumps(measured))
                np.savez(target.with_suffix(".npz"), **{key.replace("/", "|"): one for key, one in values.items()})
            else:
                target.with_suffix(".json").write_text(json.dumps(finetune(Settings(**settings))))
        except SlimftError as error:
            target.with_suffix(".error").write_text(f"{type(error).__name__} {error.exit_status}: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
