"""What bytes are that came in place of a table, an archive, captions or labels: told by how they begin."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tasks.sources.raw import safe_path

_SIGNATURES = {
    b"version https://git-lfs": "a Git LFS pointer instead of the file that it stands for; run `git lfs pull` at the source",
    b"%PDF": "a PDF file",
    b"PK\x03\x04": "a zip file, as those of Excel are too",
    b"\xd0\xcf\x11\xe0": "an old file of Excel or Word",
    b"\x1f\x8b": "a gzip file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ\0": "an xz file",
    b"(\xb5/\xfd": "a zstd file",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"PAR1": "a Parquet file",
    b"SQLite format 3": "an SQLite database",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
}
_PAGE = re.compile(rb"<(?:!doctype html|html|head|body|script|meta|title|!--)", re.IGNORECASE)
_TITLE = re.compile(rb"<title[^>]*>([^<]+)", re.IGNORECASE)
_XML = re.compile(rb"<\?xml[^>]*>\s*(?:<!--.*?-->\s*)?<([\w:]+)|<(error)", re.IGNORECASE | re.DOTALL)
_JSON = re.compile(rb'\{\s*["}]|\[\s*["{\[]')
_HEAD = 4_096
_SHOWN = 80


def what_came(data: bytes, right: Sequence[bytes] = ()) -> str | None:
    """What bytes are that should be another thing, in words; None where they do not begin like anything that is known.

    Args:
        data: the file's bytes, or its first ones.
        right: how what is asked for may begin.
    """
    head = data[:_HEAD].removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(tuple(right)):
        return None
    for signature, what in _SIGNATURES.items():
        if data.startswith(signature):
            return what
    if _PAGE.match(head):
        title = _TITLE.search(head)
        return "a web page" + (f", {_quoted(title[1])}" if title else "")
    if found := _XML.match(head):
        return f"an XML document, <{_quoted(found[1] or found[2])[1:-1]}>"
    return f"a JSON document, {_quoted(head)}" if _JSON.match(head) else None


def _quoted(text: bytes) -> str:
    words = " ".join(text.decode("utf-8", "replace").split())
    return f"'{safe_path(words[:_SHOWN])}{'...' if len(words) > _SHOWN else ''}'"
