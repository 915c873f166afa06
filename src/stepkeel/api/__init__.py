"""REST: the engine's verbs as resources under /api/v1, errors as problem documents, OpenAPI 3.1."""
