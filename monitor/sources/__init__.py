"""The only I/O in: event files, configuration, checkpoints, the machine. A source knows bytes and words only."""
