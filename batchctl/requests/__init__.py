"""The input: checked, grouped, cut into batches, sent from and rebuilt."""
