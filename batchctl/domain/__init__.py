"""Words and rules: pure. No I/O, no clock, no chance."""
