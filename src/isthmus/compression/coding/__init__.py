"""Bits and files of compressed data: NumPy and exact integers only, so that every machine reads the same."""
