"""Bugs planted one at a time, to see that the simulation finds each."""
