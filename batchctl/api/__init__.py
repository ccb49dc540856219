"""The Message Batches API behind one protocol: our words inside, the API's words on the wire.

`protocol` says what the rest of the program sees, `client` implements it over the SDK, `translate` turns the API's objects
and errors into our values, `bounds` limits what an answer may take, `secrets` keeps keys out of every text.
"""
