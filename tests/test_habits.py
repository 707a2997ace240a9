"""README's test command, the workflow and the hooks run the same; the matrix has the versions that setup.py allows."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
yaml = pytest.importorskip("yaml")


@pytest.fixture(scope="module")
def steps():
    """The commands of README's test command, but the installation."""
    (command,) = re.findall(r"<!-- the test command -->\n```bash\n(.+)\n```", (ROOT / "README.md").read_text())
    install, *steps = command.split(" && ")
    assert install == "pip install -e '.[test]'"
    return steps


@pytest.fixture(scope="module")
def workflow():
    return yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text())


def test_the_workflow_runs_readmes_command(steps, workflow):
    run = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert [step for step in steps if step not in run] == []
    assert workflow["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] <= 90 for job in workflow["jobs"].values())


def test_the_hooks_check_what_the_command_checks(steps):
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = {hook["id"]: hook for repo in config["repos"] for hook in repo["hooks"]}
    checked = {" ".join(hook["entry"].split()[:2]) for hook in hooks.values() if "entry" in hook}
    assert checked == {"ruff check", "ruff format", "mypy"}
    assert {" ".join(step.split()[:2]) for step in steps} == {*checked, "pytest -n"}


def test_the_matrix_has_the_lowest_and_the_highest_versions(workflow):
    setup = (ROOT / "setup.py").read_text()
    lowest, beyond = re.search(r'"tensorflow>=2\.(\d+),<2\.(\d+)"', setup).groups()
    matrix = workflow["jobs"]["tests"]["strategy"]["matrix"]["include"]
    minors = {int(one["tensorflow"].split(".")[1]) for one in matrix}
    assert minors == {int(lowest), int(beyond) - 1}
    pythons = {int(one["python"].split(".")[1]) for one in matrix}
    least, end = re.search(r"range\((\d+), (\d+)\)", setup).groups()
    assert (min(pythons), max(pythons)) == (int(least), int(end) - 1)
