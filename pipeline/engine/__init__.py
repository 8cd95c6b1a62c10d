"""The engine: runs, proposes, judges."""
