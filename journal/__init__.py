"""The journal: entries, codec, store and writer, chain, archive. Imports nothing of ours."""
