"""How generators are judged: a module a kind of data, with what it gathers from a generator and from held-out data, and the scores."""
