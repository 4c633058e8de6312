"""For tests of plugins: throw-away distributions, and a Hub on this machine."""
