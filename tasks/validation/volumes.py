"""Voxels and meshes: decoded within bounds, made alike in size, or refused with the reason.

Voxels are read from .mat (MATLAB 5), .npy, .npz and .binvox, one volume a file; meshes from .ply, .stl, .obj and .off, by trimesh. A mesh
becomes voxels, its longest extent two fewer than `data.size`, and what it encloses is filled. Voxels keep their scale in the middle of the
cube where they fit; a longer volume is averaged down, and a shorter one enlarged by a whole factor.

This module is imported by processes that decode, and imports no torch.
"""

from __future__ import annotations

import hashlib
import math
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gan_core.metrics.shapes import pieces
from tasks.addresses import MESH_SUFFIXES
from tasks.params import DataParams, ValidateParams
from tasks.sources.array_heads import npy_head
from tasks.sources.raw import Member, RawReader
from tasks.validation.annotated import Annotated
from tasks.validation.decoding import decoded
from tasks.validation.formats import UnusableError
from tasks.validation.inspection import Inspection, OnRow, Row, each_told
from tasks.validation.spooled import SpooledRows
from tasks.validation.twins import shares_of_boxes
from tasks.volumes import import_meshes

MAX_TRIANGLES = 1_000_000
"""Meshes of more are refused before they become voxels."""

_FILLED = 255
_KEPT = 0.25  # of what becomes one voxel, from which on it is filled: thin legs stay
_MOST_PARTS = 20_000_000  # that triangles are cut into, each smaller than a voxel


@dataclass(frozen=True)
class Volume:
    """A volume that can be used."""

    voxels: NDArray[np.uint8]
    """(1, size, size, size), of 0 and 255, Z upright."""
    form: str
    """Of the file: mat, npy, npz, binvox, ply, stl, obj or off."""
    count: int
    """Voxels of the file; of a mesh, those that it became."""
    pieces: int
    notable: Literal["inside out", "hollow"] | None = None
    """Voxels filled at all eight corners, as where 1 stands for empty; or a mesh that encloses nothing, as an open surface."""

    @property
    def filled(self) -> float:
        """The share of all voxels that are filled."""
        return float((self.voxels > 0).mean())


def decode_volume(data: bytes, size: int, up: str, limits: ValidateParams) -> Volume:
    """A file's volume, made as large as all others.

    Raises:
        UnusableError: it is none, broken, outside the limits, or empty.
    """
    form = _form(data)
    notable: Literal["inside out", "hollow"] | None = None
    if form in _GRIDS:
        grid = _occupied(_GRIDS[form](data, limits.max_voxels))
        notable = "inside out" if grid[np.ix_(*[(0, -1)] * 3)].all() else None
    else:
        surface, grid = _of_mesh(data, form, size)
        notable = "hollow" if surface == grid.sum() else None
    if not grid.any():
        raise UnusableError("empty: no voxel is filled")
    if grid.all():
        raise UnusableError("full: every voxel is filled, so there is no shape in it")
    grid = _upright(grid.transpose(0, 2, 1), "y") if form == "binvox" else _upright(grid, up)
    cube = _fitted(grid, size)
    if not cube.any():
        raise UnusableError(f"empty at data.size {size}: what is filled is too thin to be seen; raise data.size")
    return Volume(np.where(cube, _FILLED, 0).astype(np.uint8)[None], form, grid.size, pieces(cube), notable)


def _form(data: bytes) -> str:
    """The format that a file's first bytes tell."""
    if not data:
        raise UnusableError("empty: no bytes")
    for form, starts in _STARTS.items():
        if data.startswith(starts):
            return form
    if data[:4] == b"\x89HDF" or data[:10] == b"MATLAB 7.3":
        raise UnusableError("a MATLAB 7.3 (HDF5) file, which is not read; save it in MATLAB with -v7")
    if len(data) >= 84 and len(data) == 84 + 50 * int.from_bytes(data[80:84], "little"):
        return "stl"  # binary, whose first bytes say nothing
    if re.search(rb"^v\s+\S+\s+\S+\s+\S+", data[:1_000_000], re.MULTILINE) and re.search(rb"^f\s+-?\d", data, re.MULTILINE):
        return "obj"
    raise UnusableError(
        "neither voxels (.mat of MATLAB 5, .npy, .npz, .binvox) nor a mesh (.ply, .stl, .obj, .off), or cut off; save it as one"
    )


