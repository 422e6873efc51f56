"""DVC: what has to run, and running it; its files, its cache, and stages shared through its remote."""
