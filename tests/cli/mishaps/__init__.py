"""Ways in which it goes wrong for an operator: each done for real, and what he is told, as it stands in `recorded/`.

A room for each kind of trouble; in it one function a way, whose first line says what is wrong. `python -m
tests.cli.mishaps [NAME]...` records them anew: then read what changed as the one who is told it would.
"""
