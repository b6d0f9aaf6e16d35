"""How each API says it: canon <-> JSON and stream events, both ways. One module a dialect, all of one shape. Pure."""
