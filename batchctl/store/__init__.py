"""Bytes under a name: written whole or not at all."""
