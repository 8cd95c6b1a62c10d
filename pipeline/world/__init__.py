"""The outside world, each thing read once and only when asked for."""
