"""The stages, in the order a request passes through them.

validate → provision → scaffold → patch → checks → build → promote → observe; then rollback, which
policy makes by itself, and retire. Each module has
pure `plan_*` functions over a `DraftView` (`pipeline.plan.view`); `pipeline.world.drafts` reads
their input and `pipeline.apply.effects` carries out what they return.
"""
