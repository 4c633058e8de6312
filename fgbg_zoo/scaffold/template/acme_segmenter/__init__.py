"""A method for fgbg_zoo: what it offers is in `plugin`, and everything heavy is imported when it is used."""
