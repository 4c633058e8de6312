"""The zoo's contract, kept by this package's model and data set."""

from fgbg_zoo.testing.suite import PluginContract


class TestContract(PluginContract):
    plugin = "acme"
