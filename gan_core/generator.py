"""The thing that is shipped: a trained generator that can be loaded and asked for samples.

A generator's folder holds `config.json` (what it is, readable without torch) and `generator.safetensors` (its averaged
weights). Loading checks the weights against the digest in the config, and never unpickles anything.
"""
