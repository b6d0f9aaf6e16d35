"""Which model: what the caller declared (`constraints`), what the request needs (`needs`), what each candidate is
expected to do (`estimate`, `latency`), what is chosen (`decide`), and the record of it (`record`, `narrate`).

Pure at decision time: the time, random numbers, prices, health and predictions are arguments.
"""
