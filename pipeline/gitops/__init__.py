"""GitOps repositories: what lies there must be what was promoted, and nothing beside it.

`sealed` judges what lies below `environments/`, `proposals` what people propose outside of it;
both are pure. `reading` reads what they judge. Nothing here writes.
"""
