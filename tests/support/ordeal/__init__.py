"""A daemon that is killed again and again while operators call, and what must be true of it all the same."""
