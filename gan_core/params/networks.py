"""What each family of networks can be told: a class a family and player, with only the settings that it looks at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError

from gan_core.named import Named
from gan_core.params.common import OneOf, PositiveInt, Sides, Strict, misfit_of_halvings, misfit_of_multiple

Widths = Annotated[tuple[PositiveInt, ...], Field(strict=False, min_length=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Components = Annotated[int, Field(ge=2, le=10_000)]

_USUAL = {
    **{"images": "dcgan", "points": "mlp", "sounds": "dcgan", "volumes": "dcgan", "clips": "dcgan"},
    "sentences": "sequence",
}
"""What `auto` stands for, by kind of data."""
CONVOLVED = ("images", "sounds", "volumes", "clips")
"""The data that convolutional networks take, of one, two or three dimensions by the same code."""


class NetworkParams(Strict):
    """A player's network. With the specification of the data, and the length of a generator's latents, it is all that a network is built
    from: weights fit every network of equal parameters."""

    module: ClassVar[str | type]
    """What is built, as module:class or the class itself. It is called as `generator(params, data, latent)`, or
    `discriminator(params, data)`."""
    kinds: ClassVar[tuple[str, ...]]
    """The data that it draws or judges."""

    halves: ClassVar[bool] = False
    """Whether it takes only samples whose side can be halved down to 4 to 7 pixels."""
    draws_each_place: ClassVar[bool] = False
    """Whether a generator's latents are a number for each place of a sample, so that nobody chooses how many."""
    has_likelihood: ClassVar[bool] = False
    """Whether a generator says how likely real samples are, by `cross_entropy(samples, labels)`, and can learn by that."""

    network: str

    @property
    def looks_at_batch(self) -> bool:
        """Whether what a discriminator says of a sample depends on the others in its batch."""
        return False

    def settled(self, kind: str, loss: str) -> NetworkParams:
        """The parameters with nothing left open, for data of a kind and a game's loss.

        Raises:
            ValueError: they do not fit the data; begins with the key.
        """
        if kind not in self.kinds:
            use = _USUAL.get(kind, "one that takes it")
            raise ValueError(f"network: {self.network} draws {' or '.join(self.kinds)}, and the source has {kind}; use {use}")
        return self


class MlpGeneratorParams(NetworkParams):
    """Dense layers."""

    module = "gan_core.networks.mlp:MlpGenerator"
    kinds = ("images", "points", "sounds")

    network: Literal["mlp"] = "mlp"
    widths: Widths | None = None
    """Hidden units layer by layer. None: 256-512-1024 for images, 128-128 for points."""
    normalization: Literal["none", "batch", "spectral"] | None = None
    """None: batch for images, whose pixels hardly depend on the latent without it when training begins; none for points and sounds."""
    components: Components | None = None
    """Of a mixture of Gaussians that the latent is drawn from, for data that lies in separate pieces (DeLiGAN: Gurumurthy et al., 2017)."""

    def settled(self, kind: str, loss: str) -> NetworkParams:
        super().settled(kind, loss)
        # A stored generator's `null` stays what it was, none: what is stored is settled already, and only read again.
        return self.model_copy(update={"normalization": "batch"}) if kind == "images" and self.normalization is None else self


class MlpDiscriminatorParams(NetworkParams):
    """Dense layers."""

    module = "gan_core.networks.mlp:MlpDiscriminator"
    kinds = ("images", "points", "sounds")

    network: Literal["mlp"] = "mlp"
    widths: Widths | None = None
    """Hidden units layer by layer. None: 1024-512-256 for images, 128-128 for points."""
    normalization: Literal["none", "batch", "spectral"] | None = None
    dropout: Dropout = 0.0

    @property
    def looks_at_batch(self) -> bool:
        return self.normalization == "batch"


