"""What `data.source` may be: the schemes, what each names, and what is refused in an address before anything is opened.

An address is `scheme://location`. Below a location that ends like an archive, a path leads on into the archive, so that
`folder:///srv/sets.zip/photos/train` is a folder in it, and `https://host/sets.zip/photos` likewise.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import parse_qsl, urlsplit

POINT_SOURCES = ("circle", "ring", "grid")
TORCHVISION = ("MNIST", "FashionMNIST", "KMNIST", "QMNIST")
SKLEARN_TABLES: Mapping[str, str] = {"breast-cancer": "load_breast_cancer", "iris": "load_iris", "wine": "load_wine"}
"""scikit-learn's tables, and its function that loads each."""
MADE_TABLES = ("customers", "orders")
"""Drawn tables, the second of which belongs to the first."""
EXCEL_SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
TABLE_SUFFIXES = (".csv", ".tsv", ".parquet", ".feather", ".orc", *EXCEL_SUFFIXES)
IMAGE_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("avif", "bmp", "dib", "gif", "heic", "heif", "ico", "j2k", "jfif", "jp2", "jpe", "jpeg", "jpg", "jxl"),
        *("pbm", "pgm", "png", "pnm", "ppm", "psd", "tga", "tif", "tiff", "webp"),
    )
)
"""How the names of image files end, in lower case; also of kinds that validation refuses, so that it says so."""
ARRAY_SUFFIXES = frozenset({".npy", ".npz"})
"""Of arrays that are pictures where no other pictures lie."""
SOUND_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("aac", "aif", "aifc", "aiff", "amr", "ape", "au", "caf", "flac", "m4a", "mp2", "mp3", "oga", "ogg", "opus", "rf64", "snd", "w64"),
        *("wav", "wave", "wma"),
    )
)
"""How the names of sound files end, likewise."""
MESH_SUFFIXES = (".ply", ".stl", ".obj", ".off")
"""Of files of meshes that are read."""
VOLUME_SUFFIXES = frozenset(
    (*MESH_SUFFIXES, ".mat", ".npy", ".npz", ".binvox", *(".3mf", ".dae", ".fbx", ".glb", ".gltf", ".nrrd", ".vox", ".vti"))
)
"""How the names of files of voxels and meshes end, likewise."""
VIDEO_SUFFIXES = frozenset((".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm", ".wmv"))
"""How the names of video files end, likewise."""
CLIP_SUFFIXES = IMAGE_SUFFIXES | VIDEO_SUFFIXES
"""How the names of files of clips end: animated pictures, strips of frames, videos."""
LINE_SUFFIXES = (".txt", ".jsonl", ".ndjson")
"""Of files of text that hold a sentence a line, or a JSON value."""
TEXT_SUFFIXES = (*LINE_SUFFIXES, *TABLE_SUFFIXES)
"""Of files that sentences are read from, likewise."""
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")

BUCKETS: Mapping[str, str] = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}
"""The schemes of object stores, and the library of fsspec's family that speaks each."""
WEB = ("https", "http")
_NAMES: Mapping[str, tuple[str, ...] | None] = {
    "sklearn": ("digits", "tilted-digits", *SKLEARN_TABLES),
    "points": POINT_SOURCES,
    "shop": MADE_TABLES,
    "torchvision": TORCHVISION,
    "folder": None,
    "table": None,
    "text": None,
    "arrays": None,
    **dict.fromkeys((*BUCKETS, *WEB)),
}
"""Every scheme; and what may follow it, where that is a fixed list."""
_SECRET = re.compile(r"sig|signature|.*-signature|.*token|.*secret.*|.*password|api-?_?key|key", re.IGNORECASE)


