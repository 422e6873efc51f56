#!/usr/bin/env bash
# Guess: notes that are written to a MIDI file and read again are the same, up to the file's ticks.
# Version: pretty_midi 0.2.11.post0.
# Behaviour: the first note-off of a pitch ends every note of that pitch that sounds, so of two that overlap the second is cut at the first one's end. Notes of velocity 0, and those shorter than a tick, are gone, and so is an instrument left without notes.
# Seen: 0 to 2 s and 1 to 3 s of one pitch come back as 0 to 2 s and 1 to 2 s; of another pitch it stays 1 to 3 s; an instrument with one note of velocity 0 and one of 0.1 ms is not there.
# Meaning: generated music, whose notes overlap as nobody plays them, is shorter in its file than where it was measured.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet pretty_midi==0.2.11.post0 numpy==2.4.6 mido==1.3.3

venv/bin/python -W ignore - <<'PYTHON'
import io

import pretty_midi


def back(*notes):
    music = pretty_midi.PrettyMIDI()
    instrument = pretty_midi.Instrument(program=0)
    instrument.notes = [pretty_midi.Note(*note) for note in notes]
    music.instruments.append(instrument)
    file = io.BytesIO()
    music.write(file)
    file.seek(0)
    read = pretty_midi.PrettyMIDI(file).instruments
    return [(note.pitch, round(float(note.start), 2), round(float(note.end), 2)) for one in read for note in one.notes]


same, other = back((80, 60, 0, 2), (80, 60, 1, 3)), back((80, 60, 0, 2), (80, 61, 1, 3))
lost = back((0, 60, 0, 1), (80, 62, 1, 1.0001))
print("one pitch:", same, "two:", other, "silent and short:", lost)
assert other == [(60, 0, 2), (61, 1, 3)]
assert same == [(60, 0, 2), (60, 1, 2)] and lost == [], "changed"
PYTHON
