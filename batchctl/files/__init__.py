"""What we read and write: paths, lines, splices, durable writes. The only room that touches the disk."""
