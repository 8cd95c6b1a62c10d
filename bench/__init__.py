"""Speed and memory, measured on whole processes and against peers in the same run."""
