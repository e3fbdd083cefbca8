"""Files that came from outside: each trap is refused in words, quickly, and the process that refuses it lives on."""

import io
import os
import resource
import signal
import stat
import struct
import time
import zipfile
import zlib
from contextlib import closing

import numpy as np
import pytest
import tifffile
from PIL import Image

from porelay_ingest import sandbox
from porelay_ingest.preflight import preflight
from porelay_ingest.readers import open_path
from porelay_schemas.errors import BadInput, Retryable, TooLarge

PLANE = np.arange(48 * 40, dtype=np.uint8).reshape(48, 40)
MEMORY = 2**31


def refused(path, *, memory=MEMORY, kind=BadInput):
    """Return why the preflight refuses a file; it takes no more than seconds and memory of this process."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(kind) as caught:
        preflight(path, path.name, memory)
    assert time.monotonic() - began < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024
    text = str(caught.value)
    assert text.startswith(path.name) or f"'{path.name}'" in text or "slice" in text
    assert text.endswith(".") and "Traceback" not in text
    return text


def put(path, data):
    path.write_bytes(data)
    return path


def npy_header(shape, dtype="<f8"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


def archive(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for member, data in members.items():
            packed.writestr(member, data)
    return path


def tiff(tags, voxels=b"", following=0):
    """Return a TIFF of one directory; `tags` are (code, kind, count, value)."""
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)
    return b"II*\0" + struct.pack("<I", 8) + directory + voxels


def image_tags(width, length, offset, count, compression=1):
    return [
        (256, 4, 1, width), (257, 4, 1, length), (258, 3, 1, 8), (259, 3, 1, compression), (262, 3, 1, 1),
        (273, 4, 1, offset), (277, 3, 1, 1), (278, 4, 1, length), (279, 4, 1, count),
    ]  # fmt: skip


def test_good_files_of_every_kind_pass(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([PLANE] * 3), compression="zlib")
    Image.fromarray(PLANE).save(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", np.stack([PLANE] * 3))
    np.savez_compressed(tmp_path / "a.npz", np.stack([PLANE] * 3))
    (tmp_path / "slices").mkdir()
    for number in range(3):
        tifffile.imwrite(tmp_path / "slices" / f"{number}.tif", PLANE)
    for name in ("a.tif", "a.png", "a.npy", "a.npz", "slices"):
        preflight(tmp_path / name, name, MEMORY)


def test_a_tiff_of_436_kb_that_unpacks_to_400_mb(tmp_path):
    voxels = zlib.compress(bytes(400 * 2**20), 9)
    data = tiff(image_tags(20480, 20480, 126, len(voxels), compression=8), voxels).ljust(436 * 1024, b"\0")
    assert len(data) == 436 * 1024
    text = refused(put(tmp_path / "bomb.tif", data))
    assert "declares 419,430,400 bytes of voxels in a file of" in text and "wanted at most 500 times the file" in text


def test_a_png_that_unpacks_to_gigabytes(tmp_path):
    row = zlib.compressobj(9)
    packed = b"".join(row.compress(bytes(60_001)) for _ in range(2000)) + row.flush()

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    assert "declares 3,600,000,000 bytes of voxels" in refused(put(tmp_path / "bomb.png", data))


def test_a_large_honest_png_is_no_bomb(tmp_path):
    """Beyond Pillow's own bound of 178 million pixels, which slices of electron microscopes reach."""
    noise = np.random.default_rng(0).integers(0, 256, (500, 16), np.uint8)
    Image.fromarray(np.tile(noise, (28, 850))).save(tmp_path / "large.png", compress_level=1)
    assert 14_000 * 13_600 > 178_956_970
    preflight(tmp_path / "large.png", "large.png", MEMORY)


def test_an_npz_of_kilobytes_that_unpacks_to_hundreds_of_megabytes(tmp_path):
    body = npy_header((200, 1000, 1000), "|u1") + bytes(200_000_000)
    path = archive(tmp_path / "bomb.npz", {"stack.npy": body})
    assert path.stat().st_size < 300_000
    assert "declares 200,000,128 bytes" in refused(path)


def test_an_npy_header_that_declares_931_gib(tmp_path):
    path = put(tmp_path / "liar.npy", npy_header((5000, 5000, 5000)))
    assert path.stat().st_size == 128
    assert "truncated: its header declares 1,000,000,000,000 bytes of voxels, 0 are there" in refused(path)


