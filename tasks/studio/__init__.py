"""A page to look at generators and to play with them, in the browser; it asks no other host for anything."""
