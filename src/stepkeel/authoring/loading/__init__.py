"""Documents to definitions: what a document says becomes what an author writes in Python, and is built from that."""
