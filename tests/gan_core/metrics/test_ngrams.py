"""n-grams: against counts by hand, and a library's BLEU."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import sacrebleu
from sacrebleu.metrics.bleu import BLEU

from gan_core.metrics.bootstrap import Draws
from gan_core.metrics.ngrams import ORDERS, Bleu, Common, NgramDistance, near_copies, ngrams

WORDS = 30


def sentences(count: int, seed: int, common: int = WORDS, length: int = 9) -> np.ndarray:
    """Tokens from 2 on, lower ones more often, of 1 to `length` words."""
    random = np.random.default_rng(seed)
    tokens = (2 + random.geometric(0.2, (count, length)) % (common - 2)).astype(np.int32)
    return np.where(np.arange(length) < random.integers(1, length + 1, count)[:, None], tokens, 0).astype(np.int32)


def text(row: np.ndarray) -> list[str]:
    return [f"w{token}" for token in row if token]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("ends", [False, True])
def test_ngrams_are_those_that_a_plain_loop_finds(order: int, ends: bool) -> None:
    some = sentences(20, 0)
    owners, keys = ngrams(some, order, WORDS, ends)
    expected = []
    for number, row in enumerate(some):
        words = [*(["<"] if ends and order > 1 else []), *text(row), *([">"] if ends else [])]
        expected += [(number, tuple(words[at : at + order])) for at in range(len(words) - order + 1)]
    assert owners.tolist() == [number for number, _ in expected]
    names = {}
    assert all(names.setdefault(key, gram) == gram for key, (_, gram) in zip(keys.tolist(), expected, strict=True))
    assert len(names) == len({gram for _, gram in expected})


def test_more_words_than_can_be_numbered_are_refused() -> None:
    with pytest.raises(ValueError, match="too many 4-grams"):
        ngrams(sentences(2, 0), 4, 100_000)


def test_the_divergence_is_that_of_the_counts() -> None:
    train, real, generated = sentences(80, 0), sentences(30, 1), sentences(40, 2)
    common = Common.of(train, WORDS, most=12)
    found = NgramDistance(real, generated, common).each()
    for order, value in zip(ORDERS, found, strict=True):
        kept = {
            key for key, _ in sorted(Counter(ngrams(train, order, WORDS, True)[1].tolist()).items(), key=lambda one: (-one[1], one[0]))[:12]
        }
        sides = []
        for side in (real, generated):
            counts = Counter(key if key in kept else None for key in ngrams(side, order, WORDS, True)[1].tolist())
            sides.append({key: count / counts.total() for key, count in counts.items()})
        by_hand = 0.0
        for key in {*sides[0], *sides[1]}:
            one, other = sides[0].get(key, 0.0), sides[1].get(key, 0.0)
            by_hand += sum(p * np.log2(2 * p / (one + other)) for p in (one, other) if p) / 2
        assert value == pytest.approx(by_hand, abs=1e-12)


def test_a_replicate_is_the_distance_of_what_it_takes_of_both_sides() -> None:
    real, generated = sentences(30, 1), sentences(40, 2)
    distance = NgramDistance(real, generated, Common.of(sentences(80, 0), WORDS, most=12))
    of_real, of_generated = Draws(30, 5, 3), Draws(40, 5, 4)
    found = distance.replicates(of_real, of_generated)
    by_one = [distance.of(of_real.indices(number), of_generated.indices(number)) for number in range(5)]
    np.testing.assert_allclose(found, by_one, atol=1e-12)


def test_who_draws_frequent_phrases_alone_comes_no_nearer_than_real_sentences() -> None:
    """As over all n-grams it would, where nearly every one is its own."""
    train, real, others = (sentences(600, seed, 200) for seed in (0, 1, 2))
    usual = others[np.argsort(others.sum(axis=1) / np.maximum((others > 0).sum(axis=1), 1))[:300]].repeat(2, axis=0)
    common = Common.of(train, 200)
    everyone = np.arange(600), np.arange(600)
    assert NgramDistance(real, others, common).of(*everyone) < NgramDistance(real, usual, common).of(*everyone)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bleu_is_that_of_sacrebleu(seed: int) -> None:
    some, references = sentences(12, seed), sentences(15, seed + 10)
    found = Bleu(some, references, WORDS)
    streams = [[" ".join(text(row))] * len(some) for row in references]
    written = [" ".join(text(row)) for row in some]
    expected = sacrebleu.corpus_bleu(written, streams, smooth_method="none", tokenize="none", force=True)
    assert found.of() == pytest.approx(expected.score / 100, abs=1e-9)
    few = np.array([0, 3, 3, 7])
    expected = sacrebleu.corpus_bleu(
        [written[i] for i in few], [[one[0]] * 4 for one in streams[:6]], smooth_method="none", tokenize="none", force=True
    )
    assert found.of(np.array([5, 0, 1, 2, 3, 4, 4]), few) == pytest.approx(expected.score / 100, abs=1e-9)


def test_self_bleu_is_that_of_sacrebleu_with_the_others_as_references() -> None:
    some = sentences(10, 4)
    written = [" ".join(text(row)) for row in some]
    others = [[other for number, other in enumerate(written) if number != own] for own in range(len(written))]
    expected = BLEU(smooth_method="none", tokenize="none", force=True).corpus_score(written, [list(of) for of in zip(*others, strict=True)])
    # The lengths of references are those of all, which makes no difference where each length is there twice or the own one counts as right.
    assert Bleu(some, some, WORDS).of_itself() == pytest.approx(expected.score / 100 / expected.bp, abs=1e-9)


def test_near_copies_differ_by_one_word_at_most() -> None:
    known = np.array([[2, 3, 4, 5, 6, 0], [7, 8, 9, 2, 0, 0], [2, 3, 0, 0, 0, 0]], dtype=np.int32)
    cases = {
        (2, 3, 4, 5, 6, 0): 0,  # whole
        (2, 3, 9, 5, 6, 0): 0,  # another word
        (2, 3, 4, 6, 0, 0): 0,  # one less
        (7, 8, 4, 9, 2, 0): 1,  # one more
        (3, 2, 4, 5, 6, 0): -1,  # two exchanged
        (8, 9, 2, 7, 0, 0): -1,  # one moved
        (2, 3, 0, 0, 0, 0): 2,
        (2, 4, 0, 0, 0, 0): -1,  # few words, of which one differs
    }
    assert near_copies(np.array([*cases], dtype=np.int32), known).tolist() == [*cases.values()]
