#!/usr/bin/env bash
# Guess: get_piano_roll() holds every note of the piece, with its velocity, at the rate asked for.
# Version: pretty_midi 0.2.11.post0, numpy 2.4.6.
# Behaviour: drums are left out of it, without a word; a note that lies between two frames has none; velocities of notes that overlap are added, above MIDI's 127.
# Seen: a piece of drums alone is all zeros; at 10 frames a second a note from 0.11 to 0.19 s is not there; two notes of velocity 100 at once are 200.
# Meaning: a model of rolls never hears drums and fast notes, and rolls divided by 127 are not within 0 and 1.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 mido==1.3.3 pretty_midi==0.2.11.post0

venv/bin/python -W ignore - <<'PYTHON'
import pretty_midi


def roll(*notes, drums=False, rate=100):
    piece, instrument = pretty_midi.PrettyMIDI(), pretty_midi.Instrument(0, is_drum=drums)
    instrument.notes = [pretty_midi.Note(100, 60, start, end) for start, end in notes]
    piece.instruments.append(instrument)
    return piece.get_piano_roll(fs=rate).max()


played, drums = roll((0, 0.5)), roll((0, 0.5), drums=True)
short, both = roll((0.11, 0.19), rate=10), roll((0, 0.4), (0.2, 0.5))
print("a note:", played, "of drums:", drums, "between frames:", short, "two at once:", both)
assert played == 100
assert drums == short == 0 and both == 200, "changed: each note is there with its velocity"
PYTHON
