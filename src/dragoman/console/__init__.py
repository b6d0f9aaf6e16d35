"""The web console: static files, without a build step. Nothing is imported from here: the server hands the files out
(`server/console_pages.py`), and all they know of the gateway comes over its public endpoints."""
