"""Every number that Gantry shows, by name: what it is, between what values it lies, and which way it gets better.

`METRICS` holds the scores that the evaluate stage gives, `CURVES` the numbers of a training's record. The report page and the model card
show the phrase, `gantry explain NAME` all of it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from gan_core.errors import ConfigError

LOWER, HIGHER = "lower", "higher"


@dataclass(frozen=True)
class Metric:
    """What there is to know about a number."""

    what: str
    """In a phrase, for people who read it for the first time."""
    meaning: str
    """How it is computed, and how it is read."""
    range: str
    better: str = ""
    """`LOWER` or `HIGHER`; empty for a number of the training's record that is good neither high nor low."""
    paper: str = ""


_FEATURES = (
    "Features are the inner values of a network that sees images as a person would rather than pixel by pixel: by default a classifier "
    "fitted on the entry's own training images, or a random network where they have no labels. It is fitted once and then frozen. "
)
_OWN_FEATURES = "Since the features are the entry's own, it can be compared between versions of one entry, not with published figures."
_BALLS = (
    "Each sample stands for the ball around it that reaches its fifth nearest neighbour of its own set, in feature space. As many "
    "generated samples are looked at as there are real ones, at most. "
)
_ACHLIOPTAS = "Achlioptas et al., 2018, arXiv:1707.02392"
_HEUSEL = "Heusel et al., 2017, arXiv:1706.08500"
_KYNKAANNIEMI = "Kynkaanniemi et al., 2019, arXiv:1904.06991"
_NAEEM = "Naeem et al., 2020, arXiv:2002.09797"
_ISOLA = "Isola et al., 2017, arXiv:1611.07004"
_CHEN = "Chen et al., 2020, arXiv:1909.03935 (GAN-Leaks)"
_PACGAN = "Lin et al., 2018, arXiv:1712.04086 (PacGAN)"
_WANG = "Wang et al., 2004, doi:10.1109/TIP.2003.819861"
_ZHANG = "Zhang et al., 2017, arXiv:1612.03242 (StackGAN)"

