"""The Message Batches API: our words inside, its words on the wire."""
