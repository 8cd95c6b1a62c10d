"""Every command by name, with its module and one line of help, so that `--help` imports none.

For the same reason every command imports what it needs inside its function: `pipeline --help` takes
61 ms of CPU time, 12 of them for Python itself; with all imports of commands it takes 870.

A test checks that the lines here equal those of the commands.
"""

from __future__ import annotations

# Name → `module:attribute` and its line in `pipeline --help`, in the order of the work.
COMMANDS: dict[str, tuple[str, str]] = {
    "validate": (
        "validate:validate",
        "Validate requests; show every finding with its position and fix.",
    ),
    "draft": ("draft:draft", "Request a primitive, read and change its files, show its status."),
    "promote": ("promote:promote", "Request a release for an environment."),
    "rollback": (
        "rollback:rollback",
        "Request an earlier release for an environment, in lane `rollback`.",
    ),
    "hold": ("rollback:hold", "Let an environment go on after a rollback."),
    "retire": (
        "rollback:retire",
        "Request that a primitive leaves all its environments and that its draft ends.",
    ),
    "statement": (
        "statement:statement",
        "Sign a statement about an image, or bring one that others signed.",
    ),
    "digest": ("digest:digest", "Ask that an image runs nowhere any more."),
    "submit": (
        "submit:submit",
        "Open a pull request with a request or policy file of the checkout.",
    ),
    "plan": ("runs:plan", "Show what a run would do now, without writing anything."),
    "apply": ("runs:apply", "Apply a saved plan exactly, or refuse it as stale."),
    "run": ("runs:run", "Plan and apply until nothing is left to do."),
    "due": ("work:due", "List pending checks and builds per tenant and export their sources."),
    "perform": ("work:perform", "Run pending checks and builds, without credentials."),
    "predicate": (
        "work:predicate",
        "Write the SLSA provenance predicate of a built image.",
    ),
    "push": (
        "work:push",
        "Push built images to the registry, each with its provenance and SBOM.",
    ),
    "signing-key": (
        "work:signing_key",
        "Create a signing key for provenance, or read FILE, and print its public part.",
    ),
    "observe": (
        "observe:observe",
        "Show what delivery tools say of what runs, beside what was promoted.",
    ),
    "status": ("status:status", "Show the status of one draft, or of all drafts."),
    "why": (
        "promote:why",
        "Show whether a promotion is allowed: every clause of the gate, met or not, and by what.",
    ),
    "policy": (
        "policy:policy",
        "Show the gates in force, test them, and compare policies.",
    ),
    "authority": (
        "authority:authority",
        "Show who may request a change of PATHS, and who must approve it.",
    ),
    "audit": ("audit:audit", "Show a draft's history; prove all history from clones."),
    "review": ("review:review", "Open, review and merge pull requests of a local forge."),
    "comment": (
        "comment:comment",
        "Comment on a pull request: what it requests and what speaks against it.",
    ),
    "template": ("templates:template", "List, lint, render and test golden templates."),
    "catalog": (
        "catalog:catalog",
        "Write the portal's catalogue of tenants, teams, systems and repositories.",
    ),
    "schema": ("schema:schema", "Print the JSON Schema of a kind or of a template's parameters."),
    "rules": ("rules:rules", "List the rules that requests and releases are judged by."),
    "explain": ("rules:explain", "Explain a rule: why it exists, how to comply, examples."),
    "init": ("init:init", "Write a new control repo."),
    "doctor": ("doctor:doctor", "Check that this machine has what the pipeline needs."),
    "sandbox-profile": (
        "sandbox_profile:sandbox_profile",
        "Print the AppArmor profile that lets the sandbox work.",
    ),
    "demo": ("demo:demo", "Tell the main job as a story, on real repositories in .demo/."),
    "completion": ("completion:completion", "Print the completion script for a shell."),
}
