"""The release that writes entries: one constant, so that every header, build and banner says the same."""

RELEASE = "0.1.0"
