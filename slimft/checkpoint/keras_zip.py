"""Keras' `.keras` files: a zip archive with the model's description, of which no code is run, and an HDF5 file."""

from __future__ import annotations

import tempfile
import zipfile
import zlib

from slimft.checkpoint.keras_h5 import KerasH5Checkpoint
from slimft.checkpoint.memory import most_bytes
from slimft.wire.binary_file import Malformed

_WEIGHTS = "model.weights.h5"
_PIECE = 1 << 20


class KerasZipCheckpoint(KerasH5Checkpoint):
    """The weights in a `.keras` file, by their paths in its HDF5 file.

    That file is copied to a temporary one, which goes when it is not needed any more: HDF5 cannot read it where it
    lies.

    Args:
        path: the file.

    Raises:
        Malformed: it is damaged, or makes absurdly much of its bytes.
        OSError: it cannot be read, or copied.
    """

    format = "keras"

    def __init__(self, path: str):
        self._copy = tempfile.NamedTemporaryFile(suffix=f"-{_WEIGHTS}")  # Which is removed with this object.
        try:
            with zipfile.ZipFile(path) as archive, archive.open(_WEIGHTS) as stream:
                member = archive.getinfo(_WEIGHTS)
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise Malformed(f"its {_WEIGHTS} is compressed in a way that Keras does not use")
                left = most_bytes(member.compress_size)
                while piece := stream.read(_PIECE):
                    left -= len(piece)
                    if left < 0:
                        raise Malformed(f"its {_WEIGHTS} is absurdly large for what is stored of it")
                    self._copy.write(piece)
        except Malformed:
            raise
        except EOFError:
            raise Malformed(f"its {_WEIGHTS} is cut off") from None
        except (zipfile.BadZipFile, zlib.error, KeyError, RuntimeError, ValueError) as error:
            raise Malformed(str(error)) from None
        self._copy.flush()
        super().__init__(self._copy.name)
        self.path = path
        if len(self._offsets) == len(self._variables):
            self._copy.close()  # The open file is all that is needed to read them.
