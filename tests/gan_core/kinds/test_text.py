"""Words, vocabulary and tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from gan_core.data.batches import Batches
from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError, DataError
from gan_core.kinds.spelling import words
from gan_core.kinds.text import MAX_WORDS, PADDING, UNKNOWN, Vocabulary, check_prompts

Make = Callable[..., Dataset]


def test_words_are_runs_of_letters_and_digits_in_lower_case() -> None:
    assert words("Man: medium-dark skin_tone, 2 hearts!") == ["man", "medium", "dark", "skin", "tone", "2", "hearts"]
    assert words("“vacancy” 東京 Ünder") == ["vacancy", "東", "京", "ünder"]
    # One word however its accents are stored.
    assert words("cafe\u0301") == words("caf\u00e9") == ["caf\u00e9"]
    assert words("#*: …") == []


def test_a_vocabulary_is_ordered_by_frequency_then_alphabet() -> None:
    known = Vocabulary.of(["red heart", "Red, car", "blue heart", "red"])
    assert known.words == ("red", "heart", "blue", "car")
    assert len(known) == 6
    assert Vocabulary.of(["red"] * 3 + ["blue heart", "car heart"]).words == ("red", "heart", "blue", "car")


def test_tokens_are_padded_and_cut_and_unknown_words_share_one() -> None:
    known = Vocabulary(["red", "heart"])
    assert known.encode(["heart red", "red", "green heart"]).tolist() == [[3, 2], [2, PADDING], [UNKNOWN, 3]]
    assert known.encode(["red heart red", "red"], length=2).tolist() == [[2, 3], [2, PADDING]]
    assert known.encode(["red " * 100]).shape == (1, MAX_WORDS)
    assert known.encode([":"]).tolist() == [[PADDING]]
    assert known.unknown(["green red", "big green heart"]) == ("green", "big")


def test_what_is_no_prompt_is_refused() -> None:
    check_prompts(["red heart", "x " * MAX_WORDS])
    for prompt, message in (("", "no words"), (" ?! ", "no words"), ("a" * 1_001, "1,001 characters"), ("x " * 65, "65 words")):
        with pytest.raises(ConfigError, match=message):
            check_prompts(["red heart", prompt])


def test_a_batch_has_one_of_each_images_own_captions_and_in_time_all_of_them(captioned: Make) -> None:
    dataset = captioned()
    batches = Batches(dataset, 3, torch.device("cpu"))
    captions = dataset.captions["train"]
    seen: set[tuple[int, tuple[int, ...]]] = set()
    for start in range(0, 48 * 12, 48):
        batch = batches.after(start, 48)
        assert batch.tokens is not None
        for image, tokens in zip(batches.order.indices(start, 48), batch.tokens.tolist(), strict=True):
            allowed = captions.tokens[captions.samples == image].tolist()
            assert tokens in allowed
            seen.add((int(image), tuple(tokens)))
    assert len(seen) == len(captions.texts) == 72
    again = Batches(dataset, 3, torch.device("cpu")).after(96, 48)
    assert torch.equal(again.tokens, batches.after(96, 48).tokens)  # type: ignore[arg-type]
    assert not torch.equal(again.tokens, Batches(dataset, 4, torch.device("cpu")).after(96, 48).tokens)  # type: ignore[arg-type]


def test_damaged_captions_are_refused(captioned: Make, tmp_path: Path) -> None:
    captioned()
    folder = tmp_path / "captioned"
    for text, message in (("[", "cannot be read"), ('["one"]', "holds 1 captions")):
        (folder / "holdout_captions.json").write_text(text)
        with pytest.raises(DataError, match=message):
            Dataset.open(folder)
    (folder / "holdout_captions.json").unlink()
    with pytest.raises(DataError, match=r"holdout_captions\.json: cannot be read"):
        Dataset.open(folder)


def test_some_captions_of_many(captioned: Make) -> None:
    captions = captioned().captions["train"]
    some = captions.take(np.array([1, 5, 6]))
    assert some.texts == (captions.texts[1], captions.texts[5], captions.texts[6])
    assert some.samples.tolist() == captions.samples[[1, 5, 6]].tolist()
    assert np.array_equal(some.tokens, captions.tokens[[1, 5, 6]])
