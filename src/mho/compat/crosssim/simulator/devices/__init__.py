"""Device models of one's own: what to write instead."""
