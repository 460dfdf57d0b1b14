"""What runs use of the machine: processor, memory, processes, disk, network."""
