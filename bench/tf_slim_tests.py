"""Runs tf-slim's own tests on the API that `slimft.compat` repairs.

The figures so far are in docs/tf_slim_tests.md.

    python bench/tf_slim_tests.py [FOLDER] [--plain] [--only TEXT] [--jobs 2] [--causes]

Takes every `*_test.py` below FOLDER (by default those that the installed tf-slim brings along) and runs
each in a fresh process in which `slimft.compat` was imported first; with `--plain`, tf-slim is as it is
installed. The test files are run as they are and import the installed tf-slim, wherever they lie. Prints a
row per file (passed, failed, skipped; a file that cannot be imported or ends its process counts as one
failure) and, with `--causes`, the first line of each distinct failure with the tests that have it. The
exit status is 0 if nothing failed.
"""

import argparse
import collections
import concurrent.futures
import functools
import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import types
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class Outcomes(unittest.TestResult):
    """Notes for each test that ran whether it passed, and why not.

    Attributes:
        failures_by_test: the first line of the failure, by the test's name.
        skipped_tests: names of the skipped ones.
    """

    def __init__(self):
        super().__init__()
        self.failures_by_test = {}
        self.skipped_tests = []

    def _fail(self, test, error):
        lines = [line for line in f"{error[0].__name__}: {error[1]}".splitlines() if line.strip()]
        # Where TensorFlow rewrote the function, its traceback comes first and the error itself last.
        why = lines[-1].strip() if lines[0].endswith("in user code:") else lines[0]
        self.failures_by_test.setdefault(short_name(test), why[:300])

    def addError(self, test, err):
        self._fail(test, err)

    def addFailure(self, test, err):
        self._fail(test, err)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self._fail(test, err)

    def addSkip(self, test, reason):
        self.skipped_tests.append(short_name(test))


def short_name(test):
    """The class and method of a test, without its module."""
    return ".".join(test.id().split(".")[-2:])


def run_file(path, plain):
    """Runs one test file in this process.

    Returns:
        A dict: "passed" (count), "failed" (first line of the failure by test), "skipped" (count).
    """
    if not plain:
        import slimft.compat  # noqa: F401
    from absl import flags

    if importlib.util.find_spec("nose") is None:
        # A test runner that Python 3.10 and later cannot import; a test file has a decorator from it.
        tools = types.ModuleType("nose.tools")
        tools.nottest = lambda function: function
        sys.modules.update({"nose": types.ModuleType("nose"), "nose.tools": tools})
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    flags.FLAGS([path])  # TensorFlow's test case asks for its flags.
    outcomes = Outcomes()
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    # The session that TensorFlow's test case adds to each class is no test.
    suite = unittest.TestSuite(test for test in flat(suite) if test._testMethodName != "test_session")
    suite.run(outcomes)
    failed, skipped = outcomes.failures_by_test, len(outcomes.skipped_tests)
    return {"passed": outcomes.testsRun - len(failed) - skipped, "failed": failed, "skipped": skipped}


def flat(suite):
    """The tests of nested suites, one after the other."""
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flat(item)
        else:
            yield item


def run_apart(path, plain, timeout):
    """`run_file` in a process of its own; what ends the process is a failure like any other."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.json")
        command = [sys.executable, __file__, str(path), "--result", str(result)] + ["--plain"] * plain
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
        environment.pop("TF_USE_LEGACY_KERAS", None)
        try:
            done = subprocess.run(
                command,
                env=environment,
                cwd=folder,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
            )
            if result.exists():
                return json.loads(result.read_text())
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            why = lines[-1][:300] if lines else f"ended with status {done.returncode}"
        except subprocess.TimeoutExpired:
            why = f"not done after {timeout} s"
        return {"passed": 0, "failed": {"(the file)": why}, "skipped": 0}


def print_causes(results):
    """Prints each distinct failure once, with the tests that fail so."""
    tests_by_cause = collections.defaultdict(list)
    for name, result in results.items():
        for test, why in result["failed"].items():
            # Numbers and names in it differ from test to test.
            cause = re.sub(r"0x[0-9a-f]+|\d+", "#", why)
            tests_by_cause[cause].append((f"{name}: {test}", why))
    print()
    for tests in sorted(tests_by_cause.values(), key=len, reverse=True):
        print(f"{len(tests):4} {tests[0][1]}")
        for test, _ in tests[:8]:
            print(f"       {test}")
        if len(tests) > 8:
            print(f"       and {len(tests) - 8} more")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="where the test files lie")
    parser.add_argument("--plain", action="store_true", help="do not import slimft.compat")
    parser.add_argument("--only", default="", help="only files whose path holds this text")
    parser.add_argument("--jobs", type=int, default=2, help="files to run at once")
    parser.add_argument("--timeout", type=int, default=1200, help="seconds a file may take")
    parser.add_argument("--causes", action="store_true", help="print each distinct failure")
    parser.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.result:
        args.result.write_text(json.dumps(run_file(str(args.folder), args.plain)))
        return 0
    folder = (args.folder or Path(importlib.util.find_spec("tf_slim").origin).parent).resolve()
    files = [path for path in sorted(folder.rglob("*_test.py")) if args.only in str(path.relative_to(folder))]
    if not files:
        parser.error(f"no *_test.py to run below {folder}")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("tensorflow", "tf-slim", "numpy")]
    print(", ".join(versions), "as installed" if args.plain else "with slimft.compat")
    print(f"{'file':40} {'passed':>7} {'failed':>7} {'skipped':>7}")
    run = functools.partial(run_apart, plain=args.plain, timeout=args.timeout)
    results = {}
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for path, result in zip(files, pool.map(run, files)):
            name = path.relative_to(folder).as_posix()
            results[name] = result
            counts = result["passed"], len(result["failed"]), result["skipped"]
            print("{:40} {:7} {:7} {:7}".format(name, *counts), flush=True)
    passed, skipped = (sum(result[key] for result in results.values()) for key in ("passed", "skipped"))
    failed = sum(len(result["failed"]) for result in results.values())
    print(f"{'all':40} {passed:7} {failed:7} {skipped:7}")
    if args.causes:
        print_causes(results)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
