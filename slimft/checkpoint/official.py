"""The official TF-Slim releases: what each is called, where it is and which variables it holds.

The facts are in ``checkpoints/official.json``, which is read when the first of them is asked for.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from slimft import system
from slimft.errors import CheckpointError
from slimft.local_paths import check_local

# A wheel has the file beside this module, a checkout in its folder checkpoints/.
_INSTALLED = pathlib.Path(__file__).with_name("official.json")
_CHECKOUT = pathlib.Path(__file__).resolve().parents[2] / "checkpoints" / "official.json"

# Other names of a release: the usual one of several sizes, and the README's spelling where the file's differs.
ALIASES = {
    "nasnet_mobile": "nasnet-a_mobile",
    "nasnet_large": "nasnet-a_large",
    "pnasnet_mobile": "pnasnet-5_mobile",
    "pnasnet_large": "pnasnet-5_large",
    "mobilenet_v1": "mobilenet_v1_1.0_224",
    "mobilenet_v2": "mobilenet_v2_1.0_224",
    "mobilenet_v3_large": "mobilenet_v3_large_1.0_224",
    "mobilenet_v3_small": "mobilenet_v3_small_1.0_224",
    "mobilenet_v3_large_minimalistic": "mobilenet_v3_large_minimalistic_1.0_224",
    "mobilenet_v3_small_minimalistic": "mobilenet_v3_small_minimalistic_1.0_224",
    "mobilenet_v1_0.50_160": "mobilenet_v1_0.5_160",
}


@dataclasses.dataclass(frozen=True)
class Release:
    """A checkpoint that TF-Slim's authors trained on ImageNet or converted, and published.

    Attributes:
        name: what ``--checkpoint`` knows it by.
        network: the network's name in research/slim's ``nets_factory.py``.
        url: of the archive it is in.
        file: its file, or the prefix of its V2 files, here and in the archive.
        format: ``tensorflow_v1`` or ``tensorflow_v2``.
        variables: shapes, by name, of the network's variables. The file may hold more, as ``global_step``.
        sha256: of the archive, in hexadecimal, as others have published it; None if nobody has.
        sha256_from: where each of them says so.
        http_url: where the archive is without https, None if it is not.
        archived: what the file is called in the archive, where that is another name.
    """

    name: str
    network: str
    url: str
    file: str
    format: str
    variables: Mapping[str, tuple[int, ...]]
    sha256: str | None = None
    sha256_from: Sequence[str] = ()
    http_url: str | None = None
    archived: str | None = None

    @property
    def archive(self) -> str:
        """The archive's name."""
        return self.url.rsplit("/", 1)[-1]

    def is_in(self, folder: pathlib.Path) -> bool:
        """Whether `folder` has its file, or its V2 index, which gets there last."""
        return any((folder / f"{self.file}{suffix}").is_file() for suffix in ("", ".index"))


class _Official(Mapping[str, Release]):
    """The releases by name, read from official.json when first looked at."""

    def __getitem__(self, name: str) -> Release:
        return _read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_read())

    def __len__(self) -> int:
        return len(_read())


OFFICIAL = _Official()


@functools.cache
def _read() -> Mapping[str, Release]:
    file = _INSTALLED if _INSTALLED.is_file() else _CHECKOUT
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))["releases"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise CheckpointError(f"{file}, which lists the official releases, cannot be read ({reason})") from None
    releases = {}
    for name, entry in entries.items():
        variables = {variable: tuple(shape) for variable, shape in entry.pop("variables").items()}
        releases[name] = Release(name=name, variables=variables, **entry)
    return releases


def find_release(name: str) -> Release:
    """The release called `name`, which may be an alias.

    Raises:
        CheckpointError: there is none; suggests one or lists them all.
    """
    release = OFFICIAL.get(ALIASES.get(name, name))
    if release is None:
        close = difflib.get_close_matches(name, [*OFFICIAL, *ALIASES], n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"they are {', '.join(OFFICIAL)}"
        raise CheckpointError(f"there is no official release {name!r}; {hint}")
    return release


def checkpoint_directory() -> pathlib.Path:
    """The folder official checkpoints are looked for in, and fetched into.

    It is the environment variable ``SLIMFT_CHECKPOINTS``, or else a checkout's ``checkpoints/``, or else that of
    `slimft.system.cache_folder`.
    """
    chosen = os.environ.get("SLIMFT_CHECKPOINTS")
    if chosen:
        check_local(chosen, "SLIMFT_CHECKPOINTS")
        return pathlib.Path(chosen).expanduser()
    if not _INSTALLED.is_file():
        return _CHECKOUT.parent
    return system.cache_folder("checkpoints")
