"""State: facts, their fold into a status, and how both are stored and read."""
