"""The daemon: wiring, servicers, supervision, data-plane streams."""
