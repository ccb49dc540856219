"""Prices, estimates, limits and bills."""
