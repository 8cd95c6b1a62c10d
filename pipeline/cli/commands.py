"""Every command by name: where it is and what it is for, so that `--help` imports none of them.

For the same reason every command imports what it needs inside its function: `pipeline --help` takes
61 ms of CPU time, of which Python itself takes 12; with all that commands import it takes 870.

The words here are those of the commands themselves; a test holds the two together.
"""

from __future__ import annotations

# Name → `module:attribute` and the one line that `pipeline --help` shows, in the order of the work.
COMMANDS: dict[str, tuple[str, str]] = {
    "validate": ("validate:validate", "Judge requests: every finding, with position and fix."),
    "draft": ("draft:draft", "Ask for a primitive, read and change its files, see how it does."),
    "promote": ("promote:promote", "Ask to run a release in an environment."),
    "digest": ("digest:digest", "Ask that an image runs nowhere any more."),
    "plan": ("runs:plan", "Show what a run would do now; nothing is written."),
    "apply": ("runs:apply", "Carry out a saved plan exactly, or refuse it as stale."),
    "run": ("runs:run", "Plan and apply until nothing is left to do."),
    "due": ("work:due", "Say what is due, for which tenants, and take out what tools need."),
    "perform": ("work:perform", "Perform checks and builds that are due, without any credential."),
    "predicate": (
        "work:predicate",
        "Write what is to be stated of an image that was built: its SLSA provenance.",
    ),
    "push": (
        "work:push",
        "Bring images that were built into the registry, each with its statement and its contents.",
    ),
    "signing-key": (
        "work:signing_key",
        "Make a key that signs provenance, or read the one in FILE, and print who it is.",
    ),
    "status": ("status:status", "Show where one draft, or every draft, stands."),
    "why": ("promote:why", "Say whether a promotion is allowed, and every reason against it."),
    "authority": (
        "authority:authority",
        "Say who may ask for a change of PATHS, and who must approve it.",
    ),
    "audit": ("audit:audit", "Show what happened to a draft; prove it from clones."),
    "review": ("review:review", "Open, review and merge pull requests of a local forge."),
    "comment": (
        "comment:comment",
        "Tell a reviewer what a pull request asks for, in one comment.",
    ),
    "template": ("templates:template", "List, judge, render and try out golden templates."),
    "catalog": (
        "catalog:catalog",
        "Write the portal's catalogue: tenants, teams, systems and their repositories.",
    ),
    "schema": ("schema:schema", "Print the JSON Schema of a kind or of a template's parameters."),
    "rules": ("rules:rules", "List the rules that requests and releases are judged by."),
    "explain": ("rules:explain", "Explain one rule: why it exists, how to comply, examples."),
    "init": ("init:init", "Write a new control repo."),
    "doctor": ("doctor:doctor", "Check that this machine has what the pipeline needs."),
    "demo": ("demo:demo", "Tell the main job as a story, on real repositories in .demo/."),
    "completion": ("completion:completion", "Print the script that completes words in a shell."),
}
