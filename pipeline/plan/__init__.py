"""Plans: effects as values, and what planning may look at."""
