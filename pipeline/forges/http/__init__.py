"""Git over HTTP, for any forge."""
