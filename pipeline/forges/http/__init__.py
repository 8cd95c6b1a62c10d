"""A forge's git over HTTP, whichever forge it is."""
