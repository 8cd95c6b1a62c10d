"""State: facts, their fold into a status, and the storing and reading of both."""
