"""Routes by noun, one file each."""
