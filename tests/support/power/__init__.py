"""Cutting the power: a disk that remembers every write and flush, and what it could hold had it lost its power then."""
