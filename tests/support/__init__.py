"""What tests share: worlds, doubles, servers, samples."""
