"""`dragoman router`, end to end on small made outcomes."""