class DcganGeneratorParams(NetworkParams):
    """Transposed convolutions (DCGAN, Radford et al., 2016)."""

    module = "gan_core.networks.dcgan:DcganGenerator"
    kinds = CONVOLVED
    halves = True

    network: Literal["dcgan"] = "dcgan"
    width: PositiveInt | None = None
    """Channels beside the sample; each halving of the side doubles them. None: 64."""
    widths: Widths | None = None
    """Channels from the dense layer to the last doubling but one, instead of `width`."""
    normalization: Literal["none", "batch", "spectral"] | None = None
    """None: batch."""


class _ConvolutionalDiscriminatorParams(NetworkParams):
    kinds: ClassVar[tuple[str, ...]] = CONVOLVED
    halves = True

    normalization: Literal["none", "batch", "spectral"] | None = None
    """None: spectral with the hinge loss, none otherwise."""
    dropout: Dropout = 0.0
    batch_distance: bool = False
    """It also sees how far each sample is from the others of its label in the batch, so that a generator that draws the same for a label
    again and again is found out (minibatch discrimination: Salimans et al., 2016)."""

    @property
    def looks_at_batch(self) -> bool:
        return self.normalization == "batch" or self.batch_distance

    def settled(self, kind: str, loss: str) -> NetworkParams:
        super().settled(kind, loss)
        if self.normalization is not None:
            return self
        return self.model_copy(update={"normalization": "spectral" if loss == "hinge" else "none"})


class DcganDiscriminatorParams(_ConvolutionalDiscriminatorParams):
    """Strided convolutions (DCGAN, Radford et al., 2016)."""

    module = "gan_core.networks.dcgan:DcganDiscriminator"

    network: Literal["dcgan"] = "dcgan"
    width: PositiveInt | None = None
    """Channels beside the sample; each halving of the side doubles them. None: 64."""
    widths: Widths | None = None
    """Channels of each convolution, instead of `width`."""
    hidden: PositiveInt | None = None
    """Units of a dense layer between the convolutions and the logits, which the paper has not (StyleGAN2 has: Karras et al., 2020). Two
    convolutions, all that a small image takes, tell labels and shapes apart poorly without it."""


class ResidualGeneratorParams(NetworkParams):
    """Residual blocks (SNGAN, Miyato et al., 2018)."""

    module = "gan_core.networks.residual:ResidualGenerator"
    kinds = CONVOLVED
    halves = True

    network: Literal["residual"] = "residual"
    width: PositiveInt | None = None
    """Channels of every block. None: 128."""
    normalization: Literal["none", "batch"] | None = None
    """Batch, whatever is said: its blocks know labels by it."""


class ResidualDiscriminatorParams(_ConvolutionalDiscriminatorParams):
    """Residual blocks (SNGAN, Miyato et al., 2018)."""

    module = "gan_core.networks.residual:ResidualDiscriminator"

    network: Literal["residual"] = "residual"
    width: PositiveInt | None = None
    """Channels of every block. None: 128."""
    normalization: Literal["none", "spectral"] | None = None


class MotionGeneratorParams(NetworkParams):
    """A picture a clip, drawn as `dcgan` draws images, and moved as a whole along a path."""

    module = "gan_core.networks.motion:MotionGenerator"
    kinds = ("clips",)
    halves = True

    network: Literal["motion"] = "motion"
    width: PositiveInt | None = None
    """Of the picture's network: channels beside the sample; each halving of the side doubles them. None: 64."""
    widths: Widths | None = None
    """Of the picture's network: channels from the dense layer to the last doubling but one, instead of `width`."""
    normalization: Literal["none", "batch", "spectral"] | None = None
    """Of the picture's network. None: batch."""


class MotionDiscriminatorParams(_ConvolutionalDiscriminatorParams):
    """Two networks as `dcgan` has them for images: one sees whole clips, their frames as channels, the other single frames that are drawn
    at random (MoCoGAN: Tulyakov et al., 2018)."""

    module = "gan_core.networks.motion:MotionDiscriminator"
    kinds = ("clips",)

    network: Literal["motion"] = "motion"
    width: PositiveInt | None = None
    """Of both: channels beside the sample; each halving of the side doubles them. None: 64."""
    widths: Widths | None = None
    """Of both: channels of each convolution, instead of `width`."""


