"""What a database URL means, which settings there are, and where they come from."""
