"""What the validate stage looks at and makes: each sample, the set as a whole, its drift, and the packed form."""
