"""Runs the tests on several versions of TensorFlow, each in a fresh virtual environment of its own.

    python tests/on_tensorflow_versions.py 2.16.2 2.21.0 -- -n 2 tests/compat
    python tests/on_tensorflow_versions.py python3.10:2.16.2 python3.13:2.21.0 -- tests/compat tests/legacy

A version may have its Python in front, by name or path; without, it is the one that runs this. Each Python has gone
without something that the scripts of tests/legacy use. What follows ``--`` goes to pytest; without it, all tests
run. Exit status: 0 if all versions passed, else 1.
"""

import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]


def passes(version, arguments):
    """Installs slimft with TensorFlow of ``[PYTHON:]VERSION``, runs pytest and returns whether all passed."""
    interpreter, _, version = version.rpartition(":")
    minor = ".".join(version.split(".")[:2])
    with tempfile.TemporaryDirectory(prefix=f"tensorflow-{version}-") as folder:
        subprocess.run([interpreter or sys.executable, "-m", "venv", folder], check=True)
        python = str(pathlib.Path(folder, "bin", "python"))
        # tf-keras, the tests' reference, is of the same minor version.
        packages = ["-e", ".[test]", f"tensorflow=={version}", f"tf-keras=={minor}.*"]
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], cwd=ROOT, check=True)
        return subprocess.run([python, "-m", "pytest", *arguments], cwd=ROOT).returncode == 0


def main(arguments):
    """Runs the tests as the command line says; returns the exit status."""
    separator = arguments.index("--") if "--" in arguments else len(arguments)
    versions, rest = arguments[:separator], arguments[separator + 1 :]
    if not versions:
        print(__doc__, file=sys.stderr)
        return 2
    results = {version: passes(version, rest) for version in versions}
    for version, passed in results.items():
        print(f"TensorFlow {version}: {'passed' if passed else 'failed'}")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
