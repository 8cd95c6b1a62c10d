"""Who may do what: authority over changes of the control repo and of GitOps repositories."""
