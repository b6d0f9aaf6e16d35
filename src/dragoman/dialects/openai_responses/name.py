"""The dialect's name, where every module of the package can have it."""

NAME = "openai-responses"