_STARTS: dict[str, bytes | tuple[bytes, ...]] = {
    "npy": b"\x93NUMPY",
    "npz": b"PK\x03\x04",
    "mat": b"MATLAB 5.0",
    "binvox": b"#binvox",
    "ply": (b"ply\n", b"ply\r"),
    "off": (b"OFF", b"COFF", b"NOFF"),
    "stl": b"solid",
}


def _axes(shape: Sequence[int]) -> tuple[int, ...]:
    """The sides of an array, without leading ones of 1."""
    sides = tuple(shape)
    while len(sides) > 3 and sides[0] == 1:
        sides = sides[1:]
    return sides


def _three(shape: Sequence[int], most: int) -> None:
    """Refuse what is no volume by its shape, before a value of it is read."""
    sides = _axes(shape)
    if len(sides) != 3:
        raise UnusableError(f"holds an array of shape {' x '.join(map(str, shape)) or '()'}, and a file is one volume, X x Y x Z")
    if min(sides) < 2:
        raise UnusableError(f"flat: {' x '.join(map(str, sides))} voxels, and at least 2 along each axis are needed")
    if math.prod(sides) > most:
        raise UnusableError(f"too large: {' x '.join(map(str, sides))} voxels, more than {most:,} (validate.max_voxels)")


def _npy(data: bytes, most: int) -> NDArray[Any]:
    file = BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, _, dtype = read(file)
        _known(dtype, "")
        _three(shape, most)
        array: NDArray[Any] = np.load(BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, KeyError) as error:
        raise UnusableError(f"broken: no readable .npy file ({error})") from None
    return array


def _npz(data: bytes, most: int) -> NDArray[Any]:
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            inside = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            if len(inside) > 1:  # what has three axes is meant, whatever numbers are beside it
                inside = [info for info in inside if len(_axes(_shape_in(archive, info))) == 3] or inside
            if len(inside) != 1:
                names = ", ".join(info.filename[:40] for info in inside[:8]) or "none"
                raise UnusableError(f"holds {len(inside)} arrays ({names}), and a file is one volume")
            # What the archive says of its length is held to: a bomb is cut off there.
            if inside[0].file_size > 16 * most + 4_096:
                raise UnusableError(f"too large: {inside[0].file_size:,} bytes for at most {most:,} voxels (validate.max_voxels)")
            with archive.open(inside[0]) as member:
                return _npy(member.read(inside[0].file_size), most)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise UnusableError(f"broken: no readable .npz file ({error})") from None