def check_address(source: str) -> None:
    """Refuse an address that can lead nowhere, or that carries a secret.

    Raises:
        ValueError: naming what is wrong with it and what may stand there.
    """
    scheme, found, rest = source.partition("://")
    if not found or scheme not in _NAMES:
        near = difflib.get_close_matches(scheme, _NAMES, n=1)
        hint = f"; did you mean {near[0]}://?" if near else ""
        raise ValueError(f"{source!r} is not a source; allowed are {', '.join(s + '://' for s in _NAMES)}{hint}")
    names = _NAMES[scheme]
    if names is not None and rest not in names:
        near = difflib.get_close_matches(rest, names, n=1)
        hint = f"; did you mean {scheme}://{near[0]}?" if near else ""
        raise ValueError(f"{source!r}: {scheme}:// has {', '.join(names)}{hint}")
    if scheme in ("folder", "table", "text", "arrays") and not rest:
        what = "folder" if scheme == "folder" else "file"
        raise ValueError(f"{source!r} names no {what}; write {scheme}:///an/absolute/path or {scheme}://relative/path")
    if is_url(scheme):
        _check_url(source, scheme)


def is_url(scheme: str) -> bool:
    """Whether data of that scheme comes over the network, from an address of its own."""
    return scheme in BUCKETS or scheme in WEB


def is_table(source: str) -> bool:
    """Whether an address, by what it says, names a table."""
    scheme, _, location = source.partition("://")
    if is_url(scheme):
        return without_query(location).lower().endswith(TABLE_SUFFIXES)
    return scheme in ("table", "shop") or (scheme == "sklearn" and location in SKLEARN_TABLES)


def is_text(source: str) -> bool:
    """Whether an address, by what it says, names a file of sentences."""
    scheme, _, location = source.partition("://")
    return scheme == "text" or (is_url(scheme) and without_query(location).lower().endswith(LINE_SUFFIXES))


def table_suffix(name: str) -> str | None:
    """How the name of a table's file ends, in lower case; None where it is none that is read."""
    return next((suffix for suffix in TABLE_SUFFIXES if name.lower().endswith(suffix)), None)


def is_archive_name(name: str) -> bool:
    """Whether a file's name ends as an archive's does."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def archive_in(location: str) -> tuple[str, str] | None:
    """The archive that a location names and the path that leads on inside it; None where it names none."""
    parts = location.split("/")
    for i, part in enumerate(parts, start=1):
        if is_archive_name(part):
            return "/".join(parts[:i]), "/".join(part for part in parts[i:] if part)
    return None


def without_query(location: str) -> str:
    """A URL's location without what follows `?` or `#`."""
    return re.split(r"[?#]", location, maxsplit=1)[0]


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name or number, without asking anybody."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_url(source: str, scheme: str) -> None:
    try:
        parts = urlsplit(source)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{_hidden(source)!r} is no URL ({error})") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"{_hidden(source)!r} carries a name or password; {_from_environment(scheme)}")
    if not host:
        what, example = ("bucket", "bucket/folder") if scheme in BUCKETS else ("host", "host/set.zip")
        raise ValueError(f"{source!r} names no {what}; write {scheme}://{example}")
    if scheme in BUCKETS and (parts.query or parts.fragment):
        raise ValueError(f"{_hidden(source)!r}: {scheme}:// takes no `?` and no `#`; write {scheme}://bucket/folder")
    if scheme in BUCKETS:
        return
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if _SECRET.fullmatch(key) and not value.startswith("$"):
            raise ValueError(f"{_hidden(source)!r}: `{key}` looks like a secret; put it into an environment variable: {key}=$VARIABLE")
    if scheme == "http" and not is_loopback(host):
        raise ValueError(
            f"{_hidden(source)!r}: http:// is only for this machine, as anybody on the way could change the data; write https://"
        )
    if not is_table(source) and not is_text(source) and archive_in(without_query(parts.path)) is None:
        raise ValueError(
            f"{_hidden(source)!r} names no archive, no table and no text, and the web lists no folders; "
            f"a URL ends in {', '.join((*ARCHIVE_SUFFIXES, *TABLE_SUFFIXES, *LINE_SUFFIXES))}"
        )


def _from_environment(scheme: str) -> str:
    if scheme in BUCKETS:
        return f"credentials for {scheme}:// come from the environment, as its tools read them"
    return "write the URL without them"


def _hidden(source: str) -> str:
    """A URL as a message may show it: without name, password, and what follows `?`."""
    scheme, _, rest = source.partition("://")
    place, slash, path = without_query(rest).partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{path}"
