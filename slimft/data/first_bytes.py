"""What a file is that was taken for another, by its first bytes."""

from __future__ import annotations

import os

from slimft import system

# So many bytes are looked at.
HEAD_BYTES = 264
_AGAIN = "perhaps an error page in the place of a download; download it again"
# Where, what is there (in small letters), what it is and what to do.
_SIGNATURES = (
    (0, b"version https://git-lfs", "a pointer of Git LFS; run git lfs pull"),
    (0, b"<!doctype html", f"a web page, {_AGAIN}"),
    (0, b"<html", f"a web page, {_AGAIN}"),
    (0, b"<svg", "an SVG drawing; export it as PNG"),
    (0, b"<?xml", "XML, such as an SVG drawing or an error message of a download"),
    (0, b"%pdf", "a PDF; export its pages as PNG"),
    (0, b"%!ps", "PostScript; export it as PNG"),
    (4, b"ftyphei", "a HEIC photo; convert it to JPEG"),
    (4, b"ftyphev", "a HEIC film; export its frames as JPEG"),
    (4, b"ftypmif1", "a HEIF photo; convert it to JPEG"),
    (4, b"ftypmsf1", "a HEIF film; export its frames as JPEG"),
    (4, b"ftypavi", "an AVIF photo, which Pillow reads from version 11.3 on; update Pillow, or convert it to JPEG"),
    (4, b"ftyp", "a film; export its frames as JPEG"),
    (0, b"\xff\x0a", "a JPEG XL photo; convert it to JPEG"),
    (0, b"\0\0\0\x0cjxl ", "a JPEG XL photo; convert it to JPEG"),
    (0, b"8bps", "a Photoshop file; export it as PNG"),
    (128, b"dicm", "a DICOM file; convert it to PNG"),
    (0, b"simple  =", "a FITS file; convert it to TIFF"),
    (0, b"v/1\x01", "an OpenEXR picture; convert it to PNG"),
    (0, b"qoif", "a QOI picture; convert it to PNG"),
    (0, b"\x93numpy", "a NumPy array (.npy); save its images as PNG"),
    (0, b"\x89hdf", "an HDF5 file; save its images as PNG"),
    (0, b"pk\x03\x04", "a ZIP archive, or a file of an office program; unpack it, or save it as what is wanted"),
    (0, b"\x1f\x8b", "a gzip file; unpack it"),
    (0, b"bzh", "a bzip2 file; unpack it"),
    (0, b"\xfd7zxz", "an xz file; unpack it"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard file; unpack it"),
    (0, b"7z\xbc\xaf", "a 7-Zip archive; unpack it"),
    (0, b"rar!", "a RAR archive; unpack it"),
    (257, b"ustar", "a tar archive; unpack it"),
    (0, b'{"', "JSON; write what it lists as CSV"),
    (0, b"[{", "JSON; write what it lists as CSV"),
    (0, b"par1", "a Parquet file; write it as CSV"),
    (0, b"sqlite format 3", "an SQLite database; export it as CSV"),
    (0, b"\xd0\xcf\x11\xe0", "a file of an old office program; save it as what is wanted"),
    # A TensorProto of uint8 with a shape, as tf.io.serialize_tensor makes of an image.
    (0, b"\x08\x04\x12", "a tensor of tf.io.serialize_tensor; encode the image with tf.io.encode_png"),
)


def read_head(path: str | os.PathLike) -> bytes:
    """The first bytes of a file; none if it cannot be read."""
    try:
        with open(path, "rb", buffering=0, opener=system.open_descriptor) as stream:
            return stream.read(HEAD_BYTES)
    except OSError:
        return b""


def what_it_is(head: bytes) -> str | None:
    """What a file is, and what to do with it, in words that follow "it is"; None where that is not known.

    Args:
        head: its first bytes, `HEAD_BYTES` or all there are.
    """
    head = bytes(head[:HEAD_BYTES]).removeprefix(b"\xef\xbb\xbf").lower()
    for place, signature, told in _SIGNATURES:
        if head.startswith(signature, place):
            return told
    return None
