"""The promises that attacks try to break, by a stable key.

Each sentence stands word for word in the table of docs/guarantees.md; a test checks that.
"""

from __future__ import annotations

PROMISES = {
    "shared-namespace": "Custom code never reaches a shared namespace",
    "own-tenant": "One tenant never touches another",
    "no-credentials": "Agents never hold credentials",
    "own-objects": "A primitive reaches and takes nothing that isn't its own",
    "same-manifests": "The same manifests run everywhere",
    "bounds": "Nothing runs without bounds",
    "no-leak": "A credential never reaches main",
    "same-digest": "The same digest runs everywhere",
    "built-here": "What runs was built from its source, here",
    "stated": "What an environment asks to be stated of an image was",
    "approved": "People approve exactly what runs",
    "authority": "Nobody asks for or approves what isn't theirs",
    "as-promoted": "What runs in an environment is what was promoted there, and nothing beside it",
    "nobody-waits": "Nobody stops another",
    "nothing-lost": "Nothing is lost, whatever crashes",
    "proof": "History alone proves it",
}
