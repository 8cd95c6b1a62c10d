"""GitHub behind the forge port: a session over one client, and one class per protocol over it."""