Degrees = Annotated[Mapping[str, float], Field(min_length=1)]


class TurnedGeneratorParams(NetworkParams):
    """Objects drawn in one direction, as `dcgan` draws volumes, and turned about the upright axis as their label says."""

    module = "gan_core.networks.turned:TurnedGenerator"
    kinds = ("volumes",)
    halves = True

    network: Literal["turned"] = "turned"
    degrees: Degrees
    """How far an object of each class is turned, by the class's name: from the first axis towards the second."""
    mirrored: bool = False
    """Objects at 0 degrees are alike on both sides of the middle of the second axis: one half is drawn, and the other is its image."""
    width: PositiveInt | None = None
    """Channels beside the sample; each halving of the side doubles them. None: 64."""
    widths: Widths | None = None
    """Channels from the dense layer to the last doubling but one, instead of `width`."""
    normalization: Literal["none", "batch", "spectral"] | None = None
    """None: batch."""


class TurnedDiscriminatorParams(_ConvolutionalDiscriminatorParams):
    """Objects turned back as their label says, and judged as `dcgan` judges volumes."""

    module = "gan_core.networks.turned:TurnedDiscriminator"
    kinds = ("volumes",)

    network: Literal["turned"] = "turned"
    degrees: Degrees
    """As of the generator."""
    mirrored: bool = False
    """One half is judged, drawn at random: the one above the middle of the second axis, or the image of the other."""
    width: PositiveInt | None = None
    """Channels beside the sample; each halving of the side doubles them. None: 64."""
    widths: Widths | None = None
    """Channels of each convolution, instead of `width`."""
    hidden: PositiveInt | None = None
    """Units of a dense layer between the convolutions and the logits."""


class SequenceGeneratorParams(NetworkParams):
    """A recurrent network (GRU: Cho et al., 2014) that draws a word after the other, each knowing those before it."""

    module = "gan_core.networks.sequence:SequenceGenerator"
    kinds = ("sentences",)
    draws_each_place = True
    has_likelihood = True

    network: Literal["sequence"] = "sequence"
    width: PositiveInt | None = None
    """Units of the recurrent layer. None: 256."""
    embedding: PositiveInt = 128
    """Numbers that a word is to it."""
    dropout: Dropout = 0.3
    """Where it learns by likelihood, of what goes into and what comes out of the recurrent layer."""


class SequenceDiscriminatorParams(NetworkParams):
    """Convolutions along a sentence, and the mean and the largest of what they find (Kim, 2014)."""

    module = "gan_core.networks.sequence:SequenceDiscriminator"
    kinds = ("sentences",)

    network: Literal["sequence"] = "sequence"
    width: PositiveInt | None = None
    """Channels of each convolution. None: 128."""
    embedding: PositiveInt = 64
    """Numbers that a word is to it."""
    levels: Annotated[int, Field(ge=1, le=6)] = 3
    """Convolutions of three places each, the second over every second place, the third over every fourth, and so on."""
    dropout: Dropout = 0.0
    batch_distance: bool = False
    """It also sees how far each sentence is from the others of its label in the batch, as those of images may."""

    @property
    def looks_at_batch(self) -> bool:
        return self.batch_distance


class _ModernParams(NetworkParams):
    kinds = ("images", "sounds", "volumes")
    halves = True

    width: PositiveInt | None = None
    """Channels beside the sample; each halving of the side doubles them, up to eight times as many. None: 32 (96 in the paper, at 256
    pixels)."""
    widths: Widths | None = None
    """Channels at each resolution, from the smallest (4 to 7 pixels) to the sample's own, instead of `width`."""
    depth: PositiveInt = 2
    """Blocks at each resolution."""
    depths: Widths | None = None
    """Blocks at each resolution, in the same order, instead of `depth`."""
    group_width: PositiveInt = 16
    """Channels of a group of the 3 x 3 convolutions, each of which sees its own group alone."""
    recompute: bool = False
    """Features within blocks are not kept for the backward pass but computed again: less memory, more time, the same result (gradient
    checkpointing, Chen et al., 2016)."""


