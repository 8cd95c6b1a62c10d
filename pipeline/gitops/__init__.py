"""GitOps repositories: they must hold exactly what was promoted.

`sealed` judges the content below `environments/`, `proposals` judges what people propose outside of
it; both are pure. `reading` reads their input. Nothing here writes.
"""
