#!/usr/bin/env bash
# Guess: EMAWeightAveraging(update_every_n_steps=2) averages a GAN's weights after every second batch, or every second step of an optimiser.
# Version: lightning 2.6.6, torch 2.13.0, manual optimisation with one step each of two optimisers per batch.
# Behaviour: global_step counts the steps of both optimisers (max_steps=10 is 5 batches), and the callback asks once a batch, with global_step - 1, which is always odd. No even interval from 2 on is ever met. At the end of the fit the average is put into the model all the same: its initial weights.
# Seen: of 40 batches 40 updates for an interval of 1, 13 for 3, none for 2; with 2 the weights after the fit are those before it.
# Meaning: a GAN that trained for days is untrained in the end, and so is what is validated; an interval of 3 is one of 3 batches. Checkpoints every n steps come twice as often as batches say.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 lightning==2.6.6

venv/bin/python -W ignore - <<'PYTHON'
import logging

import lightning
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(40, 1)))
quiet = dict(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False)


class Pair(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.discriminator, self.batches = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1), 0

    def configure_optimizers(self):
        return [torch.optim.SGD(net.parameters(), 0.1) for net in (self.discriminator, self.generator)]

    def training_step(self, batch, index):
        for net, optimizer in zip((self.discriminator, self.generator), self.optimizers()):
            optimizer.zero_grad()
            net(batch[0]).sum().backward()
            optimizer.step()
        self.batches += 1


def trained(interval):
    pair, average = Pair(), EMAWeightAveraging(decay=0.9, update_every_n_steps=interval)
    before = pair.generator.weight.item()
    lightning.Trainer(max_epochs=1, callbacks=[average], **quiet).fit(pair, loader)
    return int(average._average_model.n_averaged), abs(pair.generator.weight.item() - before)


pair = Pair()
lightning.Trainer(max_steps=10, **quiet).fit(pair, loader)
results = {interval: trained(interval) for interval in (1, 2, 3)}
print("batches of max_steps=10:", pair.batches, "updates and change by interval:", results)
assert pair.batches == 5
assert results[1][0] == 40 and results[1][1] > 1 and results[3][0] == 13
assert results[2] == (0, 0), "changed: every second step is met"
PYTHON
