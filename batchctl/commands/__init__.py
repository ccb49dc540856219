"""What each verb does: executes steps. `sending` is the only place that spends money."""
