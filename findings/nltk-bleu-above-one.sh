#!/usr/bin/env bash
# Guess: BLEU lies between 0 and 1, and a sentence against itself has 1, at least when it is long enough for every n-gram.
# Version: nltk 3.10.4.
# Behaviour: smoothing methods 5 and 7 average each precision with its neighbours, of which the one before the first is its own plus 1: it counts as 2. Every sentence that equals its reference scores above 1, however long. A sentence of three words against itself has anything from 0.56 to 1 by the other smoothings, and 0 without one.
# Seen: 1.117 for 5, 7 and 20 words by methods 5 and 7, 1.0 by all others.
# Meaning: self-BLEU of a collapsed text generator goes above 1, and numbers by different smoothings can't be compared; state the method.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet nltk==3.10.4

venv/bin/python -W ignore - <<'PYTHON'
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu


def against_itself(words):
    sentence = [str(word) for word in range(words)]
    return [
        round(sentence_bleu([sentence], sentence, smoothing_function=getattr(SmoothingFunction(), f"method{method}")), 3)
        for method in range(8)
    ]


scores = {words: against_itself(words) for words in (3, 5, 7, 20)}
for words, by_method in scores.items():
    print(words, "words, methods 0 to 7:", by_method)
for words in (5, 7, 20):
    assert scores[words] == [1, 1, 1, 1, 1, 1.117, 1, 1.117], "changed: no method gives more than 1"
assert scores[3][0] == 0 and 0.55 < min(scores[3][1:]) < max(scores[3][1:]) == 1
PYTHON
