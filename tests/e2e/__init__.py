"""The whole gateway, from an official SDK to a strict fake provider and back."""
