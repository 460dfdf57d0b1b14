"""What a tentative boot leaves, and how it is read."""
