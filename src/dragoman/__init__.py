"""Dragoman: one endpoint between programs and AI models. See docs/ARCHITECTURE.md for the floors of the house."""

__version__ = "0.1.0"
