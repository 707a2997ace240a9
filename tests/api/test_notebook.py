"""slimft in a real Jupyter kernel: one live bar, messages in the cell's output, the report, an interrupt."""

import pathlib
import re

import nbformat
import pytest
from nbclient import NotebookClient

TESTS = pathlib.Path(__file__).resolve().parents[1]
SETUP = f"""
import importlib.util, os, signal, sys, threading, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.path.insert(0, {str(TESTS.parent)!r})
spec = importlib.util.spec_from_file_location("conftest", {str(TESTS / "conftest.py")!r})
conftest = importlib.util.module_from_spec(spec)
spec.loader.exec_module(conftest)
conftest.register_tiny()
import tqdm.notebook, slimft
from slimft.compat import slim, tf
known = dict(model="tiny", dataset="digits", image_size=8, batch_size=8, eval_every=20)
"""
WITH_WIDGETS = 'slimft.finetune(**known, steps=40, train_dir="widgets")'
WITHOUT = """
tqdm.notebook.IProgress = None  # As where there is no ipywidgets.
slimft.finetune(**known, steps=200, train_dir="text")
"""
INTERRUPTED = """
def interrupt():
    while not os.path.exists("stopped/checkpoint"):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)  # What "Interrupt the kernel" sends.

threading.Thread(target=interrupt, daemon=True).start()
slimft.finetune(**known, steps=10**6, schedule="fixed", train_dir="stopped")
"""
PLAN = """
images = tf.zeros([1, 8, 8, 3])
slimft.get_network("tiny").build(images, 10, is_training=False)
plan = slimft.plan_restore("stopped")
plan
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """The outputs of each cell, after one run of all of them."""
    cells = (SETUP, WITH_WIDGETS, WITHOUT, INTERRUPTED, PLAN, "print(plan)")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", allow_errors=True)
    client.execute(cwd=str(tmp_path_factory.mktemp("notebook")))
    return dict(zip(cells, (cell.outputs for cell in notebook.cells)))


def text_of(outputs, stream="stderr"):
    return "".join(one.text for one in outputs if one.output_type == "stream" and one.name == stream)


def lines_of(text):
    """The lines as a cell shows them: what follows a carriage return is written over what was there."""
    lines = []
    for line in text.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


def test_with_ipywidgets_the_bar_is_a_widget(outputs):
    found = outputs[WITH_WIDGETS]
    bars = [one for one in found if "application/vnd.jupyter.widget-view+json" in one.get("data", {})]
    assert len(bars) == 1 and "\r" not in text_of(found) and "images/s" not in text_of(found)
    said = text_of(found).splitlines()
    assert any(line.startswith("training tiny on digits") for line in said) and said[-1].startswith("see ")


def test_without_it_is_one_line_that_is_written_anew(outputs):
    text = text_of(outputs[WITHOUT])
    assert text.count("images/s") > 2
    shown = lines_of(text)
    assert sum("images/s" in line for line in shown) == 1
    *validations, test = [line for line in shown if line.startswith("step ")]
    assert len(validations) == 10
    assert all(re.fullmatch(r"step \d+: validation accuracy 0\.\d+, loss \d+\.\d+", line) for line in validations)
    assert re.fullmatch(r"step 200: test, 360 examples: accuracy 0\.\d+, .*, loss \d+\.\d+", test)


def test_the_report_is_shown_and_the_table_beside_it(outputs):
    for cell in (WITH_WIDGETS, WITHOUT):
        data = outputs[cell][-1].data
        assert data["text/html"].startswith("<iframe") and "Learning curves" in data["text/html"]
        assert re.search(r"^accuracy +0\.\d{4}$", data["text/plain"], re.MULTILINE)


def test_an_interrupt_ends_the_run_with_what_it_has_saved(outputs):
    error = outputs[INTERRUPTED][-1]
    assert error.output_type == "error" and error.ename == "Interrupted"
    assert re.match(r"stopped by SIGINT at step \d+ of 1000000, and saved; to continue, ", error.evalue)
    assert len("\n".join(error.traceback).splitlines()) < 40


def test_a_plan_alone_is_the_plan_printed(outputs):
    shown, printed = outputs[PLAN][-1].data["text/plain"], text_of(outputs["print(plan)"], "stdout")
    assert shown == printed.rstrip("\n") and "tiny/logits/weights" in shown and "restored" in shown
