"""Whether a version becomes the champion: the comparison, the gate, and the version loaded and served back."""
