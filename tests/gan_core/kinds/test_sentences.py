"""Sentences: apart and together again, as networks see them, from one vocabulary to another; what a generator draws and learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gan_core.kinds.sentences import Sentences
from gan_core.kinds.spelling import joined, pieces
from gan_core.kinds.text import PADDING, UNKNOWN
from gan_core.networks.sequence import SequenceDiscriminator, SequenceGenerator
from gan_core.params.networks import SequenceDiscriminatorParams, SequenceGeneratorParams

TEXTS = ["a red house.", "a blue house and a cat!", "a cat near a house.", "the man's well-known dog, 3.5 kg."]
LENGTH = 10


@pytest.fixture
def spec(tmp_path: Path) -> Sentences:
    return Sentences.pack(tmp_path, {"train": TEXTS, "holdout": ["a green cat."]}, LENGTH, 20)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The man's well-known dog, 3.5 kg.", ["the", "man's", "well-known", "dog", ",", "3.5", "kg", "."]),
        ("a man 's hat", ["a", "man", "'s", "hat"]),
        ("(wait) 50% off!!", ["(", "wait", ")", "50", "%", "off", "!", "!"]),
        ("Cafe\u0301 \u00e0  la\tcarte", ["caf\u00e9", "\u00e0", "la", "carte"]),
        ("\u0939\u093f\u0928\u094d\u0926\u0940 \u0939\u0948", ["\u0939\u093f\u0928\u094d\u0926\u0940", "\u0939\u0948"]),
        ("snake_case", ["snake", "_", "case"]),
        ("\u6211\u559c\u6b22\u732b\u3002 OK\uff1f", ["\u6211", "\u559c", "\u6b22", "\u732b", "\u3002", "ok", "\uff1f"]),  # Chinese
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"]),  # one word of Persian
        ("\ufeffdo\u00adnau\u200bmond", ["donau", "mond"]),  # what nobody sees
        (
            "\u2764\ufe0f \U0001f468\u200d\U0001f469\U0001f44d\U0001f3fd\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7",
            ["\u2764\ufe0f", "\U0001f468\u200d\U0001f469", "\U0001f44d\U0001f3fd", "\U0001f1e9\U0001f1ea", "\U0001f1eb\U0001f1f7"],
        ),
        ("  ", []),
    ],
)
def test_a_sentence_falls_into_words_and_marks(text: str, found: list[str]) -> None:
    assert pieces(text) == found


def test_what_was_taken_apart_is_put_together() -> None:
    assert [joined(pieces(text)) for text in TEXTS] == TEXTS
    for text in (
        'he said "go!", "now" and left.', "the dogs' bowl and/or 'n' x", "\u201cyes,\u201d he said.",
        "\u00aboui\u00bb, dit-il.", "\u00bbja\u00ab und \u201eja\u201c, dann.",
        "\u79c1\u306f\u732b\u304c\u597d\u304d\u3001\u3067\u3059\u3002",
        "\u0645\u0631\u062d\u0628\u0627\u060c \u0643\u064a\u0641\u061f",
    ):  # fmt: skip
        assert joined(pieces(text)) == text
    assert joined(["$", "5", "(", "a", "bit", ")", "!"]) == "$5 (a bit)!"


def test_rare_words_are_unknown_and_the_vocabulary_is_of_the_training_split(tmp_path: Path) -> None:
    found = Sentences.pack(tmp_path, {"train": TEXTS, "holdout": ["a green cat."]}, LENGTH, 4)
    assert found.vocabulary == ("a", ".", "house", "cat")
    held_out = np.load(tmp_path / "holdout.npy")
    assert held_out.tolist() == [[2, UNKNOWN, 5, 3, *[PADDING] * 6]]
    assert found.texts(held_out) == ["a _ cat."]


def test_samples_come_back_from_what_networks_see(spec: Sentences, tmp_path: Path) -> None:
    tokens = torch.from_numpy(np.load(tmp_path / "train.npy"))
    seen = spec.to_networks(tokens)
    assert seen.shape == (4, *spec.network_shape)
    assert (seen.sum(dim=-1) == 1).all()
    assert torch.equal(spec.to_samples(seen), tokens)
    assert spec.texts(tokens.numpy()) == TEXTS


def test_sentences_of_another_vocabulary_keep_their_words(spec: Sentences, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Sentences.pack(tmp_path / "other", {"train": ["dog house a cat.", "a yellow house."], "holdout": TEXTS}, LENGTH, 20)
    tokens = np.load(tmp_path / "other" / "train.npy")
    assert spec.texts(spec.encoded(other, tokens)) == ["dog house a cat.", "a _ house."]
    assert not spec.stands_beside(other)


def generator(spec: Sentences, **options: float) -> SequenceGenerator:
    torch.manual_seed(0)
    made = SequenceGenerator(SequenceGeneratorParams.model_validate({"width": 12, "embedding": 6, **options}), spec, LENGTH)
    with torch.no_grad():
        made.likely.weight.normal_()
    return made


def test_a_generator_draws_words_by_their_probability_and_nothing_behind_the_end(spec: Sentences) -> None:
    network = generator(spec).eval()
    made = network(torch.randn(4_000, LENGTH))
    tokens = spec.to_samples(made)
    ended = (tokens == PADDING).cumsum(dim=1) > 0
    assert torch.equal(ended, tokens == PADDING)
    assert not (tokens == UNKNOWN).any()
    with torch.no_grad():
        logits = network.logits(tokens[:1].long(), (torch.tensor([0]), torch.tensor([0])))[0]
    logits[UNKNOWN] = -torch.inf
    expected = logits.softmax(dim=0)
    assert expected[PADDING] == 0
    shares = torch.bincount(tokens[:, 0].long(), minlength=len(expected)) / len(tokens)
    assert (shares - expected).abs().max() < 4 * (0.25 / 4_000) ** 0.5
    # The middle of the latents is the likeliest word.
    assert spec.to_samples(network(torch.zeros(1, LENGTH)))[0, 0] == expected.argmax()


def test_in_training_the_forward_pass_is_a_choice_and_the_gradient_that_of_the_probabilities(spec: Sentences) -> None:
    network = generator(spec).train()
    made = network(torch.randn(64, LENGTH, generator=torch.Generator().manual_seed(3)))
    tokens = spec.to_samples(made.detach())
    assert torch.equal(made.detach(), spec.to_networks(tokens))
    worth = torch.randn(spec.network_shape)
    (made * worth).sum().backward()
    found = network.likely.weight.grad
    network.zero_grad()
    until_end = torch.cat([torch.ones(64, 1), (tokens[:, :-1] != PADDING).float()], dim=1).nonzero(as_tuple=True)
    (network.logits(tokens.long(), until_end).softmax(dim=-1) * worth[until_end[1]]).sum().backward()
    torch.testing.assert_close(found, network.likely.weight.grad)


def test_cross_entropy_is_of_the_words_and_the_end_alone(spec: Sentences, tmp_path: Path) -> None:
    network = generator(spec, dropout=0.0)
    tokens = torch.from_numpy(np.load(tmp_path / "train.npy")).long()
    everywhere = torch.ones_like(tokens).nonzero(as_tuple=True)
    logits = network.logits(tokens, everywhere).log_softmax(dim=-1).view(4, LENGTH, -1)
    lengths = (tokens != PADDING).sum(dim=1)
    each = [-logits[row, place, tokens[row, place]] for row in range(4) for place in range(min(int(lengths[row]) + 1, LENGTH))]
    torch.testing.assert_close(network.cross_entropy(spec.to_networks(tokens)), torch.stack(each).mean())


def test_a_discriminator_judges_order(spec: Sentences, tmp_path: Path) -> None:
    torch.manual_seed(0)
    judge = SequenceDiscriminator(SequenceDiscriminatorParams(width=8, embedding=6), spec)
    tokens = torch.from_numpy(np.load(tmp_path / "train.npy"))
    seen = spec.to_networks(tokens).requires_grad_()
    logits = judge(seen)
    assert logits.shape == (4,)
    logits.sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in judge.parameters())
    assert not torch.allclose(judge(spec.to_networks(tokens[:, [1, 0, *range(2, LENGTH)]])), logits)
