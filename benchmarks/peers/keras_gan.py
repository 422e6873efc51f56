"""GANs in Keras as tutorials write them: `python -m benchmarks.peers.keras_gan dcgan --data samples.npy --style train_on_batch`.

`train_on_batch` is the program that most copies on the web are: predict, two calls for the discriminator, one for the joined model.
`tf_function` is TensorFlow's own DCGAN tutorial: one traced step with two tapes, fed by tf.data.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.pace import Pace

BATCH = {"circle": 256}
RATES = {"circle": (0.005, 0.5, 0.99), "mixed": (1e-4, 0.5, 0.999)}


def networks(work: str) -> tuple[keras.Model, keras.Model, int]:
    """Generator, discriminator (its output a probability), and the latent's length: the same layers as `torch_networks`."""
    if work == "circle":
        generator, discriminator = _dense(3, [32, 16]), _dense(2, [32, 16])
        generator.add(layers.Dense(2))
        discriminator.add(layers.Dense(1, activation="sigmoid"))
        return generator, discriminator, 3
    if work == "dcgan":
        generator = keras.Sequential([
            keras.Input((100,)), layers.Dense(7 * 7 * 256, use_bias=False), layers.Reshape((7, 7, 256)),
            layers.BatchNormalization(), layers.ReLU(),
            layers.Conv2DTranspose(128, 4, strides=2, padding="same", use_bias=False), layers.BatchNormalization(), layers.ReLU(),
            layers.Conv2DTranspose(64, 4, strides=2, padding="same", use_bias=False), layers.BatchNormalization(), layers.ReLU(),
            layers.Conv2D(1, 3, padding="same", activation="tanh"),
        ])  # fmt: skip
    else:
        generator = _dense(100, [256, 512, 1024], batch_norm=work == "mixed")
        generator.add(layers.Dense(784, activation="tanh"))
        generator.add(layers.Reshape((28, 28, 1)))
    if work == "mlp":
        dense = _dense(784, [1024, 512, 256], dropout=0.3)
        discriminator = keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), *dense.layers, layers.Dense(1, activation="sigmoid")])
        return generator, discriminator, 100
    dropout = 0.3 if work == "dcgan" else 0.25
    discriminator = keras.Sequential([
        keras.Input((28, 28, 1)),
        layers.Conv2D(64, 4, strides=2, padding="same"), layers.LeakyReLU(negative_slope=0.2), layers.Dropout(dropout),
        layers.Conv2D(128, 4, strides=2, padding="same"), layers.LeakyReLU(negative_slope=0.2), layers.Dropout(dropout),
        layers.Flatten(), layers.Dense(1, activation="sigmoid"),
    ])  # fmt: skip
    return generator, discriminator, 100


def _dense(width: int, hidden: list[int], dropout: float = 0.0, batch_norm: bool = False) -> keras.Sequential:
    model = keras.Sequential([keras.Input((width,))])
    for units in hidden:
        model.add(layers.Dense(units))
        if batch_norm:
            model.add(layers.BatchNormalization(momentum=0.8))
        model.add(layers.LeakyReLU(negative_slope=0.2))
        if dropout:
            model.add(layers.Dropout(dropout))
    return model


def by_train_on_batch(work: str, generator: keras.Model, discriminator: keras.Model, latent: int, real: np.ndarray) -> Iterator[int]:
    """Train for ever; yields the samples of each step."""
    batch = BATCH.get(work, 128)
    rate, first, second = RATES.get(work, (2e-4, 0.5, 0.999))
    ones, zeros = np.ones((batch, 1)), np.zeros((batch, 1))

    def optimizer() -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(rate, beta_1=first, beta_2=second)

    discriminator.compile(loss="binary_crossentropy", optimizer=optimizer(), metrics=["accuracy"])
    discriminator.train_on_batch(real[:batch], ones)  # Keras 3 takes the weights to train when it traces: before they are held fixed
    discriminator.trainable = False
    joined_input = keras.Input((latent,))
    joined = keras.Model(joined_input, discriminator(generator(joined_input)))
    joined.compile(loss="binary_crossentropy", optimizer=optimizer())
    while True:
        chosen = np.random.randint(0, len(real), batch)
        fake = generator.predict(np.random.normal(0, 1, (batch, latent)), verbose=0)
        loss_real = discriminator.train_on_batch(real[chosen], ones)
        loss_fake = discriminator.train_on_batch(fake, zeros)
        loss = joined.train_on_batch(np.random.normal(0, 1, (batch, latent)), ones)
        print(0.5 * np.add(loss_real, loss_fake), loss)
        yield batch


