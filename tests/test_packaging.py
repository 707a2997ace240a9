"""What an installed slimft has beside its modules."""

import pathlib
import shutil
import subprocess
import sys
import zipfile

ROOT = pathlib.Path(__file__).parent.parent


def test_a_wheel_holds_what_the_package_reads(tmp_path):
    source = tmp_path / "source"
    for folder in ("slimft", "checkpoints"):
        # Weights that were fetched lie in checkpoints/ too.
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__", "*.ckpt*"))
    for file in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source / file)
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
