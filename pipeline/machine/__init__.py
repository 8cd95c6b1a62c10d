"""What this machine offers: programs, processes that run them, a cache."""
