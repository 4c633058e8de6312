"""The promises of fgbg_zoo's methods, kept by this package: every test comes from the suite."""

from fgbg_zoo.testing.suite import PluginContract


class TestContract(PluginContract):
    plugin = "acme-segmenter"
