"""Whom we ask: the anthropic SDK lives here, our words inside, theirs on the wire."""
