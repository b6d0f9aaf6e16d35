"""Embeddings across dialects: the same few functions in every module.

| module   | surface for clients                               | upstream              |
|----------|---------------------------------------------------|-----------------------|
| `openai` | `/v1/embeddings`                                  | `/embeddings`         |
| `gemini` | `:embedContent`, `:batchEmbedContents`            | the same              |
| `ollama` | `/api/embed`, `/api/embeddings`                   | `/api/embed`          |
| `cohere` |                                                   | `/v2/embed`           |

Each has `NAME`, `path(request)`, `write_request(request)`, `read_reply(body)`, and as a surface `read_request(body)`
and `write_reply(reply, request)`. Errors, both ways, are those of the dialect's own module. `reply.model` may be empty
where the provider does not name it: then the gateway knows which one it asked.
"""

from dragoman.dialects.embeddings import cohere, gemini, ollama, openai
from dragoman.dialects.embeddings.shape import EmbeddingReply, EmbeddingRequest, Input, Task, Upstream

__all__ = ["EmbeddingReply", "EmbeddingRequest", "Input", "Task", "Upstream", "cohere", "gemini", "ollama", "openai"]
