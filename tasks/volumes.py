"""Generated volumes as files: surfaces as meshes, and voxels as .binvox."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import ConfigError
from gan_core.shading import AZIMUTH, ELEVATION, eye
from tasks.samples import file_names

if TYPE_CHECKING:
    from gan_core.generator import Samples

MESH_EXTRA = "pip install 'gantry-gan[volumes]'"
MESHES = (".ply", ".stl", ".obj")
"""The forms that surfaces are written in."""

_HALF = 128
_GAP = 1.1  # from one volume to the next in a row, in sides
_LONGEST_RUN = 255
_PAINT = (125, 130, 140, 255)  # as the lamp of that page makes it bright, and not white like the paper
_AWAY = 1.7  # from a volume's middle to the eye, in sides
_BY_KEYS = """
addEventListener("keydown", event => {
  const [around, above] = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}[event.key] ?? [0, 0];
  if (!around && !above) return;
  event.preventDefault();
  const to_eye = camera.position.clone().sub(controls.target), place = new THREE.Spherical().setFromVector3(to_eye);
  place.theta += around * Math.PI / 12;
  place.phi -= above * Math.PI / 12;
  camera.up.set(0, 1, 0);
  camera.position.setFromSpherical(place.makeSafe()).add(controls.target);
  controls.update();
  render();
});
"""


def write_meshes(volumes: NDArray[np.uint8], path: Path, suffix: str) -> None:
    """The surfaces of volumes (N, 1, X, Y, Z), one behind the other along the first axis, as one mesh; a voxel is 1 wide, Z is up.

    Raises:
        ConfigError: the libraries for it are not installed, or all volumes are empty.
    """
    import_meshes()
    import trimesh

    found = [(index, *surface(volume)) for index, volume in enumerate(volumes)]
    step = np.array([round(_GAP * volumes.shape[2]), 0, 0])
    parts = [trimesh.Trimesh(points + index * step, triangles, process=False) for index, points, triangles in found if len(points)]
    if not parts:
        raise ConfigError(f"{suffix}: nothing is filled in what was drawn, so there is no surface; use .npz")
    whole: Any = trimesh.util.concatenate(parts)
    data = whole.export(file_type=suffix.removeprefix("."))
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def surface(volume: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The surface of a volume (1, X, Y, Z) by marching cubes (Lewiner et al., 2003): points (V, 3) in voxels, and triangles (F, 3)."""
    from skimage.measure import marching_cubes

    filled = np.pad((volume[0] >= _HALF).astype(np.float32), 1)  # closed at the border, too
    if not filled.any():
        return np.empty((0, 3)), np.empty((0, 3), dtype=np.int64)
    points, triangles, _, _ = marching_cubes(
        filled, 0.5, gradient_direction="ascent"
    )  # as seen from outside, triangles turn counter-clockwise
    return points.astype(np.float64) - 0.5, triangles.astype(np.int64)


def turnable(volume: NDArray[np.uint8]) -> str:
    """A page with the surface of a volume (1, X, Y, Z), to turn, move and enlarge by mouse, fingers or arrow keys: HTML that needs WebGL.

    It is trimesh's, with three.js and the mesh in it, so it asks nobody for anything.

    Raises:
        ConfigError: the libraries for it are not installed, or nothing is filled.
    """
    import_meshes()
    import trimesh
    from trimesh.viewer import scene_to_html

    points, triangles = surface(volume)
    if not len(points):
        raise ConfigError("nothing is filled in this sample, so there is no surface to turn")
    paint = trimesh.visual.material.PBRMaterial(baseColorFactor=_PAINT, metallicFactor=0.0, roughnessFactor=1.0)  # unlike metal, it is lit
    visual = trimesh.visual.TextureVisuals(material=paint)
    scene: Any = trimesh.Trimesh(points, triangles, process=False, visual=visual).scene()
    camera = np.eye(4)
    camera[:3, :3] = eye(AZIMUTH, ELEVATION).numpy().T
    camera[:3, 3] = scene.centroid + _AWAY * max(volume.shape) * camera[:3, 2]
    scene.camera_transform = camera
    scene.apply_transform(trimesh.transformations.rotation_matrix(-np.pi / 2, [1, 0, 0]))  # to three.js the second axis is upright
    page: str = scene_to_html(scene)
    return page.replace("</body>", f"<script>{_BY_KEYS}</script></body>")


def import_meshes() -> None:
    """See that meshes can be read and written here.

    Raises:
        ConfigError: a library is missing; says how to get it.
    """
    if missing := [name for name in ("trimesh", "skimage") if find_spec(name) is None]:
        raise ConfigError(f"meshes need {' and '.join(missing)}; {MESH_EXTRA}")


def write_folder(samples: Samples, folder: Path, classes: tuple[str, ...] | None) -> None:
    """A PLY for each volume; an empty one has no surface, and is left out."""
    for volume, name in zip(samples.samples, file_names(samples, classes), strict=True):
        if (volume >= _HALF).any():
            write_meshes(volume[None], folder / f"{name}.ply", ".ply")


def write_binvox(volumes: NDArray[np.uint8], path: Path) -> None:
    """One volume (1, 1, X, Y, Z).

    Raises:
        ConfigError: there are several, which the form cannot hold.
    """
    if len(volumes) != 1:
        raise ConfigError(f".binvox holds one volume, and {len(volumes):,} were drawn; ask for one, or use .npz or a folder")
    path.write_bytes(encode_binvox(volumes[0]))


def encode_binvox(volume: NDArray[np.uint8]) -> bytes:
    """A volume (1, X, Y, Z), Z upright, as the bytes of a .binvox file (Min, 2004), whose second axis is upright."""
    filled = volume[0, :, ::-1] >= _HALF  # x, and z against its direction, and y: as the file has them one after another
    flat = filled.ravel()
    ends = np.append(np.flatnonzero(np.diff(flat)) + 1, flat.size)
    starts = np.insert(ends[:-1], 0, 0)
    runs = bytearray()
    for start, length in zip(starts.tolist(), (ends - starts).tolist(), strict=True):
        value = int(flat[start])
        runs += bytes((value, _LONGEST_RUN)) * (length // _LONGEST_RUN)
        runs += bytes((value, length % _LONGEST_RUN)) if length % _LONGEST_RUN else b""
    dim = " ".join(map(str, filled.shape))
    return f"#binvox 1\ndim {dim}\ntranslate 0 0 0\nscale 1\ndata\n".encode() + bytes(runs)


def writers(volumes: NDArray[np.uint8]) -> dict[str, Any]:
    """What writes volumes to one file, by its suffix."""
    meshes = {suffix: partial(write_meshes, volumes, suffix=suffix) for suffix in MESHES}
    return {**meshes, ".binvox": partial(write_binvox, volumes)}
