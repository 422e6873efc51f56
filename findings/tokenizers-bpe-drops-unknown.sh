#!/usr/bin/env bash
# Guess: a BPE tokenizer gives a token for each part of its text, and raises for a character that it never saw and has no unknown token for.
# Version: tokenizers 0.23.3.
# Behaviour: without unk_token, the default, unseen characters are left out without a word, and without a gap in the ids; WordLevel, its neighbour, raises. With unk_token="[UNK]" each of them is one token.
# Seen: trained on "red blue", "rezxd" gives r, e, d, and "zx" no token at all; with an unknown token the first gives r, e, [UNK], [UNK], d.
# Meaning: captions or sequences with a new symbol train and score as others, of which the data check that counts unknown tokens says nothing.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet tokenizers==0.23.3

venv/bin/python -W ignore - <<'PYTHON'
from tokenizers import Tokenizer, models, trainers


def trained(model, trainer):
    tokenizer = Tokenizer(model)
    tokenizer.train_from_iterator(["red blue"] * 5, trainer)
    return tokenizer


silent = trained(models.BPE(), trainers.BpeTrainer(vocab_size=30, show_progress=False))
known = trained(
    models.BPE(unk_token="[UNK]"), trainers.BpeTrainer(vocab_size=30, show_progress=False, special_tokens=["[UNK]"])
)
tokens = {name: tokenizer.encode("rezxd").tokens for name, tokenizer in (("silent", silent), ("known", known))}
print(tokens, "nothing known:", silent.encode("zx").tokens)
try:
    trained(models.WordLevel(), trainers.WordLevelTrainer(show_progress=False)).encode("zx")
    raised = False
except Exception as error:
    raised = True
    print("WordLevel:", error)
assert raised and tokens["known"].count("[UNK]") == 2
assert "".join(tokens["silent"]) == "red" and silent.encode("zx").tokens == [], "changed: unseen characters count"
PYTHON
