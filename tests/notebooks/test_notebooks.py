"""The notebooks of docs/notebooks: committed without outputs, and run by nbmake at their small setting."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import nbformat
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOTEBOOKS = {file.stem: file for file in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))}


# What runs before the notebook: fc6 and fc7 of VGG on small images, of a hundred million weights, are narrow.
NARROW = """
from slimft.nets import vgg

wide = vgg.fully_connected_conv2d
vgg.fully_connected_conv2d = lambda net, width, *arguments, **keywords: wide(
    net, 64 if net.shape[1] == 1 and net.shape[3] < width else width, *arguments, **keywords
)
"""


class Outputs:
    """What the cells of a notebook that was run have shown."""

    def __init__(self, notebook):
        self._cells = [cell for cell in notebook.cells if cell.cell_type == "code"]

    def of(self, code):
        """The text of the one cell whose code contains `code`, standard output and error together."""
        (cell,) = [cell for cell in self._cells if code in cell.source]
        return "".join(one.text for one in cell.outputs if one.output_type == "stream")

    def count(self, mime):
        """How many outputs are of that type."""
        return sum(mime in one.get("data", {}) for cell in self._cells for one in cell.outputs)

    def tables(self):
        """The first column of each table that the comparison has printed, without the header."""
        tables = self.of("slimft.report.compare").strip().split("\n\n")
        return [[line.split()[0] for line in table.splitlines()[1:]] for table in tables]


@pytest.fixture
def run(tmp_path):
    """Runs the notebook of that name, behind a cell of `before`; its runs are removed at the end."""
    folder = tmp_path / "notebooks"
    folder.mkdir()

    def with_nbmake(name, before=""):
        copy = folder / NOTEBOOKS[name].name
        notebook = nbformat.read(NOTEBOOKS[name], as_version=4)
        notebook.cells.insert(0, nbformat.v4.new_code_cell(before))
        nbformat.write(notebook, copy)
        # Some other test may have chosen where this process draws.
        left_out = ("PYTEST_", "MPLBACKEND")
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(left_out)}
        places = os.pathsep.join(filter(None, [str(ROOT), inherited.get("PYTHONPATH")]))
        command = [sys.executable, "-m", "pytest", "-p", "no:xdist", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, "--nbmake", "--overwrite", "--nbmake-timeout=900", copy],
            cwd=folder,
            env={**inherited, "PYTHONPATH": places, "SLIMFT_NOTEBOOKS": "small"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-20_000:]
        return Outputs(nbformat.read(copy, as_version=4))

    yield with_nbmake
    shutil.rmtree(folder)


def test_transfer_learning(run):
    outputs = run("transfer_learning", before=NARROW)
    assert outputs.of("slimft.check_images").startswith(
        "The loader's images are what VGG-16 was trained on.\nThe course's"
    )
    assert re.search(
        r"^Test accuracy: \d+\.\d\d% of 360 images\n26 fixed .* bit for bit$", outputs.of("loop_accuracy ="), re.M
    )
    moved = outputs.of("for run in (conv_fixed, all_layers)")
    assert "conv_fixed: 26 of 26 conv variables" in moved and "all_layers: 0 of 26 conv variables" in moved
    assert outputs.of("def vgg_postech").startswith("22 weight layers")
    plan = outputs.of("dry_run=True")
    assert re.search(
        r"^vgg_postech/conv5/conv5_4/weights +3x3x512x512 +restored from vgg_19/conv5/conv5_4/weights$", plan, re.M
    )
    assert re.search(r"^vgg_postech/conv5/conv5_5/weights +3x3x512x512 +excluded$", plan, re.M)
    assert outputs.tables()[:2] == [["fifty_epochs", "conv_fixed", "all_layers", "vgg_19", "vgg_postech"]] * 2
    # Nine training images, nine test images with predictions, the bars; and the report of a run.
    assert outputs.count("image/png") == 3 and outputs.count("text/html") == 1


def test_fcn(run):
    outputs = run("fcn")
    mine, of_slimft = re.findall(r"^Mean IoU (0\.\d{4})", outputs.of("slimft.evaluate"), re.M)
    assert float(mine) == pytest.approx(float(of_slimft), abs=0.001)
    assert {line.split()[0] for line in outputs.of("slimft.evaluate").splitlines() if " IoU " in line} >= {
        "ground",
        "disc",
    }
    assert "restore from" in outputs.of('model="fcn_16s"') and "vgg_16/score_pool4" in outputs.of('model="fcn_16s"')
    assert outputs.tables()[:2] == [["fcn_32s", "fcn_16s", "fcn_8s"]] * 2
    # A legend, five training images, four test images with the loop's masks, and four with those of the runs.
    assert outputs.count("image/png") == 1 + 5 + 4 + 4


@pytest.mark.parametrize("file", NOTEBOOKS.values(), ids=NOTEBOOKS)
def test_they_are_committed_without_outputs(file):
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert [cell.metadata.get("tags") for cell in code] == [["parameters"], *[None] * (len(code) - 1)]


def test_the_page_about_them_names_them_all():
    page = (ROOT / "docs" / "notebooks.md").read_text()
    assert set(re.findall(r"notebooks/(\w+)\.ipynb", page)) == NOTEBOOKS.keys() == {"fcn", "transfer_learning"}
