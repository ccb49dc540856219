"""The one control loop: what to do next, and one file for each step."""