def test_an_npy_of_pickled_objects(tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.abort, ())

    np.save(tmp_path / "objects.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    assert "holds pickled Python objects" in refused(tmp_path / "objects.npy")
    np.savez(tmp_path / "objects.npz", np.array([Trap()], dtype=object))
    assert "holds pickled Python objects" in refused(tmp_path / "objects.npz")


def test_an_npy_header_that_is_a_program(tmp_path):
    text = b"{'descr': __import__('os').abort(), 'fortran_order': False, 'shape': (1,)}\n"
    path = put(tmp_path / "program.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text)
    assert "cannot be decoded" in refused(path)


@pytest.mark.parametrize("name", ["../../evil.npy", "/etc/evil.npy", "a/../../evil.npy", "..\\evil.npy", "C:/evil.npy"])
def test_an_archive_whose_member_would_leave_its_folder(tmp_path, name):
    path = archive(tmp_path / "trick.npz", {name: npy_header((2, 2), "|u1") + bytes(4)})
    assert "would leave the archive's folder: a trap" in refused(path)


def test_an_archive_with_a_link(tmp_path):
    link = zipfile.ZipInfo("stack.npy")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "is a link" in refused(archive(tmp_path / "link.npz", {link: b"/etc/passwd"}))


def test_an_archive_of_many_files_and_one_of_an_unusual_packing(tmp_path):
    assert "an archive of 100 files" in refused(archive(tmp_path / "many.npz", {f"{n}.npy": b"" for n in range(100)}))
    with zipfile.ZipFile(tmp_path / "lzma.npz", "w", zipfile.ZIP_LZMA) as packed:
        packed.writestr("stack.npy", npy_header((2, 2), "|u1") + bytes(4))
    assert "packed by method 14, wanted stored or deflated" in refused(tmp_path / "lzma.npz")


def test_an_archive_whose_directory_lies_about_the_sizes(tmp_path):
    path = archive(tmp_path / "liar.npz", {"stack.npy": npy_header((10, 100, 100), "|u1") + bytes(100_000)})
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 2**31)
    text = refused(put(path, bytes(data)))
    assert "declares 2,147,483,648 bytes" in text


def test_a_link_in_a_folder_is_never_followed(tmp_path):
    folder = tmp_path / "slices"
    folder.mkdir()
    tifffile.imwrite(folder / "0.tif", PLANE)
    (folder / "1.tif").symlink_to("/etc/passwd")
    assert "1.tif is a link, which may point anywhere" in refused(folder)


def test_a_link_and_a_pipe_are_never_opened(tmp_path):
    (tmp_path / "zero.tif").symlink_to("/dev/zero")
    assert "is a link" in refused(tmp_path / "zero.tif")
    os.mkfifo(tmp_path / "pipe.tif")
    assert "neither a file nor a folder" in refused(tmp_path / "pipe.tif")


def test_hdf5_with_an_external_link_is_refused_by_its_first_bytes(tmp_path):
    body = b"\x89HDF\r\n\x1a\n" + bytes(100) + b"/etc/passwd\0/dataset\0"
    text = refused(put(tmp_path / "linked.h5", body))
    assert "an HDF5 file, which Porelay does not read yet" in text and "none of those is ever followed" in text
    assert "HDF5" in refused(put(tmp_path / "block.tif", bytes(512) + body)), "a user block may come first"


def test_zarr_metadata_that_declares_a_petabyte(tmp_path):
    meta = b'{"zarr_format": 3, "node_type": "array", "shape": [1000000, 1000000, 1000], "data_type": "uint8"}'
    folder = tmp_path / "stack.zarr"
    folder.mkdir()
    put(folder / "zarr.json", meta)
    assert "a Zarr store (it holds zarr.json)" in refused(folder)
    assert "a Zarr store's metadata" in refused(put(tmp_path / "zarr.json", meta))
    assert "a Zarr store in an archive" in refused(archive(tmp_path / "stack.zip", {"a/zarr.json": meta}))


def test_a_tiff_that_declares_more_rows_than_its_file_could_hold(tmp_path):
    path = put(tmp_path / "rows.tif", tiff(image_tags(40, 2**31, 126, 1000), bytes(1000)))
    assert "truncated: its header declares 85,899,345,920 bytes of voxels" in refused(path)


def test_a_tiff_whose_tiles_are_far_larger_than_its_image(tmp_path):
    """A decoder makes room for a whole tile, however small the image."""
    tifffile.imwrite(tmp_path / "tiles.tif", np.zeros((40, 40), np.uint8), tile=(16, 16), metadata=None)
    with tifffile.TiffFile(tmp_path / "tiles.tif", mode="r+") as tif:
        tif.pages[0].tags["TileLength"].overwrite(60_000)
        tif.pages[0].tags["TileWidth"].overwrite(60_000)
    assert "a tile of slice 0: declares 3,600,000,000 bytes of voxels" in refused(tmp_path / "tiles.tif")


def test_a_tiff_whose_length_is_a_list(tmp_path):
    """A list times a number is a list of so many entries: gigabytes, where somebody multiplies before looking."""
    tags = [(257, 4, 300, 126) if tag[0] == 257 else tag for tag in image_tags(16_777_236, 1, 126, 1200)]
    path = put(tmp_path / "list.tif", tiff(tags, bytes(1200)))
    assert "slice 0: its header gives no size, or one that is no number" in refused(path)
    with pytest.raises(BadInput, match="gives no size"):
        open_path(path, path.name, 1)


@pytest.mark.parametrize("compression", [1, 8])
def test_a_tiff_whose_voxels_lie_outside_of_the_file(tmp_path, compression):
    path = put(tmp_path / "outside.tif", tiff(image_tags(10, 10, 2**31, 100, compression), bytes(100)))
    assert "truncated" in refused(path)


def test_a_tiff_whose_directories_lead_in_a_circle(tmp_path):
    path = put(tmp_path / "circle.tif", tiff(image_tags(10, 10, 126, 100), bytes(100), following=8))
    assert "its directories lead back to one before" in refused(path)


def test_a_tiff_many_of_whose_pages_are_the_same_bytes(tmp_path):
    """Each directory is honest alone; together they declare more than there is."""
    voxels, data = bytes(100_000), bytearray(b"II*\0" + struct.pack("<I", 100_008) + bytes(100_000))
    for number in range(20):
        following = len(data) + 114 if number < 19 else 0
        data += tiff(image_tags(1000, 100, 8, len(voxels)), following=following)[8:]
    assert "its header declares 2,000,000 bytes of voxels" in refused(put(tmp_path / "shared.tif", bytes(data)))


def test_a_tiff_whose_codec_is_not_on_the_list(tmp_path):
    path = put(tmp_path / "codec.tif", tiff(image_tags(10, 10, 126, 100, compression=34712), bytes(100)))
    assert "TIFF compression 34712, wanted one of JPEG, LZW, PackBits, deflate, none, zstd" in refused(path)


def test_a_tiff_of_complex_numbers(tmp_path):
    tifffile.imwrite(tmp_path / "complex.tif", np.zeros((8, 8), np.complex64))
    assert "64 bits a voxel of TIFF sample format 6" in refused(tmp_path / "complex.tif")


def test_a_tiff_whose_description_has_a_list_for_a_number(tmp_path):
    """A list times a number of voxels is a list of so many entries."""
    text = '{"shape": [[' + "1," * 99 + "1], 999999999, 99]}"
    tifffile.imwrite(tmp_path / "lists.tif", PLANE, metadata=None, description=text)
    with pytest.raises(BadInput, match=r"lists\.tif: cannot be decoded"):
        open_path(tmp_path / "lists.tif", "lists.tif", 1)


def test_a_tiff_whose_description_grows_without_end(tmp_path):
    """Ten entities, each ten times the one before: the XML of an OME-TIFF that would be gigabytes."""
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "x" * 50}">' for n in range(10))
    text = f'<?xml version="1.0"?><!DOCTYPE OME [{entities}]><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
    text += '<Image><Pixels SizeX="40" SizeY="48" SizeZ="1" SizeC="1" SizeT="1">&e9;</Pixels></Image></OME>'
    tifffile.imwrite(tmp_path / "laughs.tif", PLANE, metadata=None, description=text)
    assert "laughs.tif: cannot be decoded" in refused(tmp_path / "laughs.tif")


