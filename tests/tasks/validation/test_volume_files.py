"""Files of voxels and meshes: what is read of each form, what is refused and why, and what stays together."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import raw_sets
import scipy.io
import trimesh

from gan_core.errors import DataError
from tasks.fetch import fetch
from tasks.params import ValidateParams
from tasks.sources.raw import RawReader
from tasks.validation.formats import UnusableError
from tasks.validation.groups import groups_of, keys_by_group, note
from tasks.validation.volumes import decode_volume
from tasks.volumes import encode_binvox, surface
from tasks.workspace import Workspace

LIMITS = ValidateParams()
SIZE = 8


def shape() -> np.ndarray:
    """A foot, a pole and an arm that tell every axis and its direction, bool (6, 6, 6) with z upright."""
    grid = np.zeros((6, 6, 6), dtype=bool)
    grid[0:6, 0:6, 0] = True
    grid[2, 1, 0:6] = True
    grid[2:5, 1, 4] = True
    return grid


def npy(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=allow_pickle)
    return file.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def mat(**variables: Any) -> bytes:
    file = io.BytesIO()
    scipy.io.savemat(file, variables, do_compression=True)
    return file.getvalue()


def mesh(form: str, open_at: int = 0, **how: Any) -> bytes:
    """A box of 12 triangles, of which so many are left out."""
    box = trimesh.creation.box(extents=(2.0, 1.5, 1.5))
    data = trimesh.Trimesh(box.vertices, box.faces[open_at:], process=False).export(file_type=form, **how)
    return data if isinstance(data, bytes) else data.encode()


def read(data: bytes, size: int = SIZE, up: str = "z", limits: ValidateParams = LIMITS) -> np.ndarray:
    """Which voxels are filled, bool (size, size, size)."""
    volume = decode_volume(data, size, up, limits)
    assert volume.voxels.shape == (1, size, size, size)
    assert set(np.unique(volume.voxels)) <= {0, 255}
    return volume.voxels[0] > 0


@pytest.mark.parametrize(
    "data",
    [
        npy(shape()),
        npy(shape().astype(np.uint8) * 255),
        npy(np.asfortranarray(shape().astype(np.float32) * 0.9)),
        npy(shape()[None].astype(np.int64) * 3),
        npz(voxels=shape()),
        npz(voxels=shape(), scale=np.array(0.5), centre=np.zeros(3)),
        mat(instance=shape().astype(np.int8), note="a chair"),
        mat(instance=shape().astype(np.int8), scale=0.5),
        encode_binvox((shape() * 255).astype(np.uint8)[None]),
    ],
    ids=["npy", "bytes", "shares", "one of several axes", "npz", "npz and a scale", "mat", "mat and a scale", "binvox"],
)
def test_voxels_stand_in_the_middle_of_the_cube_as_they_are(data: bytes) -> None:
    found = read(data)
    np.testing.assert_array_equal(found[1:7, 1:7, 1:7], shape())
    assert found.sum() == shape().sum()


def test_binvox_is_read_as_another_library_writes_it() -> None:
    """Whose own arrays have y upright: turned here, so that z is, and not mirrored."""
    upright = shape().transpose(0, 2, 1)[:, :, ::-1]  # (x, y, z) with y upright of the same object
    data: bytes = trimesh.exchange.binvox.export_binvox(trimesh.voxel.VoxelGrid(upright), axis_order="xzy")
    np.testing.assert_array_equal(read(data)[1:7, 1:7, 1:7], shape())
    back = trimesh.exchange.binvox.load_binvox(io.BytesIO(encode_binvox((shape() * 255).astype(np.uint8)[None])), axis_order="xzy")
    np.testing.assert_array_equal(back.matrix, upright)


@pytest.mark.parametrize("up", ["x", "y", "z"])
def test_the_upright_axis_is_turned_and_not_mirrored(up: str) -> None:
    turned = {"z": shape(), "y": shape().transpose(0, 2, 1)[:, :, ::-1], "x": shape().transpose(2, 0, 1)}[up]
    np.testing.assert_array_equal(read(npy(turned), up=up)[1:7, 1:7, 1:7], shape())


def test_smaller_volumes_are_enlarged_by_whole_factors_and_larger_ones_averaged_down() -> None:
    twice = read(npy(shape()), size=14)
    np.testing.assert_array_equal(twice[1:13, 1:13, 1:13], shape().repeat(2, 0).repeat(2, 1).repeat(2, 2))
    large = shape().repeat(4, 0).repeat(4, 1).repeat(4, 2)
    np.testing.assert_array_equal(read(npy(large), size=6), shape())
    pole = np.zeros((16, 16, 16), dtype=bool)
    pole[7, 7, :] = True  # a quarter of the voxel that it becomes a part of
    assert read(npy(pole))[3, 3].all()


@pytest.mark.parametrize("form", ["ply", "stl", "obj", "off"])
def test_meshes_are_filled_and_as_large_as_the_cube(form: str) -> None:
    mesh = trimesh.creation.box(extents=(2.0, 1.0, 0.5)).subdivide()
    data = mesh.export(file_type=form)
    found = read(data if isinstance(data, bytes) else data.encode(), size=16)
    sides = [np.ptp(places) + 1 for places in np.nonzero(found)]
    assert sides[0] == 14
    assert abs(sides[1] - 7.5) <= 1
    assert abs(sides[2] - 4.25) <= 1
    assert found.sum() == np.prod(sides)  # nothing is hollow


def test_an_obj_may_count_its_points_from_the_end() -> None:
    lines = mesh("obj").decode().splitlines()
    count = sum(line.startswith("v ") for line in lines)
    turned = [re.sub(r"(\d+)", lambda one: str(int(one[1]) - count - 1), line) if line.startswith("f ") else line for line in lines]
    np.testing.assert_array_equal(read("\n".join(turned).encode()), read(mesh("obj")))


def test_what_may_be_meant_otherwise_is_told_of(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.npy").write_bytes(npy(~np.pad(shape(), 1)[number:]))
    (folder / "closed.stl").write_bytes(mesh("stl"))
    (folder / "open.stl").write_bytes(mesh("stl", open_at=2))
    entry, workspace = raw_sets.entry({"source": f"folder://{folder}", "layout": "volumes", "size": SIZE}, {}), Workspace(tmp_path)
    fetch(workspace, "set", entry)
    with RawReader.open(workspace.raw("set")) as raw:
        notes = raw_sets.inspect(raw, entry.data, LIMITS, tmp_path / "spool").notes
    assert any(note.startswith("3 of 5 volumes are filled at all eight corners: if 1 stands for empty") for note in notes)
    assert any(note.startswith("1 of 5 volumes are of meshes that enclose nothing, being open or") for note in notes)


def test_a_surface_becomes_the_same_volume_again() -> None:
    grid = np.zeros((1, 16, 16, 16), dtype=np.uint8)
    grid[0, :, 3:9, 5:7] = 255
    points, triangles = surface(grid)
    mesh = trimesh.Trimesh(points, triangles)
    assert mesh.is_watertight
    data = mesh.export(file_type="stl")
    found = read(data, size=16)
    assert abs(int(found.sum()) - int((grid > 0).sum())) <= 0.25 * (grid > 0).sum()


BOMB = io.BytesIO()
with zipfile.ZipFile(BOMB, "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("a.npy", bytes(2_000_000))
REFUSED: dict[str, tuple[bytes, str]] = {
    "no bytes": (b"", "empty: no bytes"),
    "text": (b"hello", "neither voxels"),
    "empty": (npy(np.zeros((6, 6, 6))), "empty: no voxel is filled"),
    "full": (npy(np.ones((6, 6, 6))), "full: every voxel is filled"),
    "two axes": (npy(np.ones((6, 6))), "holds an array of shape 6 x 6, and a file is one volume"),
    "several volumes": (npy(np.ones((2, 6, 6, 6))), "holds an array of shape 2 x 6 x 6 x 6, and a file is one volume"),
    "flat": (npy(np.ones((6, 6, 1))), "flat: 6 x 6 x 1 voxels"),
    "too large": (npy(np.ones((20, 20, 20))), r"too large: 20 x 20 x 20 voxels, more than 1,000 \(validate.max_voxels\)"),
    "objects": (npy(np.array([None, 1]), allow_pickle=True), "holds object, and numbers are taken"),
    "not finite": (npy(np.full((6, 6, 6), np.nan)), "holds values that are not finite"),
    "distances": (npy(np.linspace(-1, 1, 216).reshape(6, 6, 6)), r"holds values below 0 \(from -1 to 1\)"),
    "levels": (npy(np.arange(216).reshape(6, 6, 6)), r"holds values from 0 to 215, and voxels are empty \(0\)"),
    "beyond 1": (npy(np.where(shape(), 1.0000002, 0.1)), "holds values from 0.1 to 1.0000002, and voxels are"),
    "cut off": (npy(shape())[:-9], "broken: no readable .npy file"),
    "two arrays": (npz(a=shape(), b=shape()), r"holds 2 arrays \(a.npy, b.npy\)"),
    "long array": (BOMB.getvalue(), "too large: 2,000,000 bytes for at most 1,000 voxels"),
    "no array": (mat(a="text"), r"holds 0 arrays of numbers among its variables \(a\)"),
    "two variables": (mat(a=shape() * 1.0, b=shape() * 1.0), r"holds 2 arrays of numbers among its variables \(a, b\)"),
    "matlab 7.3": (b"MATLAB 7.3 MAT-file" + bytes(600), "a MATLAB 7.3 .* file, which is not read; save it in MATLAB with -v7"),
    "no head": (b"#binvox 1\nnonsense", "broken: a .binvox file without its head"),
    "few runs": (b"#binvox 1\ndim 6 6 6\ndata\n\x01\x09", "broken: its head says 216 voxels, and 9 are there"),
    "no triangle": (b"OFF\n3 0 0\n0 0 0\n1 0 0\n0 1 0\n", "broken: no readable .off file|holds no triangle"),
    "cut off off": (mesh("off")[:-200], r"broken: cut off, its head says 20 points and polygons, and \d+ lines are there"),
    "cut off ply": (mesh("ply", encoding="ascii")[:-40], r"broken: cut off, its head says 20 points and polygons, and \d+ lines are there"),
    "says too much": (b"ply\nformat ascii 1.0\nelement vertex 999999\nend_header\n", "broken: its head says 999,999 elements"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused_with_the_reason(name: str) -> None:
    data, reason = REFUSED[name]
    with pytest.raises(UnusableError, match=reason):
        read(data, limits=ValidateParams(max_voxels=1_000))


def test_groups_are_named_by_their_files_paths() -> None:
    paths = ["a/chair_1_0.mat", "a/chair_1_7.mat", "chair_22_0.mat", "stool.mat"]
    assert groups_of(paths, r"chair_(\d+)_") == ["1", "1", "22", None]
    assert groups_of(paths, r"chair_(\d)_(\d)|(st)ool") == ["10", "17", None, "st"]
    assert groups_of(paths, r"chair_\d+|stool") == ["chair_1", "chair_1", "chair_22", "stool"]
    assert "4 samples are of 2 groups, each held out as a whole; 1 are of none, such as stool.mat" in note(paths, ["1", "1", "22", None])
    with pytest.raises(DataError, match=re.escape("data.group: 'table' is found in no file's path, such as a/chair_1_0.mat")):
        groups_of(paths, "table")
    with pytest.raises(DataError, match=r"data\.group: all 3 samples are of one group, 'chair', so none could be held out"):
        groups_of(paths[:3], "chair")


def test_all_of_a_group_and_what_is_equal_elsewhere_are_drawn_by_one_key() -> None:
    keys = keys_by_group(["d1", "d2", "d3", "d1", "d5"], ["a", "a", "b", "c", None])
    assert keys[0] == keys[1] == keys[3]  # c has a copy of a's first
    assert len({*keys}) == 3
    assert keys[4] == "d5"
    more = keys_by_group(["d0", "d1", "d2"], ["b", "b", "b"])
    assert more[0] == keys[2]  # a group stays where it is when samples join it


def test_a_group_is_only_for_files(tmp_path: Path) -> None:
    from gan_core.errors import ConfigError
    from tasks.params import DataParams

    with pytest.raises((ConfigError, ValueError), match="group: only for"):
        DataParams(source="sklearn://digits", group="a")
