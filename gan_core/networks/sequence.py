"""Sentences: a recurrent generator that draws word after word, and a discriminator of convolutions along the sentence.

A latent is a number for each place: it chooses the word there among those that may follow what stands before. So a sentence is a function
of its latent, and drawing is that of a language model. No gradient passes a choice. In training it goes straight through (Bengio et al.,
2013): forward the word that was chosen, backward the probabilities of all. To a discriminator that is smooth, that is the change of its
logit to first order for each word that might stand there instead, weighted by the probability of that word.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_core.data.dataset import DatasetSpec
from gan_core.kinds.text import PADDING, UNKNOWN
from gan_core.networks.common import Dropout, ProjectionHead, WordEmbedding, embedding_of
from gan_core.networks.linear import Linear, linear
from gan_core.params.networks import SequenceDiscriminatorParams, SequenceGeneratorParams

WIDTH = 256
"""Units of a generator's recurrent layer."""
CHANNELS = 128
"""Of a discriminator's convolutions."""

_LISTED = 64  # words that are put in order of their probability; to order all takes four times as long as all the rest


class SequenceGenerator(nn.Module):
    """Latents (N, T) and labels (N,) -> one-hot sentences (N, T, V), no word behind the end.

    Not in training it draws no unknown word, and takes words by their probability, the 64 likeliest first: a latent's coordinate is how far
    down the list it goes, so to bound latents is to draw from the likeliest words alone (nucleus sampling, Holtzman et al., 2020).
    """

    def __init__(self, params: SequenceGeneratorParams, data: DatasetSpec, latent: int) -> None:
        super().__init__()
        self.length, self.words = data.network_shape
        self.width = params.width or WIDTH
        self.embedding = WordEmbedding(self.words, params.embedding)
        self.label = embedding_of(data.condition, self.width)
        self.start = nn.Parameter(torch.zeros(params.embedding))
        self.gates = Linear(params.embedding, 3 * self.width)
        self.recurrent = Linear(self.width, 3 * self.width)
        self.to_word = Linear(self.width, params.embedding)
        self.likely = WordEmbedding(self.words, 1)
        self.drop = Dropout(params.dropout)
        nn.init.normal_(self.embedding.weight, 0.0, 1 / math.sqrt(params.embedding))
        nn.init.zeros_(self.likely.weight)
        nn.init.orthogonal_(self.recurrent.weight)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        with torch.autocast(latents.device.type, enabled=False):
            with torch.no_grad():
                tokens, _ = self.drawn(latents.float(), labels)
                chosen = torch.zeros(*tokens.shape, self.words, device=tokens.device).scatter_(-1, tokens[..., None], 1.0)
            if not self.training:
                return chosen
            places = _until_end(tokens)
            probabilities = self.logits(tokens, places, labels).softmax(dim=-1)
            # Nothing is added but a gradient.
            return chosen.index_put(places, probabilities - probabilities.detach(), accumulate=True)

    def cross_entropy(self, sentences: Tensor, labels: Tensor | None = None) -> Tensor:
        """Of the words of one-hot sentences (N, T, V) and their end, each knowing those before it: nats a word, a scalar."""
        tokens = sentences.argmax(dim=-1)
        with torch.autocast(sentences.device.type, enabled=False):
            places = _until_end(tokens)
            return F.cross_entropy(self.logits(tokens, places, labels, learns=True), tokens[places])

    def logits(self, tokens: Tensor, places: tuple[Tensor, Tensor], labels: Tensor | None = None, learns: bool = False) -> Tensor:
        """Of each word at K places of sentences (N, T), knowing those before it: (K, V).

        Args:
            places: which sentence and where in it, (K,) each.
        """
        n, length = tokens.shape
        before = torch.cat([self.start.expand(n, 1, -1), self.embedding(tokens[:, :-1])], dim=1)
        if learns:
            before = self.drop(before)
        gates = self.gates(before.flatten(0, 1)).view(n, length, -1)
        state, states = self._begin(n, labels), list[Tensor]()
        for place in range(length):
            state = self._step(gates[:, place], state)
            states.append(state)
        hidden = torch.stack(states, dim=1)[places]
        logits = self._of_words(self.drop(hidden) if learns else hidden)
        # A sentence has a first word.
        logits[:, PADDING] = logits[:, PADDING].masked_fill(places[1] == 0, -torch.inf)
        return logits

    def drawn(self, latents: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Tokens int64 (N, T) for latents float32 (N, T), and how probable each was behind those before it (0 behind the end)."""
        down = torch.special.erf(latents.abs() / math.sqrt(2))  # uniform in 0..1
        n = latents.shape[0]  # len() would bind an exported graph to the batch of the trace
        state, seen = self._begin(n, labels), self.start.expand(n, -1)
        goes_on = torch.ones(n, dtype=torch.bool, device=latents.device)
        tokens, reached = list[Tensor](), list[Tensor]()
        for place in range(self.length):
            state = self._step(self.gates(seen), state)
            logits = self._of_words(state)
            if not place:
                logits[:, PADDING] = -torch.inf
            if not self.training:
                logits[:, UNKNOWN] = -torch.inf
            probabilities = logits.softmax(dim=-1)
            token = self._chosen(probabilities, down[:, place]) * goes_on
            tokens.append(token)
            reached.append(probabilities.gather(1, token[:, None])[:, 0] * goes_on)
            goes_on = token != PADDING
            seen = self.embedding(token)
        return torch.stack(tokens, dim=1), torch.stack(reached, dim=1)

    def _chosen(self, probabilities: Tensor, down: Tensor) -> Tensor:
        """The word that lies so far (N,) down the list of those with probabilities (N, V): (N,)."""
        if self.training:  # in whatever order, the distribution is the same
            return _place(probabilities, down)
        likeliest, words = probabilities.topk(min(_LISTED, self.words), dim=-1)
        all_of_them = likeliest.sum(dim=-1)
        among_them = words.gather(1, _place(likeliest, down)[:, None])[:, 0]
        others = _place(probabilities.scatter(1, words, 0.0), down - all_of_them)
        return torch.where(down < all_of_them, among_them, others)

    def _begin(self, n: int, labels: Tensor | None) -> Tensor:
        if self.label is None:
            return self.start.new_zeros(n, self.width)
        assert labels is not None, "a conditional generator needs labels"  # noqa: S101
        state: Tensor = self.label(labels).tanh()
        return state

    def _step(self, gates: Tensor, state: Tensor) -> Tensor:
        """The next state of a gated recurrent unit: (N, 3 H), (N, H) -> (N, H)."""
        reset, update, new = gates.chunk(3, dim=1)
        reset_by_state, update_by_state, new_by_state = self.recurrent(state).chunk(3, dim=1)
        update = (update + update_by_state).sigmoid()
        new = (new + (reset + reset_by_state).sigmoid() * new_by_state).tanh()
        return torch.lerp(new, state, update)

    def _of_words(self, hidden: Tensor) -> Tensor:
        """Logits (K, V) of states (K, H), by the embeddings that words have as input, too (Press and Wolf, 2017)."""
        asked = self.to_word(hidden)
        return linear(asked, self.embedding.weight, self.likely.weight[:, 0])


class SequenceDiscriminator(nn.Module):
    """One-hot sentences (N, T, V), or what lies between some, and labels (N,) -> logits (N,)."""

    def __init__(self, params: SequenceDiscriminatorParams, data: DatasetSpec) -> None:
        super().__init__()
        width = params.width or CHANNELS
        self.embedding = WordEmbedding(data.network_shape[1], params.embedding)
        layers: list[nn.Module] = []
        channels = params.embedding
        for level in range(params.levels):
            layers += [nn.Conv1d(channels, width, 3, padding=2**level, dilation=2**level), nn.LeakyReLU(0.2)]
            if params.dropout:
                layers.append(Dropout(params.dropout))
            channels = width
        self.layers = nn.Sequential(*layers)
        self.head = ProjectionHead(2 * width, data.condition, params.batch_distance)

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        embedded = linear(samples.flatten(0, 1), self.embedding.weight.T).view(*samples.shape[:2], -1)
        found = self.layers(embedded.transpose(1, 2))
        logits: Tensor = self.head(torch.cat([found.mean(dim=2), found.amax(dim=2)], dim=1), labels)
        return logits


def _until_end(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """The places of sentences (N, T) that hold a word, or the end: which sentence, and where in it, (K,) each."""
    is_word = tokens != PADDING
    sentence, place = torch.cat([torch.ones_like(is_word[:, :1]), is_word[:, :-1]], dim=1).nonzero(as_tuple=True)
    return sentence, place


def _place(probabilities: Tensor, down: Tensor) -> Tensor:
    """The place among (N, V) where their sum passes `down` (N,): (N,)."""
    return (probabilities.cumsum(dim=-1) <= down[:, None]).sum(dim=-1).clamp(max=probabilities.shape[-1] - 1)