def test_a_file_that_is_not_what_its_name_says(tmp_path):
    assert "unknown format" in refused(put(tmp_path / "page.tif", b"<html><body>Not found</body></html>"))
    folder = tmp_path / "slices"
    folder.mkdir()
    tifffile.imwrite(folder / "0.tif", PLANE)
    Image.fromarray(PLANE).save(folder / "1.tif", format="PNG")
    assert "not a TIFF" in refused(folder)


def test_an_empty_file_and_an_empty_slice(tmp_path):
    assert "the file is empty (0 bytes). Copy it again." in refused(put(tmp_path / "empty.tif", b""))
    folder = tmp_path / "slices"
    folder.mkdir()
    tifffile.imwrite(folder / "0.tif", PLANE)
    put(folder / "1.tif", b"")
    with pytest.raises(BadInput, match=r"1\.tif: the file is empty"):
        preflight(folder, "slices", MEMORY)


def test_slices_that_differ_are_found_before_anything_is_decoded(tmp_path):
    folder = tmp_path / "slices"
    folder.mkdir()
    for number in range(4):
        tifffile.imwrite(folder / f"{number}.tif", PLANE if number != 2 else PLANE[:-3])
    assert "slice '2.tif': has 45 x 40 pixels" in refused(folder)


def test_a_slice_that_does_not_fit_the_memory(tmp_path):
    tifffile.imwrite(tmp_path / "wide.tif", np.zeros((1, 2000, 2000), np.uint8))
    text = refused(tmp_path / "wide.tif", memory=10**6, kind=TooLarge)
    assert "one slice of 2000 x 2000 pixels takes 4,000,000 bytes, a stage may use 1,000,000" in text


