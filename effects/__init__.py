"""Effects: goals as data, the planner, the runner, and the drivers that reach the goals."""
