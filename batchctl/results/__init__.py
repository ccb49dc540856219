"""What came back: received, verified, indexed, merged."""
