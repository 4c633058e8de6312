"""The zoo's contract, kept by the bundled model."""

from fgbg_zoo.testing.suite import PluginContract


class TestContract(PluginContract):
    plugin = "seigan"
