"""Realtime sessions: spoken conversation over one socket, relayed to a provider's own or run as a pipeline here."""
