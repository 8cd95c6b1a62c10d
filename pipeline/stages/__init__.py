"""The stages, in the order in which a request passes them.

validate → provision → scaffold → patch → checks → build → promote → observe. Each module has
pure `plan_*` functions over a `DraftView` (`pipeline.plan.view`); `pipeline.world.drafts` reads
what they need and `pipeline.apply.effects` carries out what they return.
"""
