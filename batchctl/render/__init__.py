"""What the person sees: live view, plain lines, JSON. Rich lives here; stdout is data, stderr is everything else."""
