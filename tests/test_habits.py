"""The README's test command, .ci/run, the hooks before a commit and GitHub's workflow run the same steps."""

import pathlib
import re
import subprocess

import yaml

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMAND = re.search(r"<!-- the test command -->\n```bash\n(.+)\n```\n", README)[1]
INSTALL, *CHECKS, TESTS = COMMAND.split(" && ")
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text())


def runs(job):
    """What the steps of a job of the workflow run."""
    return [step["run"] for step in WORKFLOW["jobs"][job]["steps"] if "run" in step]


def test_the_command_installs_checks_and_tests():
    assert INSTALL == "pip install -e '.[test]'"
    assert CHECKS == ["ruff check", "ruff format --check", "mypy"]
    assert TESTS.split()[0] == "pytest"


def test_ci_runs_the_command():
    (taken,) = re.findall(r"^command=.*$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    shown = subprocess.run(["bash", "-c", f'{taken}\necho "$command"'], cwd=ROOT, capture_output=True, text=True)
    assert shown.stdout.strip() == COMMAND


def test_hooks_make_the_checks():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = {hook["id"]: hook for repository in config["repos"] for hook in repository["hooks"]}
    # ruff format sets right what --check only tells.
    assert [hooks[name]["entry"] for name in ("ruff", "ruff-format", "mypy")] == [
        check.removesuffix(" --check") for check in CHECKS
    ]
    # Those of the environment, which the command has installed.
    assert {hooks[name]["language"] for name in ("ruff", "ruff-format", "mypy")} == {"system"}


def test_the_workflow_makes_the_checks_and_runs_the_command():
    assert runs("checks") == [INSTALL, *CHECKS]
    assert ".ci/run" in runs("tests")


def test_the_workflow_has_the_lowest_and_highest_versions():
    setup = (ROOT / "setup.py").read_text()
    lowest, beyond = re.search(r'"tensorflow>=(2\.\d+),<2\.(\d+)"', setup).groups()
    first, end = map(int, re.search(r"3\.\{minor\}\" for minor in range\((\d+), (\d+)\)", setup).groups())
    matrix = WORKFLOW["jobs"]["tests"]["strategy"]["matrix"]["include"]
    tried = {(entry["tensorflow"], entry["python"]) for entry in matrix}
    assert {version for version, _ in tried} == {lowest, f"2.{int(beyond) - 1}"}
    assert (lowest, f"3.{first}") in tried and (f"2.{int(beyond) - 1}", f"3.{end - 1}") in tried


def test_the_workflow_may_only_read_and_takes_actions_by_version():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert WORKFLOW["concurrency"]["cancel-in-progress"] is True
    for job in WORKFLOW["jobs"].values():
        assert job["timeout-minutes"] <= 120 and "permissions" not in job
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"actions/[a-z-]+@v\d+\.\d+\.\d+", step["uses"])
