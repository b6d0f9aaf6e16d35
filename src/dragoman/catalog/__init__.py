"""What exists: providers, models, and what they cost."""