class ModernGeneratorParams(_ModernParams):
    """Residual blocks of grouped convolutions without normalisation (R3GAN, Huang et al., 2024)."""

    module = "gan_core.networks.modern:ModernGenerator"

    network: Literal["modern"] = "modern"


class ModernDiscriminatorParams(_ModernParams):
    """Residual blocks of grouped convolutions without normalisation (R3GAN, Huang et al., 2024)."""

    module = "gan_core.networks.modern:ModernDiscriminator"

    network: Literal["modern"] = "modern"


class _AutoParams(NetworkParams):
    """The usual network for the kind of data, told what that one can be told."""

    @property
    def role(self) -> Named:
        raise NotImplementedError

    def settled(self, kind: str, loss: str) -> NetworkParams:
        if kind not in _USUAL:
            raise ValueError(f"network: auto stands for nothing on {kind}; name one")
        name = _USUAL[kind]
        try:
            chosen: NetworkParams = self.role[name].model_validate({**self.model_dump(exclude_defaults=True), "network": name})
        except ValidationError as error:
            key = str(error.errors()[0]["loc"][0])
            raise ValueError(f"{key}: the {name} network has no such setting; leave it out") from None
        return chosen.settled(kind, loss)


class AutoGeneratorParams(_AutoParams):
    """`mlp` for points, `sequence` for sentences, `dcgan` for images, sounds, volumes and clips."""

    network: Literal["auto"] = "auto"
    width: PositiveInt | None = None
    widths: Widths | None = None
    normalization: Literal["none", "batch", "spectral"] | None = None
    """None: batch for images, whose pixels hardly depend on the latent without it when training begins; none for points and sounds."""
    components: Components | None = None

    @property
    def role(self) -> Named:
        return GENERATORS


class AutoDiscriminatorParams(_AutoParams):
    """`mlp` for points, `sequence` for sentences, `dcgan` for images, sounds, volumes and clips."""

    network: Literal["auto"] = "auto"
    width: PositiveInt | None = None
    widths: Widths | None = None
    normalization: Literal["none", "batch", "spectral"] | None = None
    hidden: PositiveInt | None = None
    dropout: Dropout = 0.0
    batch_distance: bool = False

    @property
    def role(self) -> Named:
        return DISCRIMINATORS

    @property
    def looks_at_batch(self) -> bool:
        return self.normalization == "batch" or self.batch_distance


class _UnetParams(NetworkParams):
    width: PositiveInt | None = None
    """The U-Net's channels at half the side; each further halving doubles them, up to eight times as many. None: 32 (64 in the paper)."""
    widths: Widths | None = None
    """Its channels at each halving, instead of `width`. None: as many as lead down to 4 to 7 pixels."""
    normalization: Literal["none", "batch", "instance"] = "batch"

    def problems(self, size: Sides | None) -> list[str]:
        """What does not fit, images of such sides among it, as lines that begin with the key."""
        both = self.width is not None and self.widths is not None
        found = ["train.generator.widths: give width or widths, not both"] if both else []
        if size is None:
            return found
        if self.widths is None:
            misfit = misfit_of_halvings(size, "the U-Net needs")
            return [*found, misfit] if misfit else found
        if misfit := misfit_of_multiple(size, 2 ** len(self.widths)):
            found.append(f"train.generator.widths: {len(self.widths)} halvings, and data.size is {misfit}, or give fewer widths")
        return found


class UnetParams(_UnetParams):
    """A U-Net from image to image (pix2pix, Isola et al., 2017)."""

    module = "gan_core.networks.unet:UnetGenerator"
    kinds = ("pairs", "predictions")

    network: Literal["unet"] = "unet"
    dropout: Dropout = 0.0
    """After each transposed convolution, in training alone."""
    skip: bool | None = None
    """Learn what to add to the input instead of the whole output. None: for spoiled images (`data.corruption`) alone."""


