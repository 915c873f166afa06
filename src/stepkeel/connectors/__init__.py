"""Activities that come with the engine, for documents to name; each asks for a service that says what it may reach."""
