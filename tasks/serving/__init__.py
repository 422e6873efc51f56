"""A champion over HTTP: what is asked for, drawn together, answered in the form that the asker takes, swapped while it is in use."""
