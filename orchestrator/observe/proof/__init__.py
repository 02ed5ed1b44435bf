"""Whether a move took effect, and which promises are broken."""
