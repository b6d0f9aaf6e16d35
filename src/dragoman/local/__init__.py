"""The embedded default model: a small language model on this machine's processor, without a key or a network.

How it works. llama.cpp's own server (the `xllamacpp` wheel) runs in a child process, so a crash in native code ends a
request and not the gateway. `engine` starts it at the first request that needs it, `child` is what runs there, `model`
says which file is served. It listens on a loopback port that the system chose, with a key made anew each time.

Gateway processes (workers, a second `dragoman`) of one state directory share one child. What they agree by are three
files in `<state>/local`, and locks (`flock`), which the kernel frees when their holder dies, however it dies:

| file | lock |
|---|---|
| `<id>.start` | exclusive, held by a gateway while it looks for a child and starts one: only one does |
| `<id>.json` | exclusive, held by the child as long as it lives; its address and key stand in it |
| `<id>.users` | shared, held by each gateway that uses the child. The child waits for the exclusive one, then ends |
"""