@pytest.mark.parametrize("kind", ["npy", "npz", "png", "jpg", "bmp", "tif"])
def test_no_damage_ends_in_anything_but_words(tmp_path, rng, kind):
    """Not only the preflight: what opens and reads a stack in the stage, too."""
    path, volume = tmp_path / f"a.{kind}", np.stack([PLANE] * 2)
    if kind == "npy":
        np.save(path, volume)
    elif kind == "npz":
        np.savez_compressed(path, volume)
    elif kind == "tif":
        tifffile.imwrite(path, volume, tile=(16, 16), imagej=False)
    else:
        Image.fromarray(PLANE).save(path)
    whole, refused_ = path.read_bytes(), 0
    for _ in range(150):
        data = bytearray(whole)
        for place in rng.integers(0, min(len(data), 500), 4):
            data[place] = rng.choice([0, 1, 127, 255, int(rng.integers(256))])
        path.write_bytes(data)
        try:
            with closing(open_path(path, path.name, 1)) as stack:
                stack.read(0, np.empty((1, *stack.facts.shape[1:]), stack.facts.dtype))
        except BadInput as error:
            refused_ += 1
            assert str(error).endswith("."), str(error)
    assert refused_ > 20


# What a parser may do to its process: each of these runs in the sandbox, under the limits of the test.
def hangs(path: str) -> None:
    time.sleep(60)


def loops(path: str) -> None:
    while True:
        pass


def takes_all_memory(path: str) -> int:
    return len(bytearray(2**33))


def crashes(path: str) -> None:
    os.abort()


def writes(path: str) -> None:
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(b"x")


def raises(path: str) -> None:
    raise LookupError("an unexpected table")


def tells_secrets(path: str) -> list[str]:
    return sorted(os.environ)


def chatters(path: str) -> str:
    print("a library prints")
    return "said"


@pytest.mark.parametrize(
    ("parser", "seconds", "said"),
    [
        (hangs, 1.5, "could not be read within 1.5 s"),
        (loops, 1.0, "could not be read within 1 s"),
        (takes_all_memory, 20.0, "asks for far more memory than it should take"),
        (crashes, 20.0, r"the program that read it was ended by it \(SIGABRT\)"),
        (writes, 20.0, r"was ended by it \(SIGXFSZ\)|OSError"),
        (raises, 20.0, r"it cannot be read \(LookupError: an unexpected table\)"),
    ],
)
def test_what_a_parser_does_to_its_process_becomes_words(tmp_path, in_sandbox, parser, seconds, said):
    limits = sandbox.Limits(memory_bytes=2**28, seconds=seconds)
    with pytest.raises(BadInput, match=said) as caught:
        in_sandbox(parser, str(tmp_path / "evil.tif"), limits=limits)
    assert str(caught.value).startswith("evil.tif: ")
    assert str(caught.value).endswith("It is damaged or forged: export it again.")


def is_told_to_end(path: str) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_check_that_is_stopped_from_outside_is_not_the_files_fault(in_sandbox):
    with pytest.raises(Retryable, match=r"evil.tif: its check was stopped from outside \(SIGTERM\)"):
        in_sandbox(is_told_to_end, "")


def test_the_sandbox_knows_no_secrets_and_its_answer_is_not_disturbed(monkeypatch, in_sandbox):
    monkeypatch.setenv("PORELAY_S3_SECRET_KEY", "hush")
    assert not [name for name in in_sandbox(tells_secrets, "") if name.startswith(("PORELAY", "AWS"))]
    assert in_sandbox(chatters, "") == "said"


@pytest.fixture
def in_sandbox(monkeypatch, request):
    """Return `in_sandbox(function of this file, word, limits=)`."""
    monkeypatch.setenv("PYTHONPATH", str(request.path.parent))

    def call(function, word, limits=sandbox.COMMON):
        return sandbox.call(f"{request.path.stem}:{function.__name__}", word, what="evil.tif", limits=limits)

    return call