METRICS: Mapping[str, Metric] = {
    "fid": Metric(
        "Frechet distance between the features of generated and held-out samples: mean and spread together",
        f"{_FEATURES}Both sets of features are seen as Gaussians, and the distance between the two counts: of their means, and of their "
        "covariances. So samples that are implausible and samples that are all alike both raise it. It falls with the number of "
        f"samples, so compare it at equal counts only. {_OWN_FEATURES} Beside it stands what real samples get, which is not quite 0.",
        "0 upwards; real samples get a little above 0",
        LOWER,
        _HEUSEL,
    ),
    "fid_infinity": Metric(
        "the Frechet distance, extrapolated to endlessly many generated samples",
        "The Frechet distance is larger for few samples, by about 1 over their number. It is taken at fifteen counts of generated samples, "
        "and a line through these is followed to endlessly many. `evaluate.fid_infinity: true` asks for it.",
        "about 0 upwards; slightly below 0 is chance",
        LOWER,
        "Chong and Forsyth, 2020, arXiv:1911.07023",
    ),
    "kid": Metric(
        "kernel distance between the features of generated and held-out samples; about 0 for real ones",
        f"{_FEATURES}The squared maximum mean discrepancy of the features under a cubic kernel, by its unbiased estimator over all pairs. "
        "Unlike the Frechet distance it does not depend on the number of samples, so it decides where there are few of them.",
        "about 0 upwards; slightly below 0 is chance",
        LOWER,
        "Binkowski et al., 2018, arXiv:1801.01401",
    ),
    "whitened_kid": Metric(
        "kernel distance between features in units of what real ones vary by; about 0 for real ones",
        f"{_FEATURES}They are of a random network, and brightness and contrast are most of what they vary in. So each direction is divided "
        "by how much training images vary in it, and faint noise, soft edges and images that repeat count as well. The distance is kid's.",
        "about 0 upwards; slightly below 0 is chance",
        LOWER,
        "Binkowski et al., 2018, arXiv:1801.01401",
    ),
    "rbf_kid": Metric(
        "kernel distance under a Gaussian kernel; about 0 for real samples",
        f"{_FEATURES}As kid, but under the kernel exp(-d^2 / 200) of how far two features lie apart, which all their moments count in, as "
        "torch-fidelity measures it (RBF-KID) over all pairs. Of features of networks that others have as well, such as CLIP; CMMD itself "
        "takes a larger CLIP, whose features it brings to length 1.",
        "about 0 upwards; slightly below 0 is chance",
        LOWER,
        "Jayasumana et al., 2024, arXiv:2401.09603 (CMMD)",
    ),
    "precision": Metric(
        "share of generated samples that lie among the real ones: how plausible they are",
        f"{_BALLS}It is the share of generated samples inside the ball of some real one. Low: many samples look like nothing in the data. "
        "High alone says little, since one good sample drawn again and again has precision 1; recall tells that.",
        "0 to 1; what real samples get stands beside it where it was measured",
        HIGHER,
        _KYNKAANNIEMI,
    ),
    "recall": Metric(
        "share of real samples that lie among the generated ones: how much of the variety is there",
        f"{_BALLS}It is the share of real samples inside the ball of some generated one. Low: kinds of samples are missing, as after mode "
        "collapse. It rises with the number of generated samples.",
        "0 to 1",
        HIGHER,
        _KYNKAANNIEMI,
    ),
    "density": Metric(
        "how many neighbourhoods of real samples a generated one lies in, on average, beside how many are expected",
        f"{_BALLS}It counts the real balls that a generated sample lies in, divided by five. Like precision it says how "
        "plausible samples are, and single outliers among the real ones do not flatter it.",
        "0 upwards; about 1 for samples of the same distribution, above 1 where they crowd where real ones are densest",
        HIGHER,
        _NAEEM,
    ),
    "coverage": Metric(
        "share of real samples with a generated one in their neighbourhood",
        f"{_BALLS}It is the share of real balls with a generated sample inside. Like recall it says how much of the variety is there, and "
        "single outliers among the generated ones do not flatter it. It rises with the number of generated samples.",
        "0 to 1; about 0.97 for as many samples of the same distribution",
        HIGHER,
        _NAEEM,
    ),
    "inception_score": Metric(
        "how clearly single samples show a class, and how evenly all show every class",
        "A classifier says of each sample with what probability it shows which class. The score is high where each sample is clearly of "
        "one class, and all classes occur. It knows nothing of real samples: one image a class, repeated, gets the best score. The "
        "classifier is the entry's own, so it can be compared between versions of one entry, not with published figures.",
        "1 to the number of classes",
        HIGHER,
        "Salimans et al., 2016, arXiv:1606.03498",
    ),
    "iou_coverage": Metric(
        "share of real volumes that are the nearest, by overlap, of a generated one",
        "Two volumes overlap by the voxels that both fill, over those that either fills (intersection over union). As many generated ones "
        "are drawn as there are held-out ones, and each points at the held-out one that it overlaps with most; the share of these that "
        "are pointed at. Low: whole sorts of shapes are missing. High alone says little of how good each one is.",
        "0 to 1; what real samples get stands beside it",
        HIGHER,
        _ACHLIOPTAS,
    ),
    "iou_nna": Metric(
        "how often the volume that overlaps most with one is of the same set, real or generated; 0.5 for real ones",
        "1-NNA: real and generated volumes, as many of both, are thrown together, and each is taken for what its nearest neighbour is, by "
        "intersection over union. Half are right where the two sets cannot be told apart, all where the generated ones lie among "
        "themselves, being implausible or too much alike. It sees where a shape is, which features averaged over all places do not.",
        "0.5 to 1; below 0.5 generated ones lie closer to single held-out ones than these to each other",
        LOWER,
        "Yang et al., 2019, arXiv:1906.12320 (PointFlow); Lopez-Paz and Oquab, 2017, arXiv:1610.06545",
    ),
    "connected": Metric(
        "what the largest piece has of all filled voxels, in the median generated volume",
        "Voxels that touch by a face are one piece. Below 1, crumbs float beside the object, or a leg does not reach it.",
        "0 to 1; what real samples get stands beside it",
        HIGHER,
    ),
    "motion_distance": Metric(
        "how far generated clips move otherwise than held-out ones, over how much those move",
        "How much a clip moves is how much its frames differ from those before them, the mean over all pixels. As many generated clips are "
        "drawn as there are held-out ones, and the distance is how far their amounts of motion have to be shifted to become those of the "
        "held-out ones (Wasserstein's first distance), over the mean of these. Frozen clips have 1, flickering ones more. It does not see "
        "in which direction something moves: features do, and by label label_accuracy.",
        "0 upwards; what real samples get stands beside it",
        LOWER,
    ),
    "ngram_distance": Metric(
        "how far the words and phrases of generated sentences are from those of held-out ones, in frequency",
        "The Jensen-Shannon divergence between the two distributions of n-grams, in bits; the mean over n of 1 to 4. Beginning and end of "
        "a sentence count as words. Told apart are the 1,000 most frequent n-grams of the training sentences, all others are one: over all "
        "that occur, whoever draws little but frequent phrases would come nearer than real sentences do. evaluation.json has each n.",
        "0 to 1; real samples get a little above 0",
        LOWER,
        "Lin, 1991, doi:10.1109/18.61115",
    ),
    "bleu": Metric(
        "how much of the generated sentences is found in held-out ones, up to four words at a time",
        "BLEU-4 of all generated sentences, each with all held-out ones as references. It says how plausible phrases are and nothing of "
        "variety: one usual sentence, repeated, gets the best score. self_bleu stands beside it. It depends on how many are held out.",
        "0 to 1; what real samples get stands beside it",
        HIGHER,
        "Papineni et al., 2002, doi:10.3115/1073083.1073135",
    ),
    "self_bleu": Metric(
        "how much of each generated sentence is found in the others: the higher, the less variety",
        "BLEU-4 of generated sentences, at most 1,000 and as many as are held out, each with all others as references. Below what real "
        "sentences get it is no merit: noise varies most.",
        "0 to 1; what real samples get stands beside it",
        LOWER,
        "Zhu et al., 2018, arXiv:1802.01886 (Texygen)",
    ),
    "copies": Metric(
        "share of generated samples that are near-copies of training samples",
        "A generated sample is a near-copy where its nearest training sample is at most half as far away as the second nearest, in feature "
        "space or by pixels. Held-out samples, which nobody copied, are put to the same test, and their share is subtracted. Only floors "
        "look at it; no two versions are compared by it. The page shows the closest pairs.",
        "0 to 1; what exceeds the share among held-out samples",
        LOWER,
        "Lowe, 2004, doi:10.1023/B:VISI.0000029664.99615.94 (the ratio of distances)",
    ),
    "membership": Metric(
        "how well generated rows tell whose row was trained on: 0 not at all, 1 always",
        "Whoever has the generated rows and somebody's row may guess that it was trained on where a generated one lies close. This "
        "attack is run on training rows and on held-out ones, which nobody was trained on: 2 A - 1, where A is the share of pairs of "
        "one of each in which the training row is the closer one. evaluation.json has its interval, and how far generated and held-out "
        "rows lie from the closest training row. Only floors look at it; no two versions are compared by it.",
        "0 to 1; 0 for rows of other people",
        LOWER,
        _CHEN,
    ),
    "class_membership": Metric(
        "the same among rows of the class of which the most is told",
        "The attack of membership on the rows of each class; the class counts whose interval begins the highest, and which evaluation.json "
        "names. Rows of a rare class are the easiest to find.",
        "0 to 1; 0 for rows of other people",
        LOWER,
        _CHEN,
    ),
    "modes": Metric(
        "how many of the known kinds of sample are drawn",
        "Of images the classes that a classifier finds at least once among the generated ones; of points the components of the mixture "
        "that are the nearest to at least one point within three standard deviations. Fewer than there are is mode collapse.",
        "0 to the number of classes or components",
        HIGHER,
        _PACGAN,
    ),
    "reverse_kl": Metric(
        "how far the shares of the modes are from those in the training data",
        "The Kullback-Leibler divergence of the shares of the classes, generated from real, in nats; of points the shares of the mixture's "
        "components, or of 36 angles of the circle. A mode that is drawn too often or not at all raises it.",
        "0 upwards; 0 where the shares are equal",
        LOWER,
        _PACGAN,
    ),
    "label_accuracy": Metric(
        "share of generated samples in which a classifier finds the class that was asked for",
        "Samples are drawn, or images translated, by label, and a classifier that was fitted on real images says which class each shows. "
        "A low share means that the generator does not follow its label. A classifier errs on real images too, so 1 is not always "
        "within reach.",
        "0 to 1",
        HIGHER,
    ),
    "label_error": Metric(
        "how far the number that generated samples show is from the one asked for, as a share of the range",
        "Samples are drawn, or images translated, by a number, such as an age, and a regressor that was fitted on real training images "
        "reads the number that each shows; the mean absolute difference is divided by the range of the training data. The regressor errs "
        "on real images too: what held-out ones get stands beside it, and a generator that keeps to its numbers comes close to that.",
        "0 to about 1; a third where the number has no effect, and numbers are spread evenly",
        LOWER,
        "Ding et al., 2021, arXiv:2011.07466 (CcGAN)",
    ),
    "translated": Metric(
        "share of translations that a classifier takes for the target kind",
        "A classifier that tells the two kinds of image apart is fitted on real training images and judges translations of held-out ones. "
        " evaluation.json says how many real images it gets right, and what share of inputs it takes for the target kind as they are.",
        "0 to 1",
        HIGHER,
    ),
    "cycle_l1": Metric(
        "mean absolute difference between an input and what comes back of its translation, in pixels of 0 to 1",
        "An image is translated and translated back. What is lost on the way cannot come back: high values mean that a translation no "
        "longer shows its input.",
        "0 to 1",
        LOWER,
        "Zhu et al., 2017, arXiv:1703.10593 (CycleGAN)",
    ),
    "input_recall": Metric(
        "share of inputs that what comes back of their translations is nearest to, of 100",
        "An image is translated and translated back. What comes back is held against the image itself and 99 other inputs, in pixels "
        "averaged down to 16 x 16: nearest to its own counts. A generator that draws fine images of the target kind and does not look at "
        "its input is seen by this.",
        "0 to 1; 0.01 by chance",
        HIGHER,
    ),
    "intra_fid": Metric(
        "Frechet distance of the translations to a label from real images of it, the mean over the labels",
        f"{_FEATURES}As fid, of each label by itself, so that a translation which shows another label than the one asked for counts, too. "
        "There are fewer images of each label than of all, and the distance is the higher for it: compare it at equal counts only. "
        "evaluation.json has it by label.",
        "0 upwards",
        LOWER,
        "Miyato and Koyama, 2018, arXiv:1802.05637",
    ),
    "source_l1": Metric(
        "mean absolute difference between an image and its translation, in pixels of 0 to 1: how much was changed",
        "Each held-out image is translated to every other label. Low: little was changed, which is good as long as label_accuracy is high; "
        "an image that is left as it is gets 0.",
        "0 to 1",
        LOWER,
    ),
    "partner_l1": Metric(
        "mean absolute difference between a translation and its true partner, in pixels of 0 to 1",
        "Where a group of images (`data.group`), such as the pictures of one figure, has one with each label, it is known what a "
        "translation should have become. Groups are held out as wholes, so training saw neither of the two.",
        "0 to 1",
        LOWER,
    ),
    "partner_ratio": Metric(
        "distance of translations to their true partners, over that of the untouched images",
        "partner_l1, divided by the same distance of the images before they were translated: 1 is as far as if nothing had been done, and "
        "0 the partner itself.",
        "0 upwards; above 1 the translation leads away from the partner",
        LOWER,
    ),
    "caption_recall": Metric(
        "share of generated images whose caption a matcher finds among 100",
        "A network that matches images with captions is fitted on real training pairs and then frozen. For each generated image it picks "
        "one of 100 captions: its own, and 99 others. By chance 0.01 are right.",
        "0 to 1; 0.01 by chance",
        HIGHER,
        "Xu et al., 2018, arXiv:1711.10485 (R-precision)",
    ),
    "stage1_fid": Metric(
        "Frechet distance of the first stage's images",
        "The same distance as fid, of the small images that the first stage of a text-to-image generator draws.",
        "0 upwards",
        LOWER,
        f"{_HEUSEL}; {_ZHANG}",
    ),
    "stage2_gain": Metric(
        "share of the first stage's Frechet distance which the second stage takes away",
        "1 minus fid divided by stage1_fid: what the second stage of a text-to-image generator improves. Below 0 it makes images worse.",
        "below 0 up to 1; 0 where the second stage changes nothing",
        HIGHER,
        _ZHANG,
    ),
    "radius_error": Metric(
        "mean distance of the points from the true circle",
        "How far each point's distance from the origin is from the circle's radius, in the points' own unit, the mean over 2,500 points.",
        "0 upwards",
        LOWER,
    ),
    "bins_filled": Metric(
        "how many of 36 angles around the circle have a point",
        "The circle is cut into 36 equal angles; those that hold at least one of 2,500 points count. Fewer than 36 is mode collapse.",
        "0 to 36",
        HIGHER,
    ),
    "high_quality": Metric(
        "share of points within three standard deviations of a mode",
        "Of 2,500 points, the share that lies within three standard deviations of the nearest mean of the mixture. Points between the "
        "modes lower it.",
        "0 to 1; the distribution itself gets 0.989",
        HIGHER,
        _PACGAN,
    ),
    "utility": Metric(
        "what a classifier trained on generated rows is worth on real ones, beside one trained on real rows",
        "Gradient boosted trees learn the label from generated rows, others from the real training rows; both are tested on held-out real "
        "rows by the area under the ROC curve, and the score is the one divided by the other, the mean over three generated tables. Of a "
        "label of numbers, half of 1 + R2 stands for the area; of several labels, the mean counts. Also known as train on synthetic, test "
        "on real.",
        "about 0.5 for rows that teach nothing of two classes, or of a number; 1 where generated rows teach as much as real ones",
        HIGHER,
        "Esteban et al., 2017, arXiv:1706.02633",
    ),
    "detection": Metric(
        "how well a classifier tells generated rows or sentences from real ones: 0.5 not at all, 1 always",
        "Gradient boosted trees learn to tell generated from real rows, and are tested on held-out rows and generated ones that they have "
        "not seen; the area under the ROC curve counts, the mean of three that learn from a third of the generated rows each. It sees "
        "wrong columns, wrong relations between them and wrong labels alike. Of sentences a logistic regression on words, pairs and "
        "triples of words does the same.",
        "0.5 to 1; a little below 0.5 is chance",
        LOWER,
        "Lopez-Paz and Oquab, 2017, arXiv:1610.06545",
    ),
    "column_distance": Metric(
        "mean distance between the distributions of generated and real columns",
        "Of a column of numbers the Wasserstein-1 distance in units of the real standard deviation, and the difference in the share of "
        "gaps; of categories the total variation distance; the mean over the columns. evaluation.json has each column's. It looks at one "
        "column at a time: relations between columns are for correlation_distance and detection.",
        "0 upwards; 0 where they are alike",
        LOWER,
    ),
    "correlation_distance": Metric(
        "mean difference between the correlations of generated and real columns",
        "The mean absolute difference between the two matrices of correlations, over all pairs of different columns; a category stands as "
        "a column of 0 and 1 for each of its values.",
        "0 to 2",
        LOWER,
    ),
    "children_distance": Metric(
        "difference in how many rows of a second table belong to a row",
        "The total variation distance between the shares of rows with no child, with one, with two and so on.",
        "0 to 1",
        LOWER,
    ),
    "relation_distance": Metric(
        "mean difference between the correlations of a table's columns with those of the table below it",
        "Each child stands beside the row that it belongs to; the mean absolute difference between the correlations of each column of the "
        "one table with each of the other, as correlation_distance has them.",
        "0 to 2",
        LOWER,
    ),
    "l1": Metric(
        "mean absolute difference from the real partners, in pixels of 0 to 1",
        "Each held-out input is translated and compared with its real partner, pixel by pixel. Blurred images get good values, so fid is "
        "to be looked at beside it.",
        "0 to 1",
        LOWER,
        _ISOLA,
    ),
    "psnr": Metric(
        "peak signal-to-noise ratio beside the real partners, in decibels",
        "10 times the decimal logarithm of 255 squared, divided by the mean squared difference from the real partner. 6 decibels more are "
        "half the difference. Blurred images get good values.",
        "0 to 100 dB, which an exact copy is given",
        HIGHER,
    ),
    "ssim": Metric(
        "structural similarity with the real partners, at most 1",
        "Means, contrasts and correlation of small windows of the image are compared with those of the real partner: nearer to how people "
        "see differences than pixels are.",
        "-1 to 1; 1 for an exact copy",
        HIGHER,
        _WANG,
    ),
    "partner_recall": Metric(
        "share of generated images that lie nearest to their own real partner, of 100",
        f"{_FEATURES}Each image that was made of a held-out input is held against that input's real partner and 99 others: nearest to its "
        "own counts. What is made of a wrong input is a good image all the same, and distances between sets do not see it.",
        "0 to 1; 0.01 by chance",
        HIGHER,
    ),
    "segmentation_ratio": Metric(
        "share of pixels whose label is found again, divided by that in real images",
        "The generator draws photos of label maps; a segmentation network that was fitted on real pairs finds labels in what was drawn. "
        "The share of pixels where they are those that were asked for is divided by the share in real photos.",
        "0 upwards; 1 where labels are found as well as in real images",
        HIGHER,
        f"{_ISOLA}, section 3.3",
    ),
    "last_ssim": Metric(
        "structural similarity of the last frame with the real one, at most 1",
        "ssim of the last frame that is predicted, which is the hardest. `last_ssim_gain` is how far it is above that of the last frame "
        "given, repeated: below 0, predicting nothing would be nearer.",
        "-1 to 1; 1 for an exact copy",
        HIGHER,
        _WANG,
    ),
    "last_ssim_gain": Metric(
        "structural similarity of the last frame, less that of repeating the last frame given",
        "last_ssim minus what the last frame that is given gets in the place of the last that is predicted.",
        "below 0 where repeating is nearer",
        HIGHER,
    ),
    "psnr_gain": Metric(
        "decibels above a plain restoration",
        "psnr minus that of the plain way which needs no learning, such as enlarging by interpolation, or repeating a clip's last frame.",
        "below 0 where the plain restoration is better",
        HIGHER,
    ),
    "fid_ratio": Metric(
        "Frechet distance, divided by that of a plain restoration",
        "fid divided by that of the plain restoration which needs no learning, such as enlarging by interpolation.",
        "0 upwards; below 1 where the generator is better than the plain restoration",
        LOWER,
        _HEUSEL,
    ),
    "hole_psnr": Metric(
        "peak signal-to-noise ratio inside the hole, in decibels",
        "psnr over the pixels that were missing in the input.",
        "0 to 100 dB",
        HIGHER,
    ),
    "hole_psnr_gain": Metric(
        "decibels inside the hole above a plain restoration",
        "hole_psnr minus that of the plain restoration which needs no learning.",
        "below 0 where the plain restoration is better",
        HIGHER,
    ),
}
"""Each score of the evaluate stage."""

