"""How bytes travel: HTTP/1.1 client connections and their pool, and the framings of streams. Knows no dialect."""
