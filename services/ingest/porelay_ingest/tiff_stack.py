"""TIFF files as stacks: where each slice lies, and how it is read.

ImageJ and tifffile may write one directory for a whole stack and tell the number of slices in a description (ImageJ
does for files beyond 4 GB). Such a block of plain voxels is read as it lies, directories or not.
"""

import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from porelay_ingest import tiff_chain
from porelay_ingest.channels import one_channel
from porelay_ingest.files import decoding, fill, plausible, truncated
from porelay_ingest.tiff_axes import Declared, check_axes, declaration
from porelay_ingest.tiff_scale import scale_of
from porelay_schemas.errors import BadInput
from porelay_schemas.stacks import Stack, StackFacts

WHITE_IS_ZERO, PALETTE = 0, 3


def opened(path: Path, workers: int) -> Stack:
    """Open a TIFF; raise BadInput where it is truncated, not uniform or has more axes than (z, y, x)."""
    chain = tiff_chain.walk(path)
    if not chain.pages and not chain.whole:
        raise truncated(path.name, "its first directory is missing")
    if not chain.pages:
        raise BadInput(f"{path.name}: the TIFF holds zero slices, wanted at least one. Export it again.")
    with decoding(path.name):
        tif = tifffile.TiffFile(path, _multifile=False)
    try:
        return _stack(path, tif, chain, workers)
    except BaseException:
        tif.close()
        raise


def _stack(path: Path, tif: tifffile.TiffFile, chain: tiff_chain.Chain, workers: int) -> Stack:
    with decoding(path.name):
        first = tif.pages.first
        _check_page(path.name, first)
        declared = declaration(tif, chain.pages[0].samples)
        scale = scale_of(tif)
        slice_bytes = int(first.nbytes)
    check_axes(path.name, declared)
    size = path.stat().st_size
    block = _block(first, declared, len(chain.pages))
    if block is not None and block + declared.slices * slice_bytes <= size:
        source: Any = _Block(path, tif, first, block)
        count = declared.slices
    else:
        count = _count(path.name, declared, chain)
        _check_uniform(path.name, chain.pages)
        with decoding(path.name):
            source = _Pages(path, tif, _pages(tif, chain), workers)
        source.check(size)
    facts = StackFacts(
        format=declared.format,
        shape=(count, first.imagelength, first.imagewidth),
        dtype=np.dtype(first.dtype).name,
        voxel_um=scale.voxel_um,
        voxel_from=scale.source,
        white_is_zero=first.photometric == WHITE_IS_ZERO,
        notes=declared.notes + scale.notes + _notes(first),
    )
    return Stack(facts, source.read, source.close)


def _check_page(name: str, page: Any) -> None:
    if page.dtype is None or page.shaped[1] > 1 or 0 in page.shape:
        raise BadInput(
            f"{name}: its pages are {page.bitspersample} bits of sample format {page.sampleformat} and shape "
            f"{page.shape}, wanted images (y, x) of 1, 8, 16, 32 or 64 bits. Export it in another format."
        )


def _block(first: Any, declared: Declared, pages: int) -> int | None:
    """Return where the one block of all voxels begins, None where each page has its own."""
    if declared.slices > pages and declared.format != "OME-TIFF" and first.is_final:
        return int(first.dataoffsets[0])
    return None


def _count(name: str, declared: Declared, chain: tiff_chain.Chain) -> int:
    pages = len(chain.pages)
    if declared.slices > pages:
        lost = f"its header tells of {declared.slices} slices, {pages} are there"
        if declared.format == "OME-TIFF" and chain.whole:
            raise BadInput(
                f"{name}: {lost}: the others are in other files (a multi-file OME-TIFF). "
                "Put all files into one folder and give the folder, or export one file."
            )
        raise truncated(name, lost)
    if not chain.whole:
        raise truncated(name, f"after {pages} slices the next one should begin beyond its end")
    return pages


def _check_uniform(name: str, pages: Sequence[tiff_chain.Page]) -> None:
    first = pages[0]
    for z, page in enumerate(pages):
        if page.look != first.look:
            raise BadInput(
                f"{name}: slice {z} has {page.look}, slice 0 has {first.look}; wanted slices of one size and type. "
                "Take out the odd one (a preview?), or crop all to one size."
            )


