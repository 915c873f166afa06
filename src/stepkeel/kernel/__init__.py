"""Rules, pure. No clock, no chance, no input or output: the same arguments give the same decision, byte for byte."""
