"""The private containerd that the drivers of containers and images speak to."""
