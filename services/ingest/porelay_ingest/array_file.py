"""NumPy arrays from files that came from outside: the header is read and checked before anything is allocated."""

import zipfile
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from porelay_ingest.channels import one_channel
from porelay_ingest.files import decoding, fill, plausible, truncated
from porelay_schemas.base import Axis3
from porelay_schemas.errors import BadInput
from porelay_schemas.stacks import Stack, StackFacts

READERS = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}


@dataclass(frozen=True)
class Header:
    """What an .npy header declares; its voxels begin at `begin`. `channels` is 0 where there is no such axis."""

    shape: Axis3
    channels: int
    dtype: np.dtype[Any]
    fortran: bool
    begin: int

    @property
    def slice_bytes(self) -> int:
        """Bytes of one slice."""
        return prod(self.shape[1:]) * max(self.channels, 1) * self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all voxels."""
        return self.shape[0] * self.slice_bytes


def opened_npy(path: Path) -> Stack:
    """Open an .npy file; raise BadInput where it holds objects or is shorter than its header says."""
    with path.open("rb") as file:
        header = read_header(file, path.name)
    held = path.stat().st_size - header.begin
    if held < header.nbytes:
        raise truncated(path.name, f"its header declares {header.nbytes:,} bytes of voxels, {held:,} are there")
    read = _mapped(path, header) if header.fortran else None
    source = _Stored(path, header, header.begin)
    return Stack(_facts("NumPy .npy", header), read or source.read, source.file.close)


def opened_npz(path: Path) -> Stack:
    """Open an .npz file of one array; raise BadInput where there are several, or none."""
    with decoding(path.name):
        archive = zipfile.ZipFile(path)
        entry = _only_array(path.name, archive)
        with archive.open(entry) as file:
            header = read_header(file, path.name)  # type: ignore[arg-type]
    if header.begin + header.nbytes != entry.file_size:
        detail = (
            f"its header declares {header.nbytes:,} bytes of voxels, the archive {entry.file_size - header.begin:,}"
        )
        raise truncated(path.name, detail)
    plausible(path.name, header.nbytes, path.stat().st_size)
    if header.fortran:
        raise BadInput(
            f"{path.name}: the array is in Fortran order, which an .npz cannot be read from slice by slice. "
            "Save it as .npy, or with np.savez(file, np.ascontiguousarray(stack))."
        )
    source = _Zipped(path.name, archive, entry, header)
    return Stack(_facts("NumPy .npz", header), source.read, source.close)


def read_header(file: BinaryIO, name: str) -> Header:
    """Read and judge a header; raise BadInput where it is no plain array of two or three axes."""
    with decoding(name):
        version = npy_format.read_magic(file)
        reader = READERS.get(version, npy_format.read_array_header_2_0)
        shape, fortran, dtype = reader(file)
        begin = file.tell()
    if dtype.hasobject:
        raise BadInput(
            f"{name}: holds pickled Python objects, wanted a plain array of numbers; pickles are never read, they can "
            "run programs. Save it with np.save(file, stack.astype(np.uint8))."
        )
    if dtype.kind not in "buif":
        raise BadInput(f"{name}: holds {dtype}, wanted one number a voxel. Save one field as a plain array.")
    channels = shape[-1] if len(shape) == 4 or (len(shape) == 3 and shape[-1] in (3, 4) and shape[0] > 4) else 0
    axes = shape[:-1] if channels else shape
    if len(axes) not in (2, 3) or min(shape, default=0) < 1:
        raise BadInput(f"{name}: shape {shape}, wanted (z, y, x) or (y, x) with at least one voxel. Save one volume.")
    z, y, x = (1, *axes) if len(axes) == 2 else axes
    return Header((z, y, x), channels, dtype, bool(fortran), begin)


def _only_array(name: str, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    entries = [entry for entry in archive.infolist() if entry.filename.endswith(".npy")]
    if len(entries) != 1:
        found = ", ".join(entry.filename.removesuffix(".npy") for entry in entries) or "none"
        raise BadInput(f"{name}: wanted an .npz with one array, found: {found}. Save the stack alone.")
    return entries[0]


def _facts(kind: str, header: Header) -> StackFacts:
    return StackFacts(format=kind, shape=header.shape, dtype=header.dtype.newbyteorder("=").name)


class _Stored:
    """Voxels that lie in a file as they are."""

    def __init__(self, path: Path, header: Header, begin: int) -> None:
        self.name, self.header, self.begin = path.name, header, begin
        self.file: Any = path.open("rb", buffering=0)

    def read(self, z0: int, out: NDArray[Any]) -> None:
        self.file.seek(self.begin + z0 * self.header.slice_bytes)
        _take(self.file, out, self.header, f"{self.name}: slice {z0}")


class _Zipped:
    """Voxels in an archive, read once from the first to the last."""

    def __init__(self, name: str, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, header: Header) -> None:
        self.name, self.archive, self.entry, self.header = name, archive, entry, header
        self.file: Any = None
        self.z = -1

    def read(self, z0: int, out: NDArray[Any]) -> None:
        with decoding(self.name):
            if self.z != z0:
                self._restart(z0)
            _take(self.file, out, self.header, f"{self.name}: slice {z0}")
        self.z = z0 + len(out)

    def _restart(self, z0: int) -> None:
        if self.file is not None:
            self.file.close()
        self.file = self.archive.open(self.entry)
        self.file.seek(self.header.begin + z0 * self.header.slice_bytes)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
        self.archive.close()


def _take(file: Any, out: NDArray[Any], header: Header, what: str) -> None:
    if header.channels:
        for plane in out:
            image = np.empty((*plane.shape, header.channels), out.dtype)
            fill(file, image, what)
            plane[:] = one_channel(image, what)
    else:
        fill(file, out, what)
    if not header.dtype.isnative:
        out.byteswap(inplace=True)


def _mapped(path: Path, header: Header) -> Any:
    """Return a reader of an array whose first axis is the fastest: mapped anew each time, so that no page stays."""
    shape = (*header.shape, header.channels) if header.channels else header.shape

    def read(z0: int, out: NDArray[Any]) -> None:
        voxels = np.memmap(path, header.dtype, "r", header.begin, shape, order="F")[z0 : z0 + len(out)]
        for plane, image in zip(out, voxels, strict=True):
            plane[:] = one_channel(np.asarray(image), path.name)

    return read