class AdvectionParams(_UnetParams):
    """The last frame that is given, moved, and a U-Net that draws what else there is (CDNA: Finn et al., 2016)."""

    module = "gan_core.networks.advection:AdvectionGenerator"
    kinds = ("predictions",)

    network: Literal["advection"] = "advection"
    motions: Annotated[int, Field(ge=1, le=64)] = 1
    """Ways to move the last frame in each frame; which of them, a mask says at each pixel. One for each thing that moves by itself."""
    anew: bool = True
    """Draw what the last frame does not hold. Without, all that is seen later is moved, and can neither come nor go."""


class _TranslatorParams(NetworkParams):
    width: PositiveInt = 64
    """Channels in front of the first downsampling; they double with each."""
    downsamplings: Annotated[int, Field(ge=0, le=6)] = 2
    """How often the side is halved in front of the residual blocks, and doubled behind them."""
    blocks: Annotated[int, Field(ge=0, le=64)] | None = None
    """Residual blocks. None: 9 from 256 pixels on, 6 below."""
    normalization: Literal["none", "instance"] = "instance"
    """Instance takes the mean of each feature of an image away, and so much of its colour; where colour has to stay, none keeps it."""
    skip: bool | Literal["masked"] = False
    """Add what the network makes to the image that it was given, which the paper does not: it starts near the identity, and a budget of a
    few thousand images goes into what has to change. `masked`: of that as much at each pixel as a mask says, so that what need not change
    stays as it is (attention mask: GANimation, Pumarola et al., 2018). The mask is drawn of the image alone, whatever the label."""
    pixelwise: bool = False
    """All convolutions see one pixel, but those that halve and double the side. With `downsamplings: 0` what becomes of a pixel depends on
    its own colour alone, so that colours are translated, and shapes and edges stay."""

    def with_blocks(self, side: int) -> Self:
        """With the number of blocks for images whose shorter side has `side` pixels, where it was left open."""
        return self if self.blocks is not None else self.model_copy(update={"blocks": 9 if side >= 256 else 6})

    def misfit(self, size: Sides) -> str | None:
        """What does not fit images of such sides, as a line that begins with the key; None where all does."""
        step = 2**self.downsamplings
        misfit = misfit_of_multiple(size, step, 4 * step)
        return misfit and f"train.generator.downsamplings: data.size is {misfit}, or use fewer"


class TranslatorParams(_TranslatorParams):
    """Residual blocks from image to image, there and back (CycleGAN, Zhu et al., 2017); the defaults are the paper's."""

    module = "gan_core.networks.translator:RoundTrip"
    kinds = ("unpaired", "pairs")

    network: Literal["round-trip"] = "round-trip"


class LabelledTranslatorParams(_TranslatorParams):
    """One such translator that is told a label: behind each normalisation it scales and shifts every channel (conditional instance
    normalisation: Dumoulin et al., 2017)."""

    module = "gan_core.networks.translator:LabelledTranslator"
    kinds = ("attributes",)

    network: Literal["translator"] = "translator"


class TabularGeneratorParams(NetworkParams):
    """Dense layers that each see all before them (CTGAN, Xu et al., 2019)."""

    module = "gan_core.networks.tabular:TabularGenerator"
    kinds = ("table",)

    network: Literal["tabular"] = "tabular"
    widths: Widths = (256, 256)
    """Hidden units layer by layer."""


class AutoregressiveGeneratorParams(NetworkParams):
    """A small dense network for each value of a row, which sees all before it. It learns by the likelihood of real rows
    (`train.likelihood`). Its weights grow with the square of the number of columns."""

    module = "gan_core.networks.autoregressive:AutoregressiveGenerator"
    kinds = ("table",)
    draws_each_place = True
    has_likelihood = True

    network: Literal["autoregressive"] = "autoregressive"
    widths: Widths = (96, 96)
    """Hidden units of each network, layer by layer."""
    bins: Annotated[int, Field(ge=2, le=1024)] = 40
    """Equal parts of eight deviations of a mode, between which a number's share is told apart."""
    dropout: Dropout = 0.1
    """Of hidden units, so that rows are not learned by heart."""


