"""The page of a run: curves, pictures, compared runs."""
