"""What happened: every finished request is a line in the journal, and the journal is folded into a database (law 9).

`row` is the record, `journal` the append-only files, `store` the database, `fold` the way from one to the other,
`usage` the questions people ask of it.
"""
