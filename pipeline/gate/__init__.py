"""Who may do what: authority over changes, and the gate to environments."""
