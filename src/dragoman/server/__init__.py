"""The gateway as an ASGI application, and the process that serves it."""
