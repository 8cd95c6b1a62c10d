"""The promises that attacks are made against, by a stable key.

Each sentence stands word for word in the table of docs/guarantees.md; a test holds it to that.
"""

from __future__ import annotations

PROMISES = {
    "shared-namespace": "Custom code never reaches a shared namespace",
    "own-tenant": "One tenant never touches another",
    "no-credentials": "Agents never hold credentials",
    "same-digest": "The same digest runs everywhere",
    "built-here": "What runs was built from its source, here",
    "approved": "People approve exactly what runs",
    "authority": "Only those whom policy names ask and approve",
    "nothing-lost": "Nothing is lost, whatever crashes",
    "proof": "History alone proves it",
    "nobody-waits": "Nobody stops another",
}
