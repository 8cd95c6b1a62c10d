"""What policy decides: cases that people write, and what a change of it would decide otherwise."""
