"""The daemon's core against a simulated machine, with seeded faults. A seed and a commit reproduce a run."""
