"""Generated files for others: a new control repo, schemas, the portal's form."""
