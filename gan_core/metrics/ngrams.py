"""Sentences beside sentences, by their n-grams: how two sets differ, how much of one is found in another.

Sentences are tokens (N, T) of one vocabulary, as `gan_core.kinds.text` has them: 0 after the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gan_core.kinds.text import PADDING
from gan_core.metrics.bootstrap import Draws

ORDERS = (1, 2, 3, 4)
"""Of the n-grams that are looked at."""
COMMON = 1_000
"""N-grams of each order that are told apart, the most frequent of the training split; all others are one."""

Tokens = NDArray[np.int32]
"""(N, T)."""
Keys = NDArray[np.int64]


def ngrams(sentences: Tokens, order: int, words: int, ends: bool = False) -> tuple[NDArray[np.int64], Keys]:
    """The n-grams of sentences: which sentence each is in, ascending, and a number that only equal ones have.

    Args:
        order: how many words each has.
        words: of the vocabulary, with padding and the unknown word.
        ends: whether the beginning and the end of a sentence count as words.
    """
    n, length = sentences.shape
    base = words + 1
    if base**order > 2**62:
        raise ValueError(f"{words} words make too many {order}-grams to be numbered")
    padded, lengths = sentences.astype(np.int64), (sentences != PADDING).sum(axis=1)
    if ends:
        padded = np.concatenate([np.full((n, 1), words), padded, np.full((n, 1), PADDING)], axis=1)
        lengths, length = lengths + 2, length + 2
    if length < order:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    # A beginning alone is no unigram: every sentence has one.
    windows = np.lib.stride_tricks.sliding_window_view(padded, order, axis=1)[:, int(ends and order == 1) :]
    first = np.arange(windows.shape[1]) + int(ends and order == 1)
    whole = first[None, :] + order <= lengths[:, None]
    keys = windows @ (base ** np.arange(order, dtype=np.int64))
    return np.nonzero(whole)[0], keys[whole]


@dataclass(frozen=True)
class Common:
    """The most frequent n-grams of some sentences, of each order."""

    words: int
    keys: Sequence[Keys]
    """Ascending, of each order."""

    @classmethod
    def of(cls, sentences: Tokens, words: int, most: int = COMMON) -> Common:
        """Of equally frequent ones those that are numbered lower."""
        kept = []
        for order in ORDERS:
            keys, counts = np.unique(ngrams(sentences, order, words, ends=True)[1], return_counts=True)
            kept.append(np.sort(keys[np.argsort(-counts, kind="stable")[:most]]))
        return cls(words, kept)

    def counts(self, sentences: Tokens) -> list[sparse.csr_array]:
        """How often each sentence has each of them, and in the last column any other: (N, K + 1) for each order."""
        found = []
        for order, known in zip(ORDERS, self.keys, strict=True):
            owners, keys = ngrams(sentences, order, self.words, ends=True)
            place = np.searchsorted(known, keys)
            is_known = known[np.minimum(place, len(known) - 1)] == keys if len(known) else np.zeros(len(keys), dtype=bool)
            columns = np.where(is_known, place, len(known))
            shape = (len(sentences), len(known) + 1)
            found.append(sparse.coo_array((np.ones(len(keys)), (owners, columns)), shape=shape).tocsr())
        return found


class NgramDistance:
    """How far the n-grams of generated sentences are from those of real ones: the Jensen-Shannon divergence (Lin, 1991) between the two
    distributions over n-grams, in bits, 0 to 1; the mean over the orders 1 to 4.

    Told apart are the most frequent n-grams, all others count as one: over all that occur, nearly every 4-gram of a few thousand sentences
    is one of its own, and who draws little but frequent ones comes nearer to the real sentences than other real ones do.
    """

    def __init__(self, real: Tokens, generated: Tokens, common: Common) -> None:
        self._real, self._generated = common.counts(real), common.counts(generated)

    def of(self, real: NDArray[np.int64], generated: NDArray[np.int64]) -> float:
        """Of some of the real and of the generated sentences, by their indices, with repetitions."""
        sides = zip(self._real, self._generated, strict=True)
        return float(np.mean([_divergences(one[real].sum(axis=0), other[generated].sum(axis=0)) for one, other in sides]))

    def each(self) -> list[float]:
        """Of all sentences, for each order."""
        return [float(_divergences(one.sum(axis=0), other.sum(axis=0))) for one, other in zip(self._real, self._generated, strict=True)]

    def replicates(self, real: Draws, generated: Draws) -> NDArray[np.float64]:
        """Of what each replicate of a bootstrap takes of both: (B,)."""
        sides = zip(self._real, self._generated, strict=True)
        found = [_divergences(_drawn(one, real), _drawn(other, generated)) for one, other in sides]
        return np.asarray(np.mean(found, axis=0))


def _drawn(counts: sparse.csr_array, draws: Draws) -> NDArray[np.float64]:
    """(N, K) -> (B, K): the sums over what each replicate takes."""
    of_bags = np.stack([np.asarray(counts[members].sum(axis=0)) for members in draws.members])
    drawn: NDArray[np.float64] = draws.counts @ of_bags
    return drawn


def _divergences(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Between the distributions that counts (..., K) stand for, in bits: (...)."""
    shares = [counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1.0) for counts in (one, other)]
    middle = (shares[0] + shares[1]) / 2
    found: NDArray[np.float64] = _entropy(middle) - (_entropy(shares[0]) + _entropy(shares[1])) / 2
    return np.asarray(np.maximum(found, 0.0))


