"""What an installed slimft has beside its modules."""

import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """What a clone holds of the package, in a folder that is called as the package is."""
    source = tmp_path_factory.mktemp("clones") / "slimft"
    for folder in ("slimft", "checkpoints"):
        # Weights that were fetched lie in checkpoints/ too.
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__", "*.ckpt*"))
    for file in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source / file)
    return source


def test_an_editable_clone_is_found_from_the_folder_that_holds_it(source, tmp_path):
    """There, the clone itself could be taken for a package without an `__init__.py`."""
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--target", tmp_path, "--editable", source]
    subprocess.run([sys.executable, *install], check=True)
    program = f"import site; site.addsitedir({str(tmp_path)!r}); import slimft; print(slimft.__file__)"
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    told = subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=source.parent,
        env=alone,
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout.strip() == str(source / "slimft" / "__init__.py")


def test_a_wheel_holds_what_the_package_reads(source, tmp_path):
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, source], check=True
    )
    (wheel,) = tmp_path.glob("slimft-*.whl")
    held = zipfile.ZipFile(wheel).namelist()
    assert "slimft/py.typed" in held
    read = ("checkpoint/official.json", "data/imagenet_classes.txt", "serving/page.html")
    assert {f"slimft/{file}" for file in read} <= set(held)
    # And every module, of packages that are easily forgotten too.
    assert {f"slimft/{file.relative_to(ROOT / 'slimft')}" for file in (ROOT / "slimft").rglob("*.py")} <= set(held)
