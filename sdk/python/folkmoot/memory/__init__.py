"""The contract as plain values in memory. Written for clarity, not speed: a run always goes through the host."""
