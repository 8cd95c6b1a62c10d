"""The world outside, read once and only when asked."""
