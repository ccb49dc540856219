"""What things cost: the price list, and what a person says of it."""
