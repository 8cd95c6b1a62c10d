"""The primitive's service; `app.create_app` builds it, `python -m` starts it."""
