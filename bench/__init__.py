"""Speed and memory, measured over whole processes and against peers in the same run."""