def _pages(tif: tifffile.TiffFile, chain: tiff_chain.Chain) -> list[Any]:
    """Return tifffile's pages: short ones where all are stored alike, which spares reading every tag."""
    if len({page.encoding for page in chain.pages}) == 1:
        tif.pages.useframes = True
        tif.pages.set_keyframe(0)
    return list(tif.pages)


def _notes(page: Any) -> tuple[str, ...]:
    if page.photometric == PALETTE:
        return ("The file has a colour table; the numbers of the colours were read, not the colours.",)
    return ()


class _Block:
    """Uncompressed voxels of all slices, one after the other."""

    def __init__(self, path: Path, tif: tifffile.TiffFile, page: Any, begin: int) -> None:
        self.name, self.page, self.begin = path.name, page, begin
        self.swapped = _foreign(tif)
        tif.close()
        self.file = path.open("rb", buffering=0)
        self.close = self.file.close

    def read(self, z0: int, out: NDArray[Any]) -> None:
        if self.page.samplesperpixel > 1:
            for z in range(len(out)):
                image = np.empty(self.page.shape, out.dtype)
                self._fill(z0 + z, image)
                out[z] = one_channel(_last(image, self.page), f"{self.name}: slice {z0 + z}")
            return
        self._fill(z0, out)

    def _fill(self, z: int, out: NDArray[Any]) -> None:
        self.file.seek(self.begin + z * self.page.nbytes)
        fill(self.file, out, self.name)
        if self.swapped:
            out.byteswap(inplace=True)


class _Pages:
    """Slices that are pages of their own: read as they lie where they are plain, decoded on threads where not."""

    def __init__(self, path: Path, tif: tifffile.TiffFile, pages: list[Any], workers: int) -> None:
        self.name, self.tif, self.pages = path.name, tif, pages
        self.key = pages[0].keyframe
        self.plain = self.key.is_final and self.key.samplesperpixel == 1 and all(map(self._unbroken, pages))
        self.swapped = _foreign(tif)
        self.file = path.open("rb", buffering=0)
        self.pool = ThreadPoolExecutor(workers)
        self.workers = workers if len(pages) == 1 else 1
        self.lock = threading.RLock()

    def _unbroken(self, page: Any) -> bool:
        """Return whether the strips of a page lie one after the other."""
        begins, counts = page.dataoffsets, page.databytecounts
        ends = [begin + count for begin, count in zip(begins, counts, strict=True)]
        return sum(counts) == self.key.nbytes and list(begins[1:]) == ends[:-1]

    def check(self, size: int) -> None:
        """Raise BadInput where a page's voxels lie beyond the end of the file."""
        for z, page in enumerate(self.pages):
            ends = [begin + count for begin, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
            if not ends or max(ends) > size:
                raise truncated(
                    self.name, f"slice {z} of {len(self.pages)} should end at byte {max(ends, default=0):,} of {size:,}"
                )
        if not self.plain:
            plausible(self.name, len(self.pages) * self.key.nbytes, size)

    def read(self, z0: int, out: NDArray[Any]) -> None:
        if self.plain:
            for z, plane in enumerate(out, z0):
                self.file.seek(self.pages[z].dataoffsets[0])
                fill(self.file, plane, self.name)
            if self.swapped:
                out.byteswap(inplace=True)
            return
        for _ in self.pool.map(self._decode, range(z0, z0 + len(out)), out):
            pass

    def _decode(self, z: int, out: NDArray[Any]) -> None:
        page = self.pages[z]
        what = f"{self.name}: slice {z}"
        with decoding(what):
            image = page.asarray(lock=self.lock, maxworkers=self.workers)
        out[:] = one_channel(_last(image, self.key), what).reshape(out.shape)

    def close(self) -> None:
        self.pool.shutdown(cancel_futures=True)
        self.file.close()
        self.tif.close()


def _last(image: NDArray[Any], page: Any) -> NDArray[Any]:
    """Return the image with its channels on the last axis."""
    if page.samplesperpixel > 1 and page.shaped[0] > 1:
        return np.moveaxis(image, 0, -1)
    return image


def _foreign(tif: tifffile.TiffFile) -> bool:
    return bool(tif.byteorder != ("<" if sys.byteorder == "little" else ">"))
