"""Images: references, archives, and the cache in containerd."""
