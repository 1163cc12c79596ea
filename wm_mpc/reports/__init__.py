"""Results for people: one self-contained HTML page for each experiment and each training."""
