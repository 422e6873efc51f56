"""Sounds of one length, with labels or without."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tasks.kinds.kind import DataKind, Expected, Shown, Written, label_column, with_labels
from tasks.kinds.pixels import judge_of_labels, refuse_all_alike, refuse_pretrained, refuse_segmentation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pandas import DataFrame

    from gan_core.data.dataset import Dataset, DatasetSpec
    from gan_core.generator import GeneratorConfig, Samples
    from gan_core.kinds.sounds import Sounds
    from gan_core.metrics.features import ExtractorKind
    from tasks.inputs import Inputs
    from tasks.params import DataParams, EvaluateParams, ValidateParams
    from tasks.sources.raw import RawReader
    from tasks.validation.inspection import Inspection, OnRow
    from tasks.validation.packing import Good


class SoundKind(DataKind):
    """Sounds (1, T)."""

    keys = frozenset({"rate", "seconds", "longer", "bands", "layout", "labels", "label", "label_pattern", "group"})
    limits = frozenset({"max_seconds", "min_level"})
    family = "sounds"
    layouts = ("sounds",)
    chosen_by = "; data.layout: sounds takes the sound files of a folder, archive or bucket"
    hint = "data.layout: sounds takes the sound files of it"
    makes = "sounds"
    called = "sounds"
    shown_as = ".wav"
    kept_as: ClassVar[Mapping[str, str]] = {"wav": "WAV, one after another", "png": "spectrograms", "npz": "arrays"}
    values_alone = True
    scores = "tasks.scoring.sounds:SoundScoring"
    deciding = ("fid", "kid")
    beside = ("label_accuracy",)

    def is_in(self, data: DataParams) -> bool:
        return data.layout in self.layouts

    def decoder(self, data: DataParams, limits: ValidateParams) -> Callable[[bytes], object]:
        from tasks.validation.sounds import decode_sound

        return partial(decode_sound, wanted=data, limits=limits)

    def inspect(self, raw: RawReader, data: DataParams, limits: ValidateParams, spool: Path, on_row: OnRow) -> Inspection:
        from tasks.validation.annotated import by_labels
        from tasks.validation.sounds import inspect_sounds

        return inspect_sounds(raw, by_labels(raw, data), data, limits, spool, on_row)

    def expected(self, limits: ValidateParams) -> Sequence[Expected]:
        import math

        from tasks.validation.sounds import CHANNELS, RATES

        quietest = 20 * math.log10(limits.min_level)
        return (
            Expected("rate", f"rate of {RATES[0]:,} to {RATES[1]:,} Hz", between=RATES),
            Expected("channels", "one or two channels", between=CHANNELS),
            Expected("seconds", f"at most {limits.max_seconds:g} s (validate.max_seconds)", between=(0, limits.max_seconds)),
            Expected("level", f"loudness of {quietest:.0f} dB or more (validate.min_level)", between=(quietest - 0.01, 60.0)),
        )

    def pack(self, folder: Path, good: Good, data: DataParams, raw: RawReader) -> Sounds:
        from gan_core.kinds.sounds import Sounds

        rows = {split: good.samples(numbers) for split, numbers in good.numbers().items()}
        return Sounds.pack(folder, rows, data.rate, data.bands, good.labels, good.classes)

    def drift_of(self, samples: NDArray[np.int16], spec: Sounds) -> tuple[Mapping[str, NDArray[np.float64]], NDArray[np.float64]]:
        """Until when each is heard, in seconds, and how high its middle is, as a share of the bands; and its spectrogram."""
        from gan_core.kinds.sounds import lengths, middles
        from tasks.validation.projections import projections

        pictures = spec.pictured(samples)
        return {"length": lengths(samples, spec.rate), "pitch": middles(pictures)}, projections(pictures)

    def features(self, name: str, spec: DatasetSpec, params: EvaluateParams) -> ExtractorKind:
        refuse_segmentation(name, params)
        refuse_pretrained(name, params, self.called)
        return judge_of_labels(name, spec, params)

    def check(self, dataset: Dataset, params: EvaluateParams) -> None:
        super().check(dataset, params)
        refuse_all_alike(dataset, self.called)

    def written(self, samples: Samples, classes: tuple[str, ...] | None, given: Inputs | None) -> Written:
        import numpy as np

        from gan_core.pictures import grid, save_png
        from tasks.sounds import write_wavs

        spec, sounds = _spec(samples), samples.samples
        return Written(
            {"sounds": sounds[:, 0], "rate": np.array(spec.rate)},
            {
                ".wav": partial(_write, sounds, spec.rate, "wav"),
                ".flac": partial(_write, sounds, spec.rate, "flac"),
                ".png": lambda path: save_png(grid(spec.pictured(sounds)), path),
            },
            lambda folder: write_wavs(samples, spec.rate, folder, classes),
        )

    def shown(self, samples: Samples) -> Sequence[Shown]:
        from tasks.sounds import encode_sound

        spec = _spec(samples)
        seen = zip(samples.samples, spec.pictured(samples.samples), strict=True)
        return [Shown(picture, "its spectrogram", encode_sound(wave, spec.rate)) for wave, picture in seen]

    def answer(self, samples: Samples, classes: tuple[str, ...] | None) -> DataFrame:
        import base64

        import pandas as pd

        from tasks.sounds import encode_sound

        rate = _spec(samples).rate
        texts = [base64.b64encode(encode_sound(wave, rate)).decode() for wave in samples.samples]
        return with_labels(pd.DataFrame({"wav": texts}), samples, classes)

    def holds(self, spec: Sounds) -> Mapping[str, str]:
        from gan_core.spectrogram import DECIBELS

        least = f"{spec.top - DECIBELS:.10g}"
        values = f"log-mel spectrograms, the lowest of {spec.bands} bands first: -1 ({least} dB or less) to 1 ({spec.top:.10g} dB)"
        return {"values": f"{values}; `spectrogram` says of what sounds"}

    def facts(self, spec: Sounds) -> Mapping[str, Any]:
        from dataclasses import asdict

        from gan_core.spectrogram import DECIBELS

        return {"spectrogram": {**asdict(spec.spectrogram), "hop": spec.spectrogram.hop, "decibels": DECIBELS}}

    def answered(self, config: GeneratorConfig) -> Sequence[tuple[str, str]]:
        return [("string", "wav"), *label_column(config)]


def _spec(samples: Samples) -> Sounds:
    from gan_core.kinds.sounds import Sounds

    assert samples.data is not None, "a generator's sounds know their rate"  # noqa: S101
    return Sounds.of(samples.data)


def _write(sounds: NDArray[np.int16], rate: int, form: Literal["wav", "flac"], path: Path) -> None:
    """All of them, one after another."""
    from tasks.sounds import encode_sound, one_after_another

    path.write_bytes(encode_sound(one_after_another(sounds, rate), rate, form))