def _shape_in(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[int, ...]:
    """The shape of an array in an archive."""
    with archive.open(info) as member:
        return npy_head(member, info.filename).shape


def _mat(data: bytes, most: int) -> NDArray[Any]:
    from scipy.io import loadmat, whosmat

    try:
        found = whosmat(BytesIO(data))
        grids = [(name, shape) for name, shape, kind in found if kind not in ("cell", "struct", "object", "char", "function", "opaque")]
        if len(grids) > 1:
            grids = [(name, shape) for name, shape in grids if len(_axes(shape)) == 3] or grids
        if len(grids) != 1:
            names = ", ".join(str(name)[:40] for name, *_ in found[:8]) or "none"
            raise UnusableError(f"holds {len(grids)} arrays of numbers among its variables ({names}), and a file is one volume")
        (name, shape) = grids[0]
        _three(shape, most)
        array: NDArray[Any] = np.asarray(loadmat(BytesIO(data), variable_names=[name])[name])
        _known(array.dtype, name)
    except UnusableError:
        raise
    except Exception as error:  # scipy raises what it meets, of a dozen kinds
        raise UnusableError(f"broken: no readable .mat file ({' '.join(str(error).split())[:120] or type(error).__name__})") from None
    return array


def _binvox(data: bytes, most: int) -> NDArray[Any]:
    """Voxels as the file has them one after another: x, then z, then y, which is upright (Min, 2004)."""
    head, mark, body = data.partition(b"\ndata\n")
    dim = re.search(rb"^dim (\d{1,6}) (\d{1,6}) (\d{1,6})\s*$", head, re.MULTILINE)
    if not mark or dim is None:
        raise UnusableError("broken: a .binvox file without its head, which says dim and data")
    shape = tuple(map(int, dim.groups()))
    _three(shape, most)
    runs = np.frombuffer(body[: len(body) // 2 * 2], dtype=np.uint8).reshape(-1, 2)
    there = int(runs[:, 1].sum(dtype=np.int64))
    if there != math.prod(shape):
        raise UnusableError(f"broken: its head says {math.prod(shape):,} voxels, and {there:,} are there")
    return np.repeat(runs[:, 0] > 0, runs[:, 1]).reshape(shape)


_GRIDS = {"npy": _npy, "npz": _npz, "mat": _mat, "binvox": _binvox}


def _known(dtype: np.dtype[Any], name: str) -> None:
    if dtype.kind not in "biuf":
        raise UnusableError(f"holds {name + ' of ' if name else ''}{dtype}, and numbers are taken")


def _occupied(grid: NDArray[Any]) -> NDArray[np.bool_]:
    """Which voxels are filled: of two values, of which one is 0, the other; of shares from 0 to 1, a half or more."""
    grid = grid.reshape(grid.shape[-3:])
    if grid.dtype == np.bool_:
        return grid
    if not np.isfinite(grid).all():
        raise UnusableError("holds values that are not finite")
    low, high = grid.min(), grid.max()
    if low < 0:
        raise UnusableError(f"holds values below 0 (from {low:g} to {high:g}), and voxels are empty (0) or filled; distances are not read")
    if ((grid == 0) | (grid == high)).all():
        return np.asarray(grid > 0)
    if grid.dtype.kind == "f" and high <= 1:
        return np.asarray(grid >= 0.5)
    raise UnusableError(
        f"holds values from {low:.9g} to {high:.9g}, and voxels are empty (0), filled (one other value), or shares from 0 to 1; "
        "divide or clip them"
    )


def _of_mesh(data: bytes, form: str, size: int) -> tuple[int, NDArray[np.bool_]]:
    """How many voxels a mesh goes through; and these with those that it encloses."""
    import_meshes()
    import trimesh
    from trimesh.voxel.creation import voxelize

    _check_declared(data, form)
    try:
        mesh: Any = trimesh.load_mesh(BytesIO(data), file_type=form)
        points, triangles = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    except Exception as error:  # trimesh raises what it meets, of many kinds
        mixed = "; if it has polygons of more corners than 3, save it as triangles" if form in ("ply", "off") else ""
        why = f"{' '.join(str(error).split())[:120] or type(error).__name__}"
        raise UnusableError(f"broken: no readable .{form} file ({why}){mixed}") from None
    if not len(triangles):
        raise UnusableError("holds no triangle, so it has no surface")
    _few(len(triangles))
    if not np.isfinite(points).all():
        raise UnusableError("holds points that are not finite")
    corners = points[triangles] - points[triangles].min(axis=(0, 1))
    extent = float(corners.max())
    if extent <= 0:
        raise UnusableError("all its points lie in one place")
    corners *= (size - 3) / extent  # from the middle of one voxel to that of another, size - 2 of them
    edges = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    parts = np.square(2.0 ** np.ceil(np.log2(np.maximum(edges, 1)))).sum()
    if parts > _MOST_PARTS:
        raise UnusableError(f"too fine for data.size {size}: its triangles would be cut into {parts:,.0f} parts; simplify it")
    scaled = trimesh.Trimesh(corners.reshape(-1, 3), np.arange(3 * len(corners)).reshape(-1, 3), process=False)
    grid: Any = voxelize(scaled, 1.0, method="subdivide")
    surface = int(grid.filled_count)
    found = np.asarray(grid.fill(method="holes").matrix, dtype=bool)
    return surface, np.pad(found, 1)  # a margin: a solid cube is a shape here, and a file full of filled voxels is none


def _check_declared(data: bytes, form: str) -> None:
    """Refuse what says that it holds more than it does, or more than is taken."""
    declared: list[int] = []
    lines = 0  # that are there for these, in forms of text
    if form == "ply":
        head, _, body = data.partition(b"end_header")
        declared = [int(count) for count in re.findall(rb"^element\s+\w+\s+(\d{1,18})", head, re.MULTILINE)]
        lines = body.count(b"\n") + 1 if b"format ascii" in head else sum(declared)
    elif form == "off" and (counts := re.search(rb"OFF\s*(?:#.*\s+)*(\d{1,18})\s+(\d{1,18})", data[:65_536])):
        declared, lines = [int(count) for count in counts.groups()], data.count(b"\n", counts.end()) + 1
    elif form == "stl" and not data.startswith(b"solid"):
        declared = [int.from_bytes(data[80:84], "little")]
        lines = sum(declared)
    if any(count > len(data) for count in declared):
        raise UnusableError(f"broken: its head says {max(declared):,} elements, and the file has {len(data):,} bytes")
    _few(max(declared, default=0))
    if sum(declared) > lines:  # of which trimesh would make a mesh of the others
        raise UnusableError(f"broken: cut off, its head says {sum(declared):,} points and polygons, and {lines:,} lines are there")


def _few(count: int) -> None:
    if count > MAX_TRIANGLES:
        raise UnusableError(f"too large: {count:,} points or triangles, more than {MAX_TRIANGLES:,}; simplify it")


def _upright(grid: NDArray[np.bool_], up: str) -> NDArray[np.bool_]:
    """Turned, not mirrored, so that the axis that is upright in the file is the last one."""
    if up == "y":
        return grid.transpose(0, 2, 1)[:, ::-1]
    return grid if up == "z" else grid.transpose(1, 2, 0)


def _fitted(grid: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """In the middle of a cube of `size`."""
    longest = max(grid.shape)
    if longest > size:
        density = grid.astype(np.float32)
        sides = [max(1, round(side * size / longest)) for side in grid.shape]
        for axis, side in enumerate(sides):
            density = np.moveaxis(np.tensordot(shares_of_boxes(grid.shape[axis], side), density, axes=(1, axis)), 0, axis)
        grid = density >= _KEPT
    elif (factor := size // longest) > 1:
        for axis in range(3):
            grid = grid.repeat(factor, axis=axis)
    free = [size - side for side in grid.shape]
    return np.pad(grid, [(one // 2, one - one // 2) for one in free])


def inspect_volumes(raw: RawReader, about: Annotated, data: DataParams, limits: ValidateParams, spool: Path, on_row: OnRow) -> Inspection:
    """Look at every file of voxels or a mesh; good volumes are put into `spool`.

    A row's digest is that of its voxels: files of equal shapes differ by the time that is written in them.

    Raises:
        DataError: raw is damaged.
        ConfigError: there are meshes, and what reads them is not installed.
    """
    if any(member.path.lower().endswith(MESH_SUFFIXES) for member in about.images):
        import_meshes()
    decoder = partial(decode_volume, size=data.side, up=data.up, limits=limits)
    forms: Counter[str] = Counter()
    notable: Counter[str | None] = Counter()
    with spool.open("wb") as file:

        def row(member: Member, volume: Volume | str) -> Row:
            label = about.labels.get(member.path)
            reason = volume if isinstance(volume, str) else about.reasons.get(member.path)
            if isinstance(volume, str) or reason is not None:
                return Row(member.path, member.sha256, label, reason=reason)
            voxels = volume.voxels.tobytes()
            file.write(voxels)
            forms[volume.form] += 1
            notable[volume.notable] += 1
            facts: dict[str, float | int | str] = {
                "form": volume.form,
                "voxels": volume.count,
                "filled": round(volume.filled, 6),
                "pieces": volume.pieces,
            }
            return Row(member.path, hashlib.sha256(voxels).hexdigest(), label, number=forms.total() - 1, facts=facts)

        found = decoded(raw, about.images, decoder, data.side**3, _is_plain)
        rows = each_told(map(row, about.images, found), len(about.images), on_row)
    samples = partial(SpooledRows, spool, (1, data.side, data.side, data.side), np.dtype(np.uint8))
    return Inspection([*rows, *about.refused_rows()], about.classes, samples, notes=[*about.notes, *_notes(notable)])


def _notes(notable: Counter[str | None]) -> Iterator[str]:
    count = notable.total()
    if notable["inside out"] > count / 2:
        yield (
            f"{notable['inside out']:,} of {count:,} volumes are filled at all eight corners: if 1 stands for empty in the files, turn "
            "their values round"
        )
    if notable["hollow"]:
        yield (
            f"{notable['hollow']:,} of {count:,} volumes are of meshes that enclose nothing, being open or thinner than a voxel: they are "
            "shells one voxel thick; close them where solids are meant"
        )


def _is_plain(data: bytes) -> bool:
    """Whether a file's decoder may run in this process: all others could take it along with them."""
    return data.startswith((b"\x93NUMPY", b"#binvox")) or not data
