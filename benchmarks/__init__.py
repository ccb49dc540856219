"""How fast the program is, against what the disk and the wire allow: `make bench`. README.md here says how."""
