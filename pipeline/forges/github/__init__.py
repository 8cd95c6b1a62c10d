"""GitHub behind the forge port: `client` speaks HTTP, `mirror` git, `forge` the port."""
