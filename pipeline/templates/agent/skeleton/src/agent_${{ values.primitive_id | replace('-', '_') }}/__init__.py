"""An agent primitive: a model that may call listed tools, within budgets, for one tenant at a time.

Read in this order: `definition` (what it is), `tools` (what it can do), `runtime` (the loop),
`routes` (how it is asked).
"""
