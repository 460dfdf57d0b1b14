"""Projections: pure folds of events into state, and admission on it."""
