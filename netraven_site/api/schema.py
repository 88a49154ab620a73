"""What the OpenAPI description needs to be told."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.extensions import OpenApiAuthenticationExtension

_ERROR: Final[dict[str, Any]] = {
    "type": "object",
    "description": "Every error has this shape.",
    "properties": {
        "detail": {"type": "string", "description": "What is wrong, in a sentence."},
        "errors": {
            "type": "object",
            "description": "Messages by field or parameter; empty where the error is about none.",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
    },
    "required": ["detail", "errors"],
}
_METHODS: Final = ("get", "post", "put", "patch", "delete")


class ApiTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[misc]
    """How a token is sent; found by its class alone."""

    target_class = "netraven_site.authentication.ApiTokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """A bearer token; the word `Token` is understood as well."""
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "An API token, made with `./manage.py create_token USER`.",
        }


def add_errors(result: dict[str, Any], generator: Any, request: Any, public: Any) -> dict[str, Any]:
    """Give each operation the errors that it can answer with."""
    result.setdefault("components", {}).setdefault("schemas", {})["Error"] = _ERROR
    for path, item in result.get("paths", {}).items():
        for method in _METHODS:
            if method not in item:
                continue
            operation = item[method]
            found = {
                "401": "Not signed in.",
                "403": "Not permitted.",
                "429": "Too many requests within a minute; `Retry-After` says when to go on.",
            }
            if "requestBody" in operation or any(p["in"] == "query" for p in operation.get("parameters", ())):
                found["400"] = "A field or a parameter is wrong."
            if "{" in path:
                found["404"] = "There is no such thing."
            if method != "get":
                found |= {"409": "Conflicts with the present state.", "503": "Cannot be written just now."}
            for code, words in found.items():
                operation["responses"].setdefault(
                    code,
                    {
                        "description": words,
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                    },
                )
            operation["responses"] = dict(sorted(operation["responses"].items()))
    return result
