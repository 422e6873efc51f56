"""The five stages: fetch, validate, train, evaluate, register, and the services they meet."""
