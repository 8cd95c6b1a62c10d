"""Git: repositories, objects, processes, history."""
