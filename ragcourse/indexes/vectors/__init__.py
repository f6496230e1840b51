"""Vector indexes, from scratch: vectors in, ids out."""
