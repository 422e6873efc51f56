"""Clips of one length and size, with labels or without."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tasks.kinds.kind import Expected, Shown, Written, label_column
from tasks.kinds.pixels import PixelKind, labelled, refuse_pretrained

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gan_core.data.dataset import DatasetSpec
    from gan_core.generator import GeneratorConfig, Samples
    from gan_core.kinds.pixels import Pixels
    from gan_core.metrics.features import ExtractorKind
    from tasks.inputs import Inputs
    from tasks.params import DataParams, EvaluateParams, ValidateParams
    from tasks.sources.raw import RawReader
    from tasks.validation.inspection import Inspection, OnRow
    from tasks.validation.packing import Good


class ClipKind(PixelKind):
    """Clips (C, F, H, W)."""

    keys = frozenset({"size", "fit", "channels", "layout", "labels", "label", "label_pattern", "group", "frames", "every"})
    limits = frozenset({"min_side", "max_side", "min_std", "near_twins", "max_frames"})
    family = "clips"
    layouts: ClassVar[tuple[str, ...]] = ("clips", "frame-folders")
    chosen_by = "; data.layout: clips takes the animated pictures, strips of frames and videos of a folder, archive or bucket"
    hint = "data.layout: clips takes the animated pictures, strips of frames and videos of it"
    makes = "clips"
    called = "clips"
    shown_as = ".gif"
    kept_as: ClassVar[Mapping[str, str]] = {"gif": "GIF", "webp": "WebP, without loss", "png": "frames (PNG)", "npz": "arrays"}
    scores = "tasks.scoring.clips:ClipScoring"
    beside: ClassVar[tuple[str, ...]] = ("label_accuracy", "motion_distance")

    def is_in(self, data: DataParams) -> bool:
        return super().is_in(data) and data.given is None

    def decoder(self, data: DataParams, limits: ValidateParams) -> Callable[[bytes], object]:
        from tasks.validation.clips import Wanted, decode_clips

        return partial(decode_clips, wanted=Wanted.of(data), limits=limits)

    def inspect(self, raw: RawReader, data: DataParams, limits: ValidateParams, spool: Path, on_row: OnRow) -> Inspection:
        from tasks.validation.annotated import by_labels
        from tasks.validation.clips import by_clip_folders, inspect_clips

        about = by_clip_folders(raw, data.folders_are_classes) if data.layout == "frame-folders" else by_labels(raw, data)
        return inspect_clips(raw, about, data, limits, spool, on_row)

    def expected(self, limits: ValidateParams) -> Sequence[Expected]:
        return (
            *super().expected(limits),
            Expected("frames", f"2 to {limits.max_frames:,} frames (validate.max_frames)", between=(2, limits.max_frames)),
            Expected("motion", "something moves", between=(0, 255)),
        )

    def _pack(self, folder: Path, good: Good, data: DataParams) -> Pixels:
        from gan_core.kinds.clips import Clips

        return Clips.pack(folder, good.pictures(good.numbers(), data.channels), good.labels, good.classes)

    def drift_of(self, samples: NDArray[np.uint8], spec: Pixels) -> tuple[Mapping[str, NDArray[np.float64]], NDArray[np.float64]]:
        """Brightness, contrast and how much each moves; and its pixels."""
        from gan_core.kinds.clips import motion
        from tasks.validation.images import array_statistics
        from tasks.validation.projections import projections

        count, channels, *_, width = samples.shape
        flat = samples.transpose(0, 2, 3, 4, 1).reshape(count, -1, width, channels)
        brightness, contrast = array_statistics(flat)
        return {"brightness": brightness, "contrast": contrast, "motion": motion(samples)}, projections(samples)

    def features(self, name: str, spec: DatasetSpec, params: EvaluateParams) -> ExtractorKind:
        refuse_pretrained(name, params, self.called)
        return super().features(name, spec, params)

    def written(self, samples: Samples, classes: tuple[str, ...] | None, given: Inputs | None) -> Written:
        from gan_core.pictures import grid, save_png, strips
        from tasks.clips import write_film, write_folder

        clips = samples.samples
        return Written(
            {"clips": clips.swapaxes(1, 2)},
            {
                ".gif": partial(write_film, clips, "gif"),
                ".webp": partial(write_film, clips, "webp"),
                ".png": lambda path: save_png(grid(strips(clips, clips.shape[2]), columns=1), path),
            },
            lambda folder: write_folder(samples, folder, classes, given),
        )

    def shown(self, samples: Samples) -> Sequence[Shown]:
        from gan_core.pictures import strips
        from tasks.clips import encode_film, frames_of

        clips = samples.samples
        stills = strips(clips, 1)
        return [Shown(still, "playing", film=encode_film(frames_of(clip[None]), "webp")) for clip, still in zip(clips, stills, strict=True)]

    def records(self, samples: Samples, classes: tuple[str, ...] | None) -> list[dict[str, Any]]:
        import base64

        from tasks.clips import encode_film, exact

        films = [{"webp": base64.b64encode(encode_film(exact(clip), "webp")).decode()} for clip in samples.samples]
        return labelled(films, samples, classes)

    def answered(self, config: GeneratorConfig) -> Sequence[tuple[str, str]]:
        return [("string", "webp"), *label_column(config)]