class StackGeneratorParams(NetworkParams):
    """Text encoder and two stages (StackGAN, Zhang et al., 2017)."""

    module = "gan_core.networks.stack:StackGenerator"
    kinds = ("captions",)

    network: Literal["stack"] = "stack"
    width: PositiveInt = 64
    """Channels at each stage's own size; up to four times as many below."""
    code: Annotated[int, Field(gt=0, le=1024)] = 64
    """Length of what conditioning augmentation draws for a text, for each stage."""


_HERE = "gan_core.params.networks"
GENERATORS = Named(
    "gantry.networks",
    "network",
    {
        "auto": f"{_HERE}:AutoGeneratorParams",
        "mlp": f"{_HERE}:MlpGeneratorParams",
        "dcgan": f"{_HERE}:DcganGeneratorParams",
        "residual": f"{_HERE}:ResidualGeneratorParams",
        "modern": f"{_HERE}:ModernGeneratorParams",
        "motion": f"{_HERE}:MotionGeneratorParams",
        "turned": f"{_HERE}:TurnedGeneratorParams",
        "round-trip": f"{_HERE}:TranslatorParams",
        "translator": f"{_HERE}:LabelledTranslatorParams",
        "tabular": f"{_HERE}:TabularGeneratorParams",
        "autoregressive": f"{_HERE}:AutoregressiveGeneratorParams",
        "stack": f"{_HERE}:StackGeneratorParams",
        "sequence": f"{_HERE}:SequenceGeneratorParams",
        "unet": f"{_HERE}:UnetParams",
        "advection": f"{_HERE}:AdvectionParams",
    },
    prefix="generator.",
)
PAIRED = Named(
    "gantry.networks", "network of pairs", {"unet": f"{_HERE}:UnetParams", "advection": f"{_HERE}:AdvectionParams"}, prefix="paired."
)
"""The generators that are held to a partner."""
DISCRIMINATORS = Named(
    "gantry.networks",
    "network",
    {
        "auto": f"{_HERE}:AutoDiscriminatorParams",
        "mlp": f"{_HERE}:MlpDiscriminatorParams",
        "dcgan": f"{_HERE}:DcganDiscriminatorParams",
        "residual": f"{_HERE}:ResidualDiscriminatorParams",
        "modern": f"{_HERE}:ModernDiscriminatorParams",
        "motion": f"{_HERE}:MotionDiscriminatorParams",
        "turned": f"{_HERE}:TurnedDiscriminatorParams",
        "sequence": f"{_HERE}:SequenceDiscriminatorParams",
    },
    prefix="discriminator.",
)

AnyGenerator = Annotated[SerializeAsAny[NetworkParams], BeforeValidator(OneOf(GENERATORS, "network", "auto"))]
AnyTabularGenerator = Annotated[SerializeAsAny[NetworkParams], BeforeValidator(OneOf(GENERATORS, "network", "tabular"))]
PairedGenerator = Annotated[UnetParams | AdvectionParams, BeforeValidator(OneOf(PAIRED, "network", "unet"))]
AnyDiscriminator = Annotated[SerializeAsAny[NetworkParams], BeforeValidator(OneOf(DISCRIMINATORS, "network", "auto"))]
"""What a section holds that says which network by `network`, ours or another package's."""


def network_of(facts: dict[str, Any], former: bool = False) -> NetworkParams:
    """A generator's parameters from JSON.

    Args:
        former: the first format's, which wrote the settings of all networks, and what the data says too, beside them: these are left out.

    Raises:
        ConfigError: there is no such network.
        ValueError: it has no such setting.
    """
    known: type[NetworkParams] = GENERATORS.named(facts["family"] if "family" in facts else facts["network"])
    if former:
        facts = {key: value for key, value in facts.items() if key in known.model_fields and value is not None}
    return known.model_validate(facts)
