"""Make the README's picture from a run of `make demo`: `.venv/bin/python deploy/pictures/make.py [HOME]`.

The middle slices of the stack as dropped, cleaned, segmented and generated, and the 3D view of a generated volume.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from porelay_kit import figures
from porelay_kit.figures import Panel
from porelay_kit.runner.state import RunState, run_ids
from porelay_kit.store.folder import FolderStore
from porelay_kit.volumes import Volume
from porelay_schemas.volumes import VolumeRef

HERE = Path(__file__).parent
EDGE = 96


def main() -> None:
    """Draw `road.png` beside this file."""
    store = FolderStore(Path(sys.argv[1] if len(sys.argv) > 1 else "porelay-data"))
    state = RunState(store, next(name for name in run_ids(store) if "electrode-quick" in name))
    results, phases = state.results(), state.plan().phases
    sample = results["sampler"].volumes[0]  # type: ignore[union-attr]
    dropped, cleaned = results["ingest"].volume, results["preprocess"].volume  # type: ignore[union-attr]
    labels = results["segment"].labels  # type: ignore[union-attr]
    panels = [
        Panel("dropped", _middle(store, dropped)),
        Panel("cleaned", _middle(store, cleaned)),
        Panel("segmented", _middle(store, labels), phases=phases),
        Panel("generated", _middle(store, sample), phases=phases),
    ]
    figures.panels_png(HERE / "road.png", panels, voxel_um=labels.voxel_um[1:], columns=4)
    solid = HERE / "solid.png"
    volume = Volume(sample, store.zarr_spec(f"{sample.prefix}/{sample.name}"))
    figures.phases_png(solid, volume, phases=phases, voxel_um=sample.voxel_um)
    for path in (HERE / "road.png", solid):
        Image.open(path).convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(path, optimize=True)


def _middle(store: FolderStore, ref: VolumeRef) -> np.ndarray:  # type: ignore[type-arg]
    volume = Volume(ref, store.zarr_spec(f"{ref.prefix}/{ref.name}"))
    z, y, x = (size // 2 for size in ref.shape)
    half = min(EDGE // 2, y, x)
    return volume[z : z + 1, y - half : y + half, x - half : x + half][0]


if __name__ == "__main__":
    main()
