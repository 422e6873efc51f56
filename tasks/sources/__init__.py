"""Where data comes from: one module a kind of source, and `open_source` that picks one by the entry's `data.source`.

Images lie in a *place*, a folder, an archive or a bucket; which files of it are taken, and how they are laid out, is `images`' to say.
"""

from __future__ import annotations

from tasks.addresses import is_table, is_url
from tasks.params import DataParams
from tasks.sources.source import Source, SourceFile
from tasks.workspace import Workspace

__all__ = ["Source", "SourceFile", "open_source"]


def open_source(workspace: Workspace, data: DataParams) -> Source:
    """The source that `data` names; nothing is read yet.

    Raises:
        ConfigError: a path in it cannot be used, as when it has a variable that is not set; begins with the key below the entry.
        DataError: it is not there.
    """
    # Imported one at a time: a scheduled fetch is mostly the time of its imports.
    if data.children is not None:
        from tasks.sources.keyed import KeyedSource, below_children

        with below_children():
            children = open_source(workspace, data.of_children)
        return KeyedSource(open_source(workspace, data.of_parents), children)
    if data.scheme == "points":
        from tasks.sources.points import PointsSource

        return PointsSource(data)
    if is_url(data.scheme):
        from tasks.sources.urls import open_url

        return open_url(workspace, data)
    if data.scheme == "text":
        from tasks.sources.images import source_of
        from tasks.sources.texts import one_file

        return source_of(one_file(workspace, data), data)
    if data.scheme == "shop":
        from tasks.sources.shop import ShopSource

        return ShopSource(data)
    if data.scheme == "table":
        from tasks.sources.tables import TableSource

        return TableSource(workspace, data)
    if is_table(data.source):
        from tasks.sources.tables import SklearnTableSource

        return SklearnTableSource(data.location)
    if data.scheme == "sklearn":
        from tasks.sources.digits import DigitsSource, TiltedDigitsSource

        return TiltedDigitsSource() if data.location == "tilted-digits" else DigitsSource()
    if data.scheme == "torchvision":
        from tasks.sources.idx_files import IdxSource

        return IdxSource(workspace, data)
    if data.scheme == "arrays":
        from tasks.sources.arrays import ArraysSource

        return ArraysSource(workspace, data)
    from tasks.sources.folder import folder_or_archive
    from tasks.sources.images import source_of

    return source_of(folder_or_archive(workspace, data), data)
