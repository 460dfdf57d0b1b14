"""The agent's service: gRPC over the channel, in a process beside PID 1. No payload waits for it, and none sees it."""
