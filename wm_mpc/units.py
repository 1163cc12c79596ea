"""Units that several parts of the package share. Times are integer nanoseconds."""

SECOND = 1_000_000_000  # ns
