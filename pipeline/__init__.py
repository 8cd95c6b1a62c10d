"""Primitive Pipeline: a software factory that runs from Git alone."""

from typing import Literal, get_args

__version__ = "0.1.0"
# The `apiVersion` of every document of the pipeline; written only here.
ApiVersion = Literal["pipeline.ameide.io/v1"]
API_VERSION: ApiVersion = get_args(ApiVersion)[0]
