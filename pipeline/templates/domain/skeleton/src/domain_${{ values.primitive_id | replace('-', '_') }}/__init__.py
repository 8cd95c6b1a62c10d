"""The primitive's service; `server.create_server` builds it, `python -m` starts it."""