_GOODFELLOW = "Goodfellow et al., 2014, arXiv:1406.2661"

CURVES: Mapping[str, Metric] = {
    "generator_loss": Metric(
        "what the generator lowers: how well its samples pass for real",
        "The two losses are those of opponents: neither falls steadily in a healthy training, and a low one is no sign of good samples. "
        "What counts is that both keep moving. A generator_loss that climbs and climbs says that the discriminator is winning.",
        "depends on train.loss",
        paper=_GOODFELLOW,
    ),
    "discriminator_loss": Metric(
        "what the discriminator lowers: how well it tells real samples from generated ones",
        "Near 0 it tells them always, and the generator may learn nothing more; accuracy and generator_gradient show whether that is so.",
        "depends on train.loss",
        paper=_GOODFELLOW,
    ),
    "adversarial_loss": Metric(
        "the part of the generator's loss that the discriminator gives",
        "generator_loss is this part and reconstruction_loss, each with its weight.",
        "depends on train.loss",
        paper=_ISOLA,
    ),
    "reconstruction_loss": Metric(
        "mean absolute difference from the real partners, in values of -1 to 1",
        "The part of the generator's loss that compares with the real partner, pixel by pixel.",
        "0 to 2",
        LOWER,
        _ISOLA,
    ),
    "identity_l1": Metric(
        "how much an image changes that is of the target kind already, in pixels of 0 to 1",
        "A translator should leave alone what need not be translated.",
        "0 to 1",
        LOWER,
        "Zhu et al., 2017, arXiv:1703.10593 (CycleGAN)",
    ),
    "cross_entropy": Metric(
        "how surprising each next word of real sentences, or all of a real row, is to the generator, in nats",
        "What a generator lowers that learns by likelihood, before the game begins, and beside it (train.likelihood). Of sentences e to "
        "this power is the perplexity. It is of samples that are trained on, with dropout, so it tells nothing of those that are held out.",
        "0 upwards; of sentences the logarithm of the vocabulary's size for a generator that knows nothing",
        LOWER,
        "Bengio et al., 2003, A Neural Probabilistic Language Model",
    ),
    "matching_loss": Metric(
        "how badly the text encoder tells which caption belongs to which image of a batch",
        "The cross-entropy of finding the caption of an image and the image of a caption, in nats.",
        "0 upwards",
        LOWER,
        "Xu et al., 2018, arXiv:1711.10485",
    ),
    "matched": Metric("share of images that find their own caption first in the batch", "As the text encoder sees it.", "0 to 1", HIGHER),
    "divergence": Metric(
        "how far the conditioning of a caption is from a standard normal distribution",
        "The Kullback-Leibler divergence that keeps captions from lying far apart, in nats.",
        "0 upwards",
        paper=_ZHANG,
    ),
    "accuracy_real": Metric(
        "share of real samples that the discriminator calls real",
        "With accuracy_fake near 1 the discriminator wins; with both near 0.5 it cannot tell.",
        "0 to 1",
    ),
    "accuracy_fake": Metric(
        "share of generated samples that the discriminator calls generated",
        "With accuracy_real near 1 the discriminator wins; with both near 0.5 it cannot tell.",
        "0 to 1",
    ),
    "accuracy_pairs": Metric(
        "share of pairs whose real sample is rated above the generated one",
        "0.5 where the discriminator cannot tell, 1 where it always can. Near 1 for long, with a generator_gradient near 0, the generator "
        "learns nothing more, and the run is ended as lost.",
        "0 to 1",
    ),
    "accuracy_wrong_caption": Metric(
        "share of images that the discriminator rates higher with their own caption than with another's",
        "0.5: it does not look at captions.",
        "0 to 1",
        HIGHER,
        "Reed et al., 2016, arXiv:1605.05396",
    ),
    "real_score": Metric(
        "the discriminator's mean output (logit) for real samples", "Far from fake_score: the discriminator tells them easily.", "unbounded"
    ),
    "fake_score": Metric(
        "the discriminator's mean output (logit) for generated samples", "Far from real_score: it tells them easily.", "unbounded"
    ),
    "wrong_label_score": Metric(
        "the discriminator's mean output (logit) for real samples under a wrong label",
        "At real_score, the discriminator does not look at labels.",
        "unbounded",
        paper="Reed et al., 2016, arXiv:1605.05396",
    ),
    "critic_distance": Metric(
        "the critic's estimate of how far generated samples are from real ones",
        "The Wasserstein distance up to a factor, real_score minus fake_score. Unlike other losses it should fall as samples get better.",
        "0 upwards",
        LOWER,
        "Arjovsky et al., 2017, arXiv:1701.07875",
    ),
    "overfitting": Metric(
        "how surely the discriminator tells training samples from generated ones: -1 never, 0 by chance, 1 always",
        "The mean sign of its logits on real samples, or twice the share of pairs in order, less 1. With train.augment: adaptive "
        "augmentation gets stronger above train.augment_target (0.6) and weaker below.",
        "-1 to 1",
        paper="Karras et al., 2020, arXiv:2006.06676",
    ),
    "augment_strength": Metric(
        "the probability with which each change of augmentation is made to what the discriminator sees",
        "Near 0 the discriminator does not overfit. Above 0.8 for long, generated samples may show the changes themselves.",
        "0 to 1",
        paper="Karras et al., 2020, arXiv:2006.06676",
    ),
    "r1": Metric(
        "half the squared gradient of the discriminator at real samples",
        "A penalty that keeps the discriminator from turning too steep. Its weight is in train.penalty.",
        "0 upwards",
        paper="Mescheder et al., 2018, arXiv:1801.04406",
    ),
    "r2": Metric(
        "half the squared gradient of the discriminator at generated samples",
        "A penalty that keeps the discriminator from turning too steep. Its weight is in train.penalty.",
        "0 upwards",
        paper="Mescheder et al., 2018, arXiv:1801.04406",
    ),
    "gradient_penalty": Metric(
        "how far the critic's slope between real and generated samples is from 1, squared",
        "Near 0 the critic is as smooth as the Wasserstein distance needs it.",
        "0 upwards",
        LOWER,
        "Gulrajani et al., 2017, arXiv:1704.00028",
    ),
    "gradient": Metric(
        "length of a player's last gradient",
        "Near 0 it learns nothing more; growing without end it diverges.",
        "0 upwards",
    ),
    "movement": Metric(
        "how far a step moves the generator's weights, as a share of their length",
        "0: the generator stands still.",
        "0 upwards",
    ),
    "diversity": Metric(
        "how much generated samples differ among themselves, beside how much real ones do: 1 is as much, 0 is collapse",
        "The root of the mean variance of a pixel or column over the averaged generator's samples, divided by that of real ones. Below "
        "0.01 for four lines of the record the run is ended as collapsed.",
        "0 upwards; about 1 for real samples",
    ),
    "diversity_within_labels": Metric(
        "how much samples of one label differ among themselves, beside how much real ones do",
        "A generator that draws one sample a label has collapsed, although its samples as a whole differ.",
        "0 upwards; about 1 for real samples",
    ),
}
"""Each number of a training's record; where there are several players, with the player's or the side's name before it."""

