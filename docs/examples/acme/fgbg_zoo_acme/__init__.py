"""An example of a plugin: a method, a model and a data set."""
