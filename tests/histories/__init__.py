"""Recorded memories of released versions: what a release wrote, every later one folds to the very same state."""