def _entropy(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    entropy: NDArray[np.float64] = -np.where(shares > 0, shares * np.log2(np.where(shares > 0, shares, 1.0)), 0.0).sum(axis=-1)
    return entropy


class Bleu:
    """BLEU-4 (Papineni et al., 2002) of sentences as a corpus, each of which has the same references, all of them: 0 to 1.

    Libraries count the references of each sentence anew, which for a thousand of each takes half a minute (sacrebleu 2.6: 1.3 s for 200);
    counted once for all, it is a moment (7 ms). The numbers are theirs.
    """

    def __init__(self, sentences: Tokens, references: Tokens, words: int) -> None:
        self._lengths, self._of_references = ((side != PADDING).sum(axis=1) for side in (sentences, references))
        self._counted = [_Counted.of(sentences, references, order, words) for order in ORDERS]

    def of(self, references: NDArray[np.int64] | None = None, sentences: NDArray[np.int64] | None = None) -> float:
        """Of all sentences, or some by their indices, with repetitions; with all references, or some."""
        among = np.arange(len(self._of_references)) if references is None else np.unique(references)
        chosen = np.arange(len(self._lengths)) if sentences is None else sentences
        matches = [one.matches(among)[chosen].sum() for one in self._counted]
        return self._score(matches, chosen, self._of_references[among])

    def of_itself(self) -> float:
        """Where the references are the sentences: each beside all others (self-BLEU: Zhu et al., 2018)."""
        everyone = np.arange(len(self._lengths))
        return self._score([one.matches_of_others().sum() for one in self._counted], everyone, self._of_references)

    def _score(self, matches: Sequence[float], chosen: NDArray[np.int64], of_references: NDArray[np.int64]) -> float:
        lengths = self._lengths[chosen]
        possible = [float(np.maximum(lengths - order + 1, 0).sum()) for order in ORDERS]
        if not all(matches) or not all(possible):
            return 0.0
        logs = [math.log(found / all_of_them) for found, all_of_them in zip(matches, possible, strict=True)]
        # The shorter of two references that are equally near in length.
        known = np.unique(of_references)
        nearest = known[np.abs(known[None, :] - lengths[:, None]).argmin(axis=1)]
        return math.exp(min(0.0, 1 - float(nearest.sum()) / float(lengths.sum())) + sum(logs) / len(ORDERS))


@dataclass(frozen=True)
class _Counted:
    """How often sentences and references have the n-grams of one order."""

    sentences: sparse.csr_array
    """(N, K)."""
    references: sparse.csr_array
    """(M, K)."""

    @classmethod
    def of(cls, sentences: Tokens, references: Tokens, order: int, words: int) -> _Counted:
        (owners, keys), (others, known) = (ngrams(side, order, words) for side in (sentences, references))
        kept, columns = np.unique(known, return_inverse=True)
        place = np.searchsorted(kept, keys)
        is_known = kept[np.minimum(place, len(kept) - 1)] == keys if len(kept) else np.zeros(len(keys), dtype=bool)
        of_sentences = (np.ones(is_known.sum()), (owners[is_known], place[is_known]))
        return cls(
            sparse.coo_array(of_sentences, shape=(len(sentences), len(kept))).tocsr(),
            sparse.coo_array((np.ones(len(known)), (others, columns)), shape=(len(references), len(kept))).tocsr(),
        )

    def matches(self, among: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of each sentence, how many of its n-grams one of these references has, each at most as often as that one: (N,)."""
        if not len(among) or not self.references.shape[1]:
            return np.zeros(self.sentences.shape[0])
        most = self.references[among].max(axis=0).toarray().ravel()
        return _clipped(self.sentences, most[self.sentences.indices])

    def matches_of_others(self) -> NDArray[np.float64]:
        """The same where the references are the sentences, and none is its own."""
        by_ngram = self.sentences.tocsc()
        if not by_ngram.nnz:
            return np.zeros(self.sentences.shape[0])
        # Of each n-gram the two sentences that have it most often.
        order = np.lexsort((-by_ngram.data, np.repeat(np.arange(by_ngram.shape[1]), np.diff(by_ngram.indptr))))
        first = by_ngram.indptr[:-1]
        most, whose = by_ngram.data[order][first], by_ngram.indices[order][first]
        second = np.where(np.diff(by_ngram.indptr) > 1, by_ngram.data[order][np.minimum(first + 1, len(order) - 1)], 0.0)
        owners = np.repeat(np.arange(self.sentences.shape[0]), np.diff(self.sentences.indptr))
        columns = self.sentences.indices
        return _clipped(self.sentences, np.where(whose[columns] == owners, second[columns], most[columns]))


def _clipped(counts: sparse.csr_array, most: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum over each row of its entries, each at most as large as that of `most` (nnz,): (N,)."""
    owners = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    return np.bincount(owners, np.minimum(counts.data, most), minlength=counts.shape[0]).astype(np.float64)


def near_copies(sentences: Tokens, others: Tokens) -> NDArray[np.int64]:
    """Of each sentence, the first of `others` that it is equal to, or else equal to but for one word, added, left out or another: (N,).

    -1 where there is none. Below four words only equal ones count.
    """
    known: dict[tuple[int, bytes], int] = {}
    for number, row in enumerate(others):
        whole, gaps = _forms(row)
        for place, form in [(_WHOLE, whole), *((_SHORTER, gap) for gap in gaps), *enumerate(gaps)]:
            known.setdefault((place, form), number)
    found = np.full(len(sentences), -1, dtype=np.int64)
    for number, row in enumerate(sentences):
        whole, gaps = _forms(row)
        asked = [(_WHOLE, whole), (_SHORTER, whole), *((_WHOLE, gap) for gap in gaps), *enumerate(gaps)]
        found[number] = next((known[one] for one in asked if one in known), -1)
    return found


_WHOLE, _SHORTER = -1, -2  # apart from the places of a word
_FEWEST = 4


def _forms(row: NDArray[np.int32]) -> tuple[bytes, list[bytes]]:
    """A sentence (T,), and it without each of its words, where it has enough of them."""
    text = row[row != PADDING].astype(np.int32)
    return text.tobytes(), [np.delete(text, place).tobytes() for place in range(len(text))] if len(text) >= _FEWEST else []
