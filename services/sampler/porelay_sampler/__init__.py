"""The stage that draws new volumes of any size from a generator."""
