"""Errors as the API gives them: `application/problem+json` of RFC 9457."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse


class Problem(Exception):
    """A request that cannot be fulfilled, with the status and reason to answer."""

    def __init__(
        self, status: int, title: str, detail: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        """The answer to send."""
        body: dict[str, object] = {"title": self.title, "status": self.status}
        if self.detail:
            body["detail"] = self.detail
        return JSONResponse(
            body, self.status, headers=self.headers, media_type="application/problem+json"
        )