BETTER: Mapping[str, str] = {name: metric.better for name, metric in METRICS.items()}

FLOOR_ONLY = ("copies", "membership", "class_membership")
"""Scores of the challenger alone, which floors look at: no two generators are compared by them."""

_INSTEAD: Mapping[str, str] = {"fid": "kid", "fid_ratio": "kid", "fid_infinity": "kid"}
"""What decides where few samples let these tell nothing."""


def instead_of(metric: str, undecided: Mapping[str, str]) -> str:
    """The metric that decides where an entry names `metric`: that one, or what takes its place where it can tell nothing."""
    return _INSTEAD.get(metric, metric) if metric in undecided else metric


def fewest_replicates(confidence: float) -> int:
    """Resamples that are needed to tell a confidence, 0 to 1: five beyond its border are expected."""
    return round(5 / (1 - confidence))


def known(name: str) -> Metric | None:
    """What a number is; None for one that is not known.

    Of a score that is also one of somebody else, `champion.fid` or `selection_fid`, what the score is; of the record whichever player it
    is of: `photos_accuracy_pairs` is an `accuracy_pairs`.
    """
    endings = (name[at:] for at in (0, *(i + 1 for i, letter in enumerate(name) if letter == "_")))
    score = METRICS.get(name.removeprefix("champion.").removeprefix("selection_"))
    return score or next((CURVES[ending] for ending in endings if ending in CURVES), None)


def explained(name: str) -> Metric:
    """What a number is, as `known` has it.

    Raises:
        ConfigError: there is no such number; says the nearest.
    """
    found = known(name)
    if found is None:
        names = [*METRICS, *CURVES]
        near = difflib.get_close_matches(name.lower(), names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
        raise ConfigError(f"{name[:80]!r} is no metric; {hint}")
    return found