def by_tf_function(work: str, generator: keras.Model, discriminator: keras.Model, latent: int, real: np.ndarray) -> Iterator[int]:
    """Train for ever; yields the samples of each step."""
    batch = BATCH.get(work, 128)
    rate, first, second = RATES.get(work, (2e-4, 0.5, 0.999))
    of_generator = keras.optimizers.Adam(rate, beta_1=first, beta_2=second)
    of_discriminator = keras.optimizers.Adam(rate, beta_1=first, beta_2=second)
    entropy = keras.losses.BinaryCrossentropy()
    # One iterator for ever: making a new one each epoch, TensorFlow 2.21 now and then waits 8.5 s for nothing.
    data = tf.data.Dataset.from_tensor_slices(real).shuffle(len(real)).repeat().batch(batch)

    @tf.function
    def step(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        noise = tf.random.normal([batch, latent])
        with tf.GradientTape() as generator_tape, tf.GradientTape() as discriminator_tape:
            fake = generator(noise, training=True)
            real_output, fake_output = discriminator(images, training=True), discriminator(fake, training=True)
            generator_loss = entropy(tf.ones_like(fake_output), fake_output)
            discriminator_loss = entropy(tf.ones_like(real_output), real_output) + entropy(tf.zeros_like(fake_output), fake_output)
        weights = generator.trainable_variables
        of_generator.apply_gradients(zip(generator_tape.gradient(generator_loss, weights), weights, strict=True))
        weights = discriminator.trainable_variables
        of_discriminator.apply_gradients(zip(discriminator_tape.gradient(discriminator_loss, weights), weights, strict=True))
        return generator_loss, discriminator_loss

    for images in data:
        step(images)
        yield batch


STYLES: dict[str, Callable[[str, keras.Model, keras.Model, int, np.ndarray], Iterator[int]]] = {
    "train_on_batch": by_train_on_batch,
    "tf_function": by_tf_function,
}


def main() -> None:
    """Train for as long as the runner asks, or for a schedule."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("work", choices=["dcgan", "mlp", "mixed", "circle"])
    parser.add_argument("--data", required=True, help="real samples: uint8 (N, 1, 28, 28), or float32 (N, 2)")
    parser.add_argument("--style", choices=list(STYLES), required=True)
    parser.add_argument("--images", type=int, help="train on so many, outside a race")
    parser.add_argument("--out", type=Path, help="and write 10,000 samples and the seconds of the training there")
    given = parser.parse_args()
    real = np.load(given.data)
    if real.dtype == np.uint8:
        real = (real.transpose(0, 2, 3, 1).astype("float32") - 127.5) / 127.5
    generator, discriminator, latent = networks(given.work)
    count = sum(int(np.prod(weight.shape)) for model in (generator, discriminator) for weight in model.trainable_weights)
    steps = STYLES[given.style](given.work, generator, discriminator, latent, real)
    if given.images is None:
        pace = Pace(parameters=count, version=f"Keras {keras.__version__}, TensorFlow {tf.__version__}")
        while pace.step(next(steps)):
            pass
        return
    start, seen = time.perf_counter(), 0
    while seen < given.images:
        seen += next(steps)
    seconds = time.perf_counter() - start
    images = generator.predict(np.random.default_rng(0).normal(size=(10_000, latent)), verbose=0)
    np.save(given.out / "samples.npy", ((images + 1) * 127.5).round().clip(0, 255).astype(np.uint8).transpose(0, 3, 1, 2))
    (given.out / "seconds.json").write_text(json.dumps({"seconds": seconds, "images": seen}))


if __name__ == "__main__":
    main()
