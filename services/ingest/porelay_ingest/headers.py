"""What came from outside is looked at before any of it is decoded: what kind it is, and whether its header can be true.

Nothing here unpacks or allocates what a header declares. Readers check the rest, each in the same spirit.
"""

import stat
import zipfile
from pathlib import Path

from porelay_ingest import tiff_chain
from porelay_ingest.files import decoding, head, plausible, truncated
from porelay_schemas.errors import BadInput

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
ZIP = (b"PK\x03\x04", b"PK\x05\x06")
HDF5 = b"\x89HDF\r\n\x1a\n"
HDF5_OFFSETS = (0, 512, 1024, 2048)
ZARR = ("zarr.json", ".zarray", ".zgroup", ".zattrs")

CODECS = {0: "none", 1: "none", 5: "LZW", 7: "JPEG", 8: "deflate", 32946: "deflate", 32773: "PackBits", 50000: "zstd"}
"""TIFF compressions that are decoded; 0 is a page that does not say."""

BITS = {1: (1, 2, 4, 8, 12, 16, 32, 64), 2: (8, 16, 32, 64), 3: (16, 32, 64)}
"""Bits a voxel by TIFF sample format: unsigned, signed, floating point."""

ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
MOST_MEMBERS = 64


def check(path: Path) -> None:
    """Check a file or a folder; raise BadInput, in words, where it must not be decoded."""
    if not path.is_dir():
        check_file(path)
        return
    found = next((name for name in ZARR if (path / name).exists()), None)
    if found:
        raise BadInput(f"{path.name}: a Zarr store (it holds {found}), {_NOT_READ}")


def check_file(path: Path) -> None:
    """Check one file; raise BadInput, in words, where it must not be decoded."""
    size = path.stat().st_size
    if not stat.S_ISREG(path.stat().st_mode):
        raise BadInput(f"{path.name}: neither a file nor a folder, wanted an image stack. Copy the stack there.")
    if not size:
        raise BadInput(f"{path.name}: the file is empty (0 bytes). Copy it again.")
    magic = head(path)
    if magic[:4] in TIFF:
        _check_tiff(path, size)
    elif magic[:4] in ZIP:
        _check_zip(path, size)
    elif _is_hdf5(path):
        raise BadInput(f"{path.name}: an HDF5 file, {_NOT_READ}")
    elif path.name in ZARR:
        raise BadInput(f"{path.name}: a Zarr store's metadata, {_NOT_READ}")


_NOT_READ = (
    "which Porelay does not read yet: such files can point at other files, and none of those is ever followed. "
    "Export the stack as TIFF, or as slices."
)


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        for offset in HDF5_OFFSETS:
            file.seek(offset)
            if file.read(len(HDF5)) == HDF5:
                return True
    return False


def _check_tiff(path: Path, size: int) -> None:
    chain = tiff_chain.walk(path)
    if chain.circle:
        raise BadInput(
            f"{path.name}: the file is truncated or forged: after {len(chain.pages)} slices its directories lead back "
            "to one before. Export it again."
        )
    plain = packed = 0
    for z, page in enumerate(chain.pages):
        compression = page.encoding[0]
        _check_page(f"{path.name}: slice {z}", compression, page)
        nbytes = _nbytes(page.length, page.width, page)
        *_, tile_width, tile_length = page.encoding
        plausible(f"{path.name}: a tile of slice {z}", _nbytes(tile_length, tile_width, page), size)
        if CODECS[compression] == "none":
            plain += nbytes
        else:
            packed += nbytes
    if plain > size:
        raise truncated(path.name, f"its header declares {plain:,} bytes of voxels, the file has {size:,}")
    plausible(path.name, plain + packed, size)


def _nbytes(length: int, width: int, page: tiff_chain.Page) -> int:
    return length * -(-width * page.bits * page.samples // 8)


def _check_page(what: str, compression: int, page: tiff_chain.Page) -> None:
    if not (page.width and page.length and page.samples):
        raise BadInput(f"{what}: its header gives no size, or one that is no number. Export it again.")
    if compression not in CODECS:
        raise BadInput(
            f"{what}: TIFF compression {compression}, wanted one of {', '.join(sorted(set(CODECS.values())))}. "
            "Save it uncompressed or with LZW."
        )
    if page.bits not in BITS.get(page.sample_format, ()):
        raise BadInput(
            f"{what}: {page.bits} bits a voxel of TIFF sample format {page.sample_format}, wanted integers of 1 to 64 "
            "bits or floats of 16, 32 or 64. Convert it to 8 or 16 bits."
        )


def _check_zip(path: Path, size: int) -> None:
    with decoding(path.name), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise BadInput(f"{path.name}: an archive of {len(members):,} files, wanted an .npz of one array. Unpack it.")
    for member in members:
        _check_member(path.name, member)
    plausible(path.name, sum(member.file_size for member in members), size)


def _check_member(name: str, member: zipfile.ZipInfo) -> None:
    what = f"{name}: its member {member.filename!r}"
    parts = member.filename.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or ":" in parts[0]:
        raise BadInput(f"{what} would leave the archive's folder: a trap. Make the archive anew.")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise BadInput(f"{what} is a link, wanted an array. Make the archive anew, with the file itself.")
    if parts[-1] in ZARR:
        raise BadInput(f"{name}: a Zarr store in an archive, {_NOT_READ}")
    if member.flag_bits & 1 or member.compress_type not in ZIP_METHODS:
        raise BadInput(
            f"{what} is encrypted or packed by method {member.compress_type}, wanted stored or deflated. "
            "Save it with np.savez or np.savez_compressed."
        )
    plausible(what, member.file_size, max(member.compress_size, 1))


def check_links(path: Path) -> None:
    """Raise BadInput where a dropped file or folder holds links, or what is no file at all: nothing of it is opened."""
    for place in (path, *(sorted(path.rglob("*")) if path.is_dir() and not path.is_symlink() else ())):
        kind = place.lstat().st_mode
        if stat.S_ISLNK(kind):
            raise BadInput(
                f"{path.name}: {place.name} is a link, which may point anywhere; dropped links are never followed. "
                "Copy the file itself."
            )
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise BadInput(f"{path.name}: {place.name} is neither a file nor a folder. Take it out.")
